package tokenizer_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

// sentencePieceRow is a row of scripts/sentencepiece_goldens.py: what the library makes of a text or,
// without one, of ids.
type sentencePieceRow struct {
	Model              string
	Text, B64          *string
	IDs                []int32 `json:"ids"`
	Dec                string
	BOS, EOS, PAD, UNK *int32
}

// checkSentencePieceRows compares the rows of a file with what the models of dir give.
func checkSentencePieceRows(t *testing.T, dir, file string) (models int) {
	toks := make(map[string]*tokenizer.Tokenizer)
	for i, r := range readLines[sentencePieceRow](t, filepath.Join(dir, file)) {
		tok := toks[r.Model]
		if tok == nil {
			var err error
			tok, err = tokenizer.OpenFile(filepath.Join(dir, r.Model+".model"))
			require.NoError(t, err, r.Model)
			toks[r.Model] = tok
		}
		text := r.Text
		if r.B64 != nil {
			raw, err := base64.StdEncoding.DecodeString(*r.B64)
			require.NoError(t, err)
			s := string(raw)
			text = &s
		}
		if text != nil {
			require.Equal(t, append([]int32{}, r.IDs...), append([]int32{}, encode(t, tok, *text, tokenizer.EncodeOptions{})...), "%s, row %d: %q", r.Model, i+1, *text)
		}
		require.Equal(t, r.Dec, decode(t, tok, r.IDs, true), "%s, row %d: %v", r.Model, i+1, r.IDs)
		incremental(t, tok, r.IDs, r.Dec, nil, nil)
		if r.BOS == nil {
			continue
		}
		for _, c := range []struct {
			want int32
			get  func() (int32, bool)
		}{{*r.BOS, tok.BOS}, {*r.PAD, tok.PAD}, {*r.UNK, tok.UNK}} {
			id, ok := c.get()
			require.Equal(t, c.want >= 0, ok, r.Model)
			require.Equal(t, c.want, id, r.Model)
		}
	}
	return len(toks)
}

// TestSentencePieceKinds: Unigram, BPE, word and char models, normalisers and denormalizers, and what no
// trainer writes: ties, unused pieces, great scores.
func TestSentencePieceKinds(t *testing.T) {
	require.Equal(t, 11, checkSentencePieceRows(t, "testdata/sp_variants", "kinds.jsonl"))
}

// TestSentencePieceRows compares with rows that were made elsewhere, of models that are not to be committed.
func TestSentencePieceRows(t *testing.T) {
	dir := os.Getenv("TRTGO_SENTENCEPIECE_ROWS")
	if dir == "" {
		t.Skip("set TRTGO_SENTENCEPIECE_ROWS to a folder that scripts/sentencepiece_goldens.py fuzz made")
	}
	require.Positive(t, checkSentencePieceRows(t, dir, "rows.jsonl"))
}
