package tokenizer

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTekkenRefusals(t *testing.T) {
	data, err := os.ReadFile("testdata/ranked/tekken_v13.json")
	require.NoError(t, err)
	good := string(data)
	swap := func(old, new string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, new, 1)
	}
	for words, text := range map[string]string{
		"not a tekken.json":             good[:len(good)/2],
		"have to list":                  "",
		`special token 1, "<s>", has`:   swap(`"rank":1,"token_str":"<s>"`, `"rank":7,"token_str":"<s>"`),
		`1 and 2 are both "<s>"`:        swap(`"token_str":"</s>"`, `"token_str":"<s>"`),
		`3 and 4 are both "<SPECIAL_4>`: swap(`[INST]`, `<SPECIAL_4>`),
		"tokens is 3, with 4 special":   swap(`"default_num_special_tokens":6`, `"default_num_special_tokens":3`),
		"tokens is 9000000000, with":    swap(`"default_num_special_tokens":6`, `"default_num_special_tokens":9000000000`),
		"default_vocab_size is 423":     swap(`"default_vocab_size":416`, `"default_vocab_size":423`),
		"default_vocab_size is 9":       swap(`"default_vocab_size":416`, `"default_vocab_size":9`),
		"default_vocab_size is -9":      swap(`"default_vocab_size":416`, `"default_vocab_size":-9`),
		`stands for "a", want the byte`: swap(`"token_bytes":"AA=="`, `"token_bytes":"YQ=="`),
		`has the token_bytes "A"`:       swap(`"token_bytes":"AA=="`, `"token_bytes":"A"`),
		`two tokens are both "\x00`:     swap(`"rank":300,"token_bytes":"`, `"rank":300,"token_bytes":"AA==","x":"`),
		"token 0 has rank 5":            swap(`"rank":0,"token_bytes"`, `"rank":5,"token_bytes"`),
	} {
		if text == "" {
			text, words = swap(`"special_tokens":`, `"other":`), "has to list its special_tokens"
		}
		_, err := parseTekken([]byte(text), false)
		require.ErrorIs(t, err, ErrInvalid, words)
		require.ErrorContains(t, err, words)
	}
	for words, text := range map[string]string{
		`version "v99"`: swap(`"version":"v13"`, `"version":"v99"`),
		"pattern":       swap(`"pattern":"[^`, `"pattern":"(?<n>x)\\k<n>[^`),
	} {
		_, err := parseTekken([]byte(text), false)
		require.ErrorIs(t, err, ErrUnsupported, words)
		require.ErrorContains(t, err, words)
	}
}

func TestTekkenSpecialTokensInText(t *testing.T) {
	data, err := os.ReadFile("testdata/ranked/tekken.json")
	require.NoError(t, err)
	open := func(files map[string]string) *Tokenizer {
		dir := t.TempDir()
		files["tekken.json"] = string(data)
		for name, text := range files {
			require.NoError(t, os.WriteFile(dir+"/"+name, []byte(text), 0o644))
		}
		tok, err := Open(dir)
		require.NoError(t, err)
		return tok
	}
	ids := func(tok *Tokenizer, o EncodeOptions) []int32 {
		got, err := tok.Encode("[INST]", o)
		require.NoError(t, err)
		return got
	}
	require.NotContains(t, ids(open(map[string]string{}), EncodeOptions{}), int32(3), "mistral-common parses none")
	require.Equal(t, []int32{3}, ids(open(map[string]string{"chat_template.jinja": "x"}), EncodeOptions{}))
	require.NotContains(t, ids(open(map[string]string{"chat_template.jinja": "x"}), EncodeOptions{PlainSpecialTokens: true}), int32(3))
	require.Equal(t, int32(1), ids(open(map[string]string{}), EncodeOptions{AddSpecialTokens: true})[0])
	both := ids(open(map[string]string{"tokenizer_config.json": `{"add_bos_token":false,"add_eos_token":true}`}), EncodeOptions{AddSpecialTokens: true})
	require.NotEqual(t, int32(1), both[0])
	require.Equal(t, int32(2), both[len(both)-1])
}

// tiktokenLines are the ranks of all bytes and of more tokens.
func tiktokenLines(more ...string) string {
	var b strings.Builder
	for i := range 256 {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(i)}), i)
	}
	for i, s := range more {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(s)), 256+i)
	}
	return b.String()
}

