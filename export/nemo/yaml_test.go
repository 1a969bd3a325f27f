package nemo

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
)

func TestYAMLValues(t *testing.T) {
	got, err := parseYAML([]byte(`
# a comment
int: 12
hex: 0x10
float: 2.5
exponent: 1e-05
yes: true
"null": null
tilde: ~
empty:
text: 'it''s'
tagged: !!python/object:os.system 3
list: [1, two, {three: 3.0}]
block:
  - a
  - b: c
infinite: .inf
anchor: &x {k: v}
alias: *x
merged:
  <<: *x
  other: 1
long: |
  line
`))
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"int": int64(12), "hex": int64(16), "float": 2.5, "exponent": "1e-05", "yes": true, "null": nil, "tilde": nil, "empty": nil,
		"text": "it's", "tagged": "3", "list": []any{int64(1), "two", map[string]any{"three": 3.0}},
		"block": []any{"a", map[string]any{"b": "c"}}, "infinite": math.Inf(1),
		"anchor": map[string]any{"k": "v"}, "alias": map[string]any{"k": "v"}, "merged": map[string]any{"k": "v", "other": int64(1)},
		"long": "line\n",
	}, withIntTag(got))
	n, ok := number(got["exponent"])
	require.True(t, ok)
	require.Equal(t, 1e-5, n)
}

// withIntTag makes a tagged number a text: tags are ignored, so either is right.
func withIntTag(m map[string]any) map[string]any {
	m["tagged"] = fmt.Sprint(m["tagged"])
	return m
}

func TestHostileYAML(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	for name, test := range map[string]struct{ text, want string }{
		"alias bomb":     {bomb, "more than 200000 values"},
		"own alias":      {"a: &x [*x]\n", "nested more than"},
		"brackets":       {strings.Repeat("[", 100_000), "line 1 is nested"},
		"braces":         {"a: " + strings.Repeat("{a: ", 100_000), "line 1 is nested"},
		"dashes":         {"a:\n  " + strings.Repeat("- ", 100_000), "line 2 is nested"},
		"question marks": {strings.Repeat("? ", 100_000), "line 1 is nested"},
		"indentation":    {"a:\n" + strings.Repeat(" ", 100_000) + "b: 1\n", "line 2 is nested"},
		"keys":           {strings.Repeat("a: 1\n", maxYAMLMarks+1), "more than 10000 keys"},
		"anchors":        {"a: " + strings.Repeat("&a ", maxYAMLMarks+1), "more than 10000 keys and anchors"},
		"quotes":         {"a: " + strings.Repeat("'a' ", 2*maxYAMLMarks+1), "too many quotes"},
		"large":          {strings.Repeat("a", maxYAMLBytes+1), "at most"},
		"no mapping":     {"- a\n- b\n", "no mapping"},
		"empty":          {"", "is empty"},
		"two documents":  {"a: 1\n---\nb: 2\n", "documents"},
		"unknown alias":  {"a: *b\n", "*b"},
		"bad syntax":     {"a: [1, 2\nb: 3\n", "YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseYAML([]byte(test.text))
			require.ErrorIs(t, err, checkpoint.ErrInvalid)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, len(err.Error()), 400)
		})
	}
}

func TestInterpolation(t *testing.T) {
	root, err := parseYAML([]byte(`
encoder_seq_length: 4096
hidden_size: 64
max_position_embeddings: ${.encoder_seq_length}
absolute: ${hidden_size}
model_path: ${model.hidden_size}
ffn_hidden_size: ${multiply:4, ${.hidden_size}}
sum: ${sum:1,2,3}
quotient: ${div:7,2}
whole: ${int_div:7,2}
joined: seq_${.encoder_seq_length}_h${.hidden_size}
chain: ${.max_position_embeddings}
nested:
  up: ${..hidden_size}
  own: ${.up}
  list: ["${hidden_size}"]
data:
  deeper: {far: "${nested.own}"}
env: ${oc.env:HOME}
loop: ${.pool}
pool: ${.loop}
nowhere: ${.absent}
above: ${....x}
open: ${.hidden_size
words: ${multiply:a,2}
`))
	require.NoError(t, err)
	interpolate(root)
	for key, want := range map[string]any{
		"max_position_embeddings": int64(4096), "absolute": int64(64), "model_path": int64(64), "ffn_hidden_size": int64(256),
		"sum": int64(6), "quotient": 3.5, "whole": int64(3), "joined": "seq_4096_h64", "chain": int64(4096),
		"nested": map[string]any{"up": int64(64), "own": int64(64), "list": []any{int64(64)}},
		"data":   map[string]any{"deeper": map[string]any{"far": int64(64)}},
	} {
		require.Equal(t, want, root[key], key)
	}
	for _, key := range []string{"env", "loop", "pool", "nowhere", "above", "open", "words"} {
		require.IsType(t, unresolved{}, root[key], key)
	}
	f := &fields{values: root}
	var n int64
	require.False(t, f.integer(&n, "loop"))
	require.ErrorContains(t, f.err, "loop: ${.")
	require.ErrorIs(t, f.err, checkpoint.ErrInvalid)
}

// TestInterpolationsAreBounded makes each level a hundred times as long as the next.
func TestInterpolationsAreBounded(t *testing.T) {
	text := "y: " + strings.Repeat("z", 50) + "\n"
	for chain := range 100 {
		for level := range 6 {
			text += fmt.Sprintf("c%d_%d: %s\n", chain, level, strings.Repeat(fmt.Sprintf("${c%d_%d}", chain, level+1), 40))
		}
		text += fmt.Sprintf("c%d_6: ${y}\n", chain)
	}
	root, err := parseYAML([]byte(text))
	require.NoError(t, err)
	interpolate(root)
	for key, value := range root {
		if s, ok := value.(string); ok {
			require.LessOrEqual(t, len(s), maxInterpolated, key)
		}
	}
}

func TestDirective(t *testing.T) {
	m, err := parseYAML([]byte("%YAML 1.1\n---\na: 1\n...\n"))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"a": int64(1)}, m)
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte(minitronYAML))
	f.Add([]byte(`{"model_type": "nemotron", "vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}`))
	f.Add([]byte("a: &x {b: [1, *x]}\n<<: *x\n"))
	f.Add([]byte("? [a]\n: !!set {b}\n"))
	f.Add([]byte("a: ${multiply:${.a},${b.c:d}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if root, err := parseYAML(text); err == nil {
			interpolate(root)
		}
		for _, parse := range []func([]byte) (*settings, error){parseConfig, parseConfig1, parseConfig2} {
			if s, err := parse(text); err == nil {
				_, _ = s.config(100)
			}
		}
	})
}
