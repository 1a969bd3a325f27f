package tokenizer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

// rankedRow is a row of scripts/ranked_goldens.py.
type rankedRow struct {
	File           string
	Text           *string
	IDs            []int32  `json:"ids"`
	IDsSpecial     *[]int32 `json:"ids_special"`
	IDsPlain       *[]int32 `json:"ids_plain"`
	Dec            *string
	DecSkip        *string `json:"dec_skip"`
	BOS, EOS, Size *int32
}

func checkRankedRows(t *testing.T, dir, file string, open func(path string) (*tokenizer.Tokenizer, error)) (files int) {
	toks := make(map[string]*tokenizer.Tokenizer)
	list := func(ids []int32) []int32 { return append([]int32{}, ids...) }
	for i, r := range readLines[rankedRow](t, filepath.Join(dir, file)) {
		tok := toks[r.File]
		if tok == nil {
			var err error
			tok, err = open(filepath.Join(dir, r.File))
			require.NoError(t, err, r.File)
			toks[r.File] = tok
		}
		if r.Text != nil {
			require.Equal(t, list(r.IDs), list(encode(t, tok, *r.Text, tokenizer.EncodeOptions{})), "%s, row %d: %q", r.File, i+1, *r.Text)
			require.Equal(t, list(or(r.IDsPlain, r.IDs)), list(encode(t, tok, *r.Text, tokenizer.EncodeOptions{PlainSpecialTokens: true})), "%s, row %d, plain: %q", r.File, i+1, *r.Text)
			if r.IDsSpecial != nil {
				special := *r.IDsSpecial
				require.Equal(t, list(special[:len(special)-1]), encode(t, tok, *r.Text, tokenizer.EncodeOptions{AddSpecialTokens: true}), "bos by default, and no eos")
				require.Equal(t, special[len(special)-1], tok.EOS()[0])
			}
		}
		if r.Dec != nil {
			require.Equal(t, *r.Dec, decode(t, tok, r.IDs, false), "%s, row %d: %v", r.File, i+1, r.IDs)
		}
		if r.DecSkip != nil {
			require.Equal(t, *r.DecSkip, decode(t, tok, r.IDs, true), "%s, row %d: %v", r.File, i+1, r.IDs)
			incremental(t, tok, r.IDs, *r.DecSkip, nil, nil)
		}
		if r.BOS != nil {
			bos, ok := tok.BOS()
			require.True(t, ok)
			require.Equal(t, *r.BOS, bos)
			require.EqualValues(t, *r.Size, tok.VocabSize())
		}
	}
	return len(toks)
}

// rankedFile opens a file of testdata/ranked, a tiktoken one with the configuration beside it.
func rankedFile(t *testing.T) func(path string) (*tokenizer.Tokenizer, error) {
	return func(path string) (*tokenizer.Tokenizer, error) {
		if filepath.Ext(path) == ".json" {
			return tokenizer.OpenFile(path)
		}
		dir := t.TempDir()
		for _, name := range []string{filepath.Base(path), "tokenizer_config.json"} {
			data, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
		}
		return tokenizer.Open(dir)
	}
}

func TestTekkenAndTiktoken(t *testing.T) {
	require.Equal(t, 3, checkRankedRows(t, "testdata/ranked", "golden.jsonl", rankedFile(t)))
}

// TestRankedRows compares with rows for real files, which are not to be committed.
func TestRankedRows(t *testing.T) {
	dir := os.Getenv("TRTGO_RANKED_ROWS")
	if dir == "" {
		t.Skip("set TRTGO_RANKED_ROWS to a folder that scripts/ranked_goldens.py rows made")
	}
	require.Positive(t, checkRankedRows(t, dir, "rows.jsonl", tokenizer.OpenFile))
}