func TestTiktokenRefusals(t *testing.T) {
	config := &tokenizerConfig{PatStr: patternLlama3}
	_, err := parseTiktoken([]byte(tiktokenLines("ab")), config)
	require.NoError(t, err)
	for words, text := range map[string]string{
		"line 257 is not a token":           tiktokenLines() + "YQ==\n",
		"two tokens are both":               tiktokenLines("aa", "aa"),
		"both have id 5":                    tiktokenLines() + "YWE= 5\n",
		"line 1 is not a token":             "YWE= 99999999999999999999\n",
		"beyond":                            tiktokenLines() + "YWE= 99999999\n",
		"no token stands for the byte 0x00": "YQ== 0\n",
	} {
		_, err := parseTiktoken([]byte(text), config)
		require.ErrorIs(t, err, ErrInvalid, words)
		require.ErrorContains(t, err, words)
	}
	_, err = parseTiktoken([]byte(tiktokenLines("ab")), &tokenizerConfig{})
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "names none as pat_str, and its 257 tokens")
	require.ErrorContains(t, err, "Llama-3")
	for words, added := range map[string]hfAddedToken{"both have id 7": {Content: "<x>"}, "allowed are 0 to": {Content: "<x>"}, "has 0 bytes": {}} {
		id := map[string]string{"both have id 7": "7", "allowed are 0 to": "2000000000", "has 0 bytes": "300"}[words]
		_, err := parseTiktoken([]byte(tiktokenLines()), &tokenizerConfig{PatStr: patternLlama3, Added: map[string]hfAddedToken{id: added}})
		require.ErrorIs(t, err, ErrInvalid, words)
		require.ErrorContains(t, err, words)
	}
}

// TestPatternsAreRusts: tiktoken's $ is the end of the text, and not of each line.
func TestPatternsAreRusts(t *testing.T) {
	for pattern, want := range map[string]string{
		`^\p{L}++$|[$^]\$|\]$`: `\A\p{L}++\z|[$^]\$|\]\z`,
		`\p{N}{1,3}+`:          "",
		`[^\s]{2,}+`:           "",
	} {
		got, err := fromRust(pattern)
		if want == "" {
			require.ErrorIs(t, err, ErrUnsupported, pattern)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	tok, err := parseTiktoken([]byte(tiktokenLines("ab", "\n\n", "a\n")), &tokenizerConfig{PatStr: `[a-z]+$|[a-z]|\s+`})
	require.NoError(t, err)
	ids, err := tok.Encode("ab\nab", EncodeOptions{})
	require.NoError(t, err)
	require.Equal(t, []int32{'a', 'b', '\n', 256}, ids)
}

// TestPairsOfOneTokenShareItsRank: (a, aa) and (aa, a) both make aaa, so that of two places the left one counts.
func TestPairsOfOneTokenShareItsRank(t *testing.T) {
	r := &rankedVocabulary{tokens: []string{"a", "aa", "aaa"}, ids: []int32{0, 1, 2}}
	table := r.merges()
	for _, pair := range [][2]int32{{0, 1}, {1, 0}} {
		m, ok := table.get(pair[0], pair[1])
		require.True(t, ok)
		require.Equal(t, merge{rank: 2, id: 2}, m)
	}
}

func FuzzTekken(f *testing.F) {
	seedFiles(f, "testdata/ranked/tekken*.json")
	for _, s := range []string{``, `{}`, `{"config":{"version":"v3"}}`, `{"config":{"version":"v3","default_num_special_tokens":20,"default_vocab_size":276},"vocab":[{}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := parseTekken(data, len(data)%2 == 0); err == nil {
			use(t, tok)
		} else {
			refused(t, err)
		}
	})
}

func FuzzTiktoken(f *testing.F) {
	f.Add([]byte(tiktokenLines("ab", "abc", " a")), "<x>", int64(400))
	f.Add([]byte("YQ== 0\n"), "", int64(-1))
	f.Fuzz(func(t *testing.T, data []byte, special string, id int64) {
		config := &tokenizerConfig{PatStr: patternCL100, Added: map[string]hfAddedToken{fmt.Sprint(id): {Content: special, Special: true}}}
		if tok, err := parseTiktoken(data, config); err == nil {
			use(t, tok)
		} else {
			refused(t, err)
		}
	})
}
