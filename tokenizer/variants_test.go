package tokenizer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

// A variantPatch changes the small byte-level tokenizer as scripts/tokenizer_goldens.py does.
type variantPatch struct {
	PreTokenizer json.RawMessage  `json:"pre_tokenizer"`
	Ignore       bool             `json:"ignore"`
	Drop         []string         `json:"drop"`
	Unk          *string          `json:"unk"`
	Fuse         bool             `json:"fuse"`
	Added        []map[string]any `json:"added"`
}

func (p variantPatch) apply(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	data, err := os.ReadFile("testdata/hf_bbpe_llama3/tokenizer.json")
	require.NoError(t, err)
	var j map[string]any
	require.NoError(t, json.Unmarshal(data, &j))
	model := j["model"].(map[string]any)
	gone := func(s string) bool {
		for _, d := range p.Drop {
			if strings.Contains(s, d) {
				return true
			}
		}
		return false
	}
	vocab := model["vocab"].(map[string]any)
	for token := range vocab {
		if gone(token) {
			delete(vocab, token)
		}
	}
	merges := []string{}
	for _, m := range model["merges"].([]any) {
		pair := m.([]any)[0].(string) + " " + m.([]any)[1].(string)
		if !gone(pair) {
			merges = append(merges, pair)
		}
	}
	model["merges"] = merges
	model["ignore_merges"], model["unk_token"], model["fuse_unk"] = p.Ignore, p.Unk, p.Fuse
	j["pre_tokenizer"] = p.PreTokenizer
	added := j["added_tokens"].([]any)
	if p.Drop != nil {
		added, j["post_processor"] = nil, nil
	}
	for _, a := range p.Added {
		added = append(added, a)
	}
	j["added_tokens"] = added
	data, err = json.Marshal(j)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	require.NoError(t, os.WriteFile(path, data, 0o644))
	tok, err := tokenizer.OpenFile(path)
	require.NoError(t, err)
	return tok
}

func TestVariants(t *testing.T) {
	data, err := os.ReadFile("testdata/golden/variants.json")
	require.NoError(t, err)
	var patches map[string]variantPatch
	require.NoError(t, json.Unmarshal(data, &patches))
	toks := make(map[string]*tokenizer.Tokenizer)
	for name, p := range patches {
		toks[name] = p.apply(t)
	}
	rows := readLines[struct {
		Variant, Text string
		IDs           []int32  `json:"ids"`
		IDsPlain      *[]int32 `json:"ids_plain"`
		Dec           *string
	}](t, "testdata/golden/variants.jsonl")
	require.Greater(t, len(rows), 150)
	for _, r := range rows {
		tok := toks[r.Variant]
		require.Equal(t, r.IDs, encode(t, tok, r.Text, tokenizer.EncodeOptions{}), "%s: %q", r.Variant, r.Text)
		require.Equal(t, or(r.IDsPlain, r.IDs), encode(t, tok, r.Text, tokenizer.EncodeOptions{PlainSpecialTokens: true}), "%s plain: %q", r.Variant, r.Text)
		require.Equal(t, or(r.Dec, r.Text), decode(t, tok, r.IDs, false), "%s: %q", r.Variant, r.Text)
	}
}

func TestSentencePieceVariants(t *testing.T) {
	toks := make(map[string]*tokenizer.Tokenizer)
	rows := readLines[struct {
		Variant       string
		Text          *string
		IDs           []int32 `json:"ids"`
		Dec           string
		BOS, EOS, PAD int32
	}](t, "testdata/sp_variants/golden.jsonl")
	for _, r := range rows {
		tok := toks[r.Variant]
		if tok == nil {
			var err error
			tok, err = tokenizer.OpenFile("testdata/sp_variants/" + r.Variant + ".model")
			require.NoError(t, err)
			toks[r.Variant] = tok
		}
		if r.Text != nil {
			require.Equal(t, r.IDs, encode(t, tok, *r.Text, tokenizer.EncodeOptions{}), "%s: %q", r.Variant, *r.Text)
			require.Equal(t, append(append([]int32{}, r.IDs...), r.EOS), encode(t, tok, *r.Text, tokenizer.EncodeOptions{AddSpecialTokens: true}), "upstream's T5Tokenizer appends the end")
			bos, _ := tok.BOS()
			require.Equal(t, r.BOS, bos)
			pad, ok := tok.PAD()
			require.Equal(t, r.PAD >= 0, ok)
			require.Equal(t, r.PAD, pad)
			require.Equal(t, []int32{r.EOS}, tok.EOS())
		}
		require.Equal(t, r.Dec, decode(t, tok, r.IDs, true), "%s: %v", r.Variant, r.IDs)
		incremental(t, tok, r.IDs, r.Dec, nil, nil)
	}
	require.Len(t, toks, 6)
}
