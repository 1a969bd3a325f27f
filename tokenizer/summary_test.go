package tokenizer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

func TestSummary(t *testing.T) {
	none, eos := []string{}, []string{"</s>"}
	for file, want := range map[string]tokenizer.Summary{
		"hf_bbpe_llama3/tokenizer.json":   {Kind: "byte-level BPE", VocabSize: 2603, Before: []string{"<|bos|>"}, After: none, EndIDs: []int32{}, SpecialTokens: 3, ParsedInText: 3},
		"hf_bpe_metaspace/tokenizer.json": {Kind: "BPE", VocabSize: 2300, Before: []string{"<s>"}, After: none, EndIDs: []int32{}, SpecialTokens: 3, ParsedInText: 3},
		"hf_unigram/tokenizer.json":       {Kind: "Unigram", VocabSize: 1500, Before: none, After: eos, EndIDs: []int32{}, SpecialTokens: 3, ParsedInText: 3},
		"sp_bpe_bf/tokenizer.model":       {Kind: "SentencePiece BPE", VocabSize: 2400, Before: none, After: eos, EndIDs: []int32{2}, SpecialTokens: 2},
		"sp_variants/unigram.model":       {Kind: "SentencePiece Unigram", VocabSize: 101, Before: none, After: eos, EndIDs: []int32{2}, SpecialTokens: 2},
		"sp_variants/word.model":          {Kind: "SentencePiece word", VocabSize: 49, Before: none, After: eos, EndIDs: []int32{2}, SpecialTokens: 2},
	} {
		tok, err := tokenizer.OpenFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		require.Equal(t, want, tok.Summary(), file)
	}
}

// A directory's files say more than the model alone.
func TestSummaryOfDirectory(t *testing.T) {
	dir := t.TempDir()
	model, err := os.ReadFile(filepath.Join("testdata", "sp_bpe_bf", "tokenizer.model"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.model"), model, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(`{"add_eos_token":true,"chat_template":"{{ messages }}"}`), 0o644))
	tok, err := tokenizer.Open(dir)
	require.NoError(t, err)
	s := tok.Summary()
	require.Equal(t, []string{"<s>"}, s.Before)
	require.Equal(t, []string{"</s>"}, s.After)
	require.True(t, s.ChatTemplate)
}
