package jinja_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer/internal/jinja"
)

type golden struct {
	Source string
	Text   *string // nil: jinja2 refuses it
	Error  string
}

func goldens(t testing.TB) []golden {
	f, err := os.Open("testdata/golden.jsonl")
	require.NoError(t, err)
	defer f.Close()
	var out []golden
	for s := bufio.NewScanner(f); s.Scan(); {
		var g golden
		require.NoError(t, json.Unmarshal(s.Bytes(), &g))
		out = append(out, g)
	}
	require.Greater(t, len(out), 900)
	return out
}

func variables(t testing.TB) map[string]any {
	data, err := os.ReadFile("testdata/variables.json")
	require.NoError(t, err)
	v, err := jinja.ParseJSON(data)
	require.NoError(t, err)
	out := map[string]any{
		"raise_exception": jinja.Func(func([]any, jinja.Keywords) (any, error) { return nil, errors.New("raised") }),
	}
	v.(*jinja.Dict).Each(func(k, value any) { out[k.(string)] = value })
	return out
}

func render(source string, variables map[string]any) (string, error) {
	t, err := jinja.Compile(source)
	if err != nil {
		return "", err
	}
	return t.Render(variables)
}

// TestAsJinja2 renders what scripts/tokenizer_goldens.py rendered with transformers' environment, and
// refuses what that refuses.
func TestAsJinja2(t *testing.T) {
	vars := variables(t)
	for _, g := range goldens(t) {
		got, err := render(g.Source, vars)
		if g.Text == nil {
			require.Error(t, err, "%s: jinja2 says %s; got %q", g.Source, g.Error, got)
			continue
		}
		require.NoError(t, err, g.Source)
		require.Equal(t, *g.Text, got, g.Source)
	}
}

// TestUnsupported: what jinja2 knows and this package does not is refused by name.
func TestUnsupported(t *testing.T) {
	vars := variables(t)
	for source, words := range map[string]string{
		`{{ dict.fromkeys("a") }}`:                "no attribute 'fromkeys'",
		`{{ s.encode() }}`:                        "encode of a str is not supported",
		`{{ "{:>5}".format("a") }}`:               "{:>5} is not supported",
		`{{ html|striptags }}`:                    `no filter named "striptags"`,
		`{{ l|wordwrap }}`:                        `no filter named "wordwrap"`,
		`{{ 1234.5|round(-2) }}`:                  "precision -2 is not supported",
		`{{ {"a": 1}|urlencode }}`:                "urlencode of a dict is not supported",
		`{{ s.upper }}`:                           "a function has no text",
		`{{ ls|map("upper") }}`:                   "a generator has no text",
		`{% block b %}{% endblock %}`:             "{% block %} is not supported",
		`{% include "x" %}`:                       "{% include %} is not supported",
		`{% autoescape true %}{% endautoescape%}`: "{% autoescape %} is not supported",
		`{{ "\N{BULLET}" }}`:                      `escape in a string: \N`,
	} {
		_, err := render(source, vars)
		require.ErrorContains(t, err, words, source)
		require.ErrorContains(t, err, "line 1")
	}
}

// TestBounds: hostile templates end in an error, not in a crash or an exhausted machine.
func TestBounds(t *testing.T) {
	vars := variables(t)
	double := func(start, step string) string {
		return `{% set ns = namespace(v=` + start + `) %}{% for i in range(100) %}{% set ns.v = ` + step + ` %}{% endfor %}{{ ns.v | length }}`
	}
	for source, words := range map[string]string{
		strings.Repeat("x", 1<<18+1):                                                     "262144",
		"{{ " + strings.Repeat("(", 5000) + strings.Repeat(")", 5000) + " }}":            "200 deep",
		"{{ " + strings.Repeat("not ", 5000) + "1 }}":                                    "200 deep",
		"{{ " + strings.Repeat("-", 5000) + "1 }}":                                       "200 deep",
		"{{ " + strings.Repeat("1 if 1 else ", 5000) + "1 }}":                            "200 deep",
		strings.Repeat("{% if 1 %}", 5000):                                               "200 deep",
		"{% set " + strings.Repeat("(", 5000) + strings.Repeat(")", 5000) + " = 1 %}":    "200 deep",
		"{{ 1" + strings.Repeat("+1", 60000) + " }}":                                     "too deep",
		"{{ x" + strings.Repeat(".x", 60000) + " }}":                                     "too deep",
		"{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}":                             "200 deep",
		"{% for x in [[]] recursive %}{{ loop([[]]) }}{% endfor %}":                      "200 deep",
		"{% for i in range(1000000000) %}x{% endfor %}":                                  "100000",
		"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}": "steps",
		`{{ "x" * 1000000000 }}`:                                                         "grows beyond",
		`{{ l * 1000000000 }}`:                                                           "grows beyond",
		`{{ "x".ljust(99999999)|length ~ ("x" * 16777216) * 2 }}`:                        "grows beyond",
		`{{ 9 ** 9 ** 9 ** 9 ** 9 ** 9 }}`:                                               "bits",
		`{{ 9 ** 999999999 }}`:                                                           "bits",
		double(`"x"`, "ns.v ~ ns.v"):                                                     "grows beyond",
		double(`"x"`, "ns.v + ns.v"):                                                     "grows beyond",
		double(`[1]`, "ns.v + ns.v"):                                                     "grows beyond",
		double(`"x"`, `ns.v|replace("x", "xx")`):                                         "grows beyond",
		double(`[1]`, "[ns.v, ns.v]") + "{{ ns.v|string }}":                              "grows beyond",
		double(`[1]`, "[ns.v, ns.v]") + "{{ ns.v|tojson }}":                              "grows beyond",
		`{% set ns = namespace(v=[]) %}{% for i in range(300) %}{% set ns.v = [ns.v] %}{% endfor %}{{ ns.v|tojson }}`:                                                                                        "200 deep",
		`{% set ns = namespace(v=[]) %}{% for i in range(300) %}{% set ns.v = [ns.v] %}{% endfor %}{{ ns.v }}`:                                                                                               "200 deep",
		`{% set ns = namespace(v=[]) %}{% for i in range(300) %}{% set ns.v = [ns.v] %}{% endfor %}{% set w = namespace(v=[]) %}{% for i in range(300) %}{% set w.v = [w.v] %}{% endfor %}{{ ns.v == w.v }}`: "200 deep",
	} {
		_, err := render(source, vars)
		require.ErrorContains(t, err, words, source[:min(len(source), 100)])
	}
}

func TestJSON(t *testing.T) {
	for _, bad := range []string{``, `{`, `[1`, `[1] x`, `{"a"}`, strings.Repeat("[", 100000)} {
		_, err := jinja.ParseJSON([]byte(bad))
		require.ErrorContains(t, err, "JSON", bad[:min(len(bad), 20)])
	}
	v, err := jinja.ParseJSON([]byte(`{"z":1,"a":[1.0,12345678901234567890123,1e400,null,true,"\u00e9"]}`))
	require.NoError(t, err)
	got, err := render(`{{ v }} {{ v | tojson }}`, map[string]any{"v": v})
	require.NoError(t, err)
	require.Equal(t, `{'z': 1, 'a': [1.0, 12345678901234567890123, inf, None, True, 'é']} `+
		`{"z": 1, "a": [1.0, 12345678901234567890123, Infinity, null, true, "é"]}`, got)
}

func FuzzRender(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(g.Source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		text, err := render(source, variables(t)) // whatever it is, no panic
		if err == nil {
			require.LessOrEqual(t, len(text), 16<<20)
		}
	})
}
