package tokenizer

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestScanObject(t *testing.T) {
	got, err := scanObject(` {"a" : [1, {"b":"\u00e9\ud83d\ude00\n"}], "c":-1.5e+3,"a":null } `)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "null", "c": "-1.5e+3"}, got)
	for text, words := range map[string]string{
		`[]`: `want '{'`, `{"a":1`: "the text ends", `{"a" 1}`: `want ':'`, `{"a":01}`: "want a value", `{"a":"` + "\n" + `"}`: "control character", `{"a":"\x"}`: "none of JSON's",
		`{"a":"\ud800"}`: "lone surrogate", `{"a":"\udc00"}`: "lone surrogate", `{"a":"\ud800\u0041"}`: "lone surrogate", `{"a":1}x`: "want the end", `{"a":1.}`: "digit after",
		`{"a":1e}`: "digit in the exponent", `{"a":tru}`: "want true", `{"a":` + strings.Repeat("[", 200) + `}`: "nested more than", "{\"\xff\":1}": "not UTF-8", `{"a":"`: "ends in a string",
		`{"a":"\u12"}`: "hexadecimal", `{"a":[1 2]}`: "in an array", `{"a":1,}`: "want a string",
	} {
		_, err := scanObject(text)
		require.ErrorContains(t, err, words, text)
	}
	s := &jsonScanner{text: "1.5 99999999999999999999 1e999"}
	_, err = s.integer()
	require.ErrorContains(t, err, "not a whole number")
	_, err = s.integer()
	require.ErrorContains(t, err, "not a whole number")
	_, err = s.float()
	require.ErrorContains(t, err, "beyond the range")
}

// FuzzScanner compares with encoding/json, which takes all that the scanner takes and, besides, lone surrogates.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,2.5,-0e1,true,null,"x\u0041"]}`, `{"a":{"a":{}}}`, `{"\ud800":1}`, `{"a":1,"a":2}`, ` {"":[]} `, `{"a":"\\\""}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := scanObject(text)
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal([]byte(text), &want)
		if err != nil {
			lone := strings.Contains(err.Error(), "surrogate") || strings.Contains(err.Error(), "nested") || !utf8.ValidString(text) || strings.TrimSpace(text) == "null"
			require.True(t, wantErr != nil || lone, "%q: %v", text, err)
			return
		}
		require.NoError(t, wantErr, text)
		require.Len(t, got, len(want))
		for key, value := range want {
			require.Equal(t, strings.TrimSpace(string(value)), got[key])
		}
	})
}
