package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asGGUF is what a converter makes of a SentencePiece model.
func asGGUF(t testing.TB, path string) map[string]any {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	m, err := parseSPModel(string(data))
	require.NoError(t, err)
	var tokens []string
	var scores []float32
	var types []int32
	meta := map[string]any{"tokenizer.ggml.model": map[uint64]string{modelBPE: "llama", modelUnigram: "t5"}[m.modelType]}
	names := map[string]string{m.bosPiece: "bos", m.eosPiece: "eos", m.unkPiece: "unknown", m.padPiece: "padding"}
	for i, p := range m.pieces {
		tokens, scores, types = append(tokens, m.texts[i]), append(scores, p.score), append(types, int32(p.kind))
		if name, ok := names[m.texts[i]]; ok {
			meta["tokenizer.ggml."+name+"_token_id"] = uint32(i)
		}
	}
	meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.scores"], meta["tokenizer.ggml.token_type"] = tokens, scores, types
	meta["tokenizer.ggml.add_space_prefix"] = m.normalizer.dummyPrefix
	meta["tokenizer.ggml.remove_extra_whitespaces"] = m.normalizer.collapseSpace
	if m.normalizer.charsMap != "" {
		meta["tokenizer.ggml.precompiled_charsmap"] = []uint8(m.normalizer.charsMap)
	}
	return meta
}

// TestGGUFEqualsTokenizerModel: a SentencePiece model through GGUF gives the ids of the model itself.
func TestGGUFEqualsTokenizerModel(t *testing.T) {
	texts, err := os.ReadFile("testdata/strings.jsonl")
	require.NoError(t, err)
	for _, kind := range []string{"sp_bpe_bf", "sp_bpe_bf_noprefix", "sp_unigram"} {
		path := "testdata/" + kind + "/tokenizer.model"
		want, err := OpenFile(path)
		require.NoError(t, err)
		files, err := FromGGUF(asGGUF(t, path))
		require.NoError(t, err)
		require.Nil(t, files.Tokenizer)
		got, err := parseSentencePiece(files.Model, nil, true)
		require.NoError(t, err)
		for line := range strings.Lines(string(texts)) {
			var row struct{ Text string }
			require.NoError(t, json.Unmarshal([]byte(line), &row))
			a, err := want.Encode(row.Text, EncodeOptions{})
			require.NoError(t, err)
			b, err := got.Encode(row.Text, EncodeOptions{})
			require.NoError(t, err)
			require.Equal(t, a, b, "%s: %q", kind, row.Text)
			s, err := want.Decode(a, DecodeOptions{})
			require.NoError(t, err)
			r, err := got.Decode(a, DecodeOptions{})
			require.NoError(t, err)
			require.Equal(t, s, r, "%s: %q", kind, row.Text)
		}
		require.Equal(t, want.VocabSize(), got.VocabSize())
		require.Equal(t, want.EOS(), got.EOS())
		require.Equal(t, want.unk, got.unk)
	}
}

// openGGUFFiles opens what FromGGUF makes as a directory.
func openGGUFFiles(t testing.TB, files *GGUFFiles) *Tokenizer {
	dir := t.TempDir()
	for name, data := range map[string][]byte{"tokenizer.json": files.Tokenizer, "tokenizer.model": files.Model,
		"tokenizer_config.json": files.Config, "generation_config.json": files.Generation} {
		if data != nil {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
		}
	}
	tok, err := Open(dir)
	require.NoError(t, err)
	return tok
}

func TestGGUFSentencePieceSpecialTokens(t *testing.T) {
	meta := asGGUF(t, "testdata/sp_bpe_bf/tokenizer.model")
	tokens, types := meta["tokenizer.ggml.tokens"].([]string), meta["tokenizer.ggml.token_type"].([]int32)
	n := int32(len(tokens))
	meta["tokenizer.ggml.tokens"] = append(tokens, "<|user|>", "[PAD]")
	meta["tokenizer.ggml.token_type"] = append(types, ggufControl, ggufUnknown)
	meta["tokenizer.ggml.scores"] = append(meta["tokenizer.ggml.scores"].([]float32), 0, 0)
	files, err := FromGGUF(meta)
	require.NoError(t, err)
	tok := openGGUFFiles(t, files)
	ids, err := tok.Encode("<|user|>b", EncodeOptions{AddSpecialTokens: true})
	require.NoError(t, err)
	require.Equal(t, []int32{1, n, 357}, ids, "bos by default, the control token, b behind a dummy prefix")
	ids, err = tok.Encode("[PAD]", EncodeOptions{})
	require.NoError(t, err)
	require.NotContains(t, ids, n+1, "a second token of type unknown is none that text gives")
	meta["tokenizer.ggml.add_bos_token"], meta["tokenizer.ggml.add_eos_token"] = false, true
	files, err = FromGGUF(meta)
	require.NoError(t, err)
	ids, err = openGGUFFiles(t, files).Encode("b", EncodeOptions{AddSpecialTokens: true})
	require.NoError(t, err)
	require.Equal(t, []int32{357, 2}, ids)
}

// TestGGUFWordPiece: GGUF's spelling of a BERT vocabulary is turned round.
func TestGGUFWordPiece(t *testing.T) {
	meta := map[string]any{"tokenizer.ggml.model": "bert",
		"tokenizer.ggml.tokens":             []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "aff", "able", "▁hello", "▁,"},
		"tokenizer.ggml.token_type":         []int32{3, 3, 3, 3, 1, 1, 1, 1, 1},
		"tokenizer.ggml.unknown_token_id":   uint32(1),
		"tokenizer.ggml.seperator_token_id": uint32(3), "tokenizer.ggml.cls_token_id": uint32(2), "tokenizer.ggml.padding_token_id": uint32(0)}
	files, err := FromGGUF(meta)
	require.NoError(t, err)
	tok := openGGUFFiles(t, files)
	ids, err := tok.Encode("Héllo, UNAFFABLE xyz", EncodeOptions{AddSpecialTokens: true})
	require.NoError(t, err)
	require.Equal(t, []int32{2, 7, 8, 4, 5, 6, 1, 3}, ids)
	meta["tokenizer.ggml.normalizer.lowercase"] = false
	files, err = FromGGUF(meta)
	require.NoError(t, err)
	ids, err = openGGUFFiles(t, files).Encode("Hello hello", EncodeOptions{})
	require.NoError(t, err)
	require.Equal(t, []int32{1, 7}, ids)
	delete(meta, "tokenizer.ggml.cls_token_id")
	_, err = FromGGUF(meta)
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "cls_token_id")
}

// TestGGUFSpacedBPE: gemma4's merges run over text whose spaces are ▁, and the rest becomes bytes.
func TestGGUFSpacedBPE(t *testing.T) {
	tokens, types := []string{"<unk>", "<bos>", "a", "b", "▁", "ab", "▁ab"}, []int32{3, 3, 1, 1, 1, 1, 1}
	const hex = "0123456789ABCDEF"
	for i := range 256 {
		tokens, types = append(tokens, "<0x"+hex[i>>4:i>>4+1]+hex[i&15:i&15+1]+">"), append(types, pieceByte)
	}
	files, err := FromGGUF(map[string]any{"tokenizer.ggml.model": "gemma4", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types,
		"tokenizer.ggml.merges": []string{"a b", "▁ ab"}, "tokenizer.ggml.unknown_token_id": 0, "tokenizer.ggml.bos_token_id": 1})
	require.NoError(t, err)
	tok := openGGUFFiles(t, files)
	ids, err := tok.Encode("ab ab c", EncodeOptions{AddSpecialTokens: true})
	require.NoError(t, err)
	require.Equal(t, []int32{1, 5, 6, 4, 7 + 'c'}, ids)
	s, err := tok.Decode(ids, DecodeOptions{SkipSpecialTokens: true})
	require.NoError(t, err)
	require.Equal(t, "ab ab c", s)
}

func TestGGUFSentencePieceRefusals(t *testing.T) {
	with := func(key string, value any) map[string]any {
		m := asGGUF(t, "testdata/sp_bpe_bf/tokenizer.model")
		m["tokenizer.ggml."+key] = value
		return m
	}
	for words, meta := range map[string]map[string]any{
		"but 1 scores":       with("scores", []float32{1}),
		"but 0 scores":       with("scores", "x"),
		"not a list of byte": with("precompiled_charsmap", []int32{1000}),
		"precompiled_charsm": with("precompiled_charsmap", []uint8{1, 2, 3, 4, 5}),
		"both are":           with("token_type", nil),
	} {
		if words == "both are" {
			delete(meta, "tokenizer.ggml.token_type")
			delete(meta, "tokenizer.ggml.unknown_token_id")
			words = "no unknown piece" // and no bytes, where no types are told
		}
		_, err := FromGGUF(meta)
		require.ErrorIs(t, err, ErrInvalid, words)
		require.ErrorContains(t, err, words)
	}
}

func FuzzGGUF(f *testing.F) {
	for _, model := range []string{"gpt2", "llama", "t5", "bert", "gemma4"} {
		f.Add(model, "gpt-2", "<unk>\n<s>\na\nb\nab\n▁ab", []byte{2, 3, 1, 1, 1, 1}, []byte{1, 2, 3, 4, 5, 6}, "a b", []byte{}, uint8(1))
	}
	f.Fuzz(func(t *testing.T, model, pre, tokens string, types, scores []byte, merges string, charsMap []byte, special uint8) {
		meta := map[string]any{"tokenizer.ggml.model": model, "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": strings.Split(tokens, "\n"),
			"tokenizer.ggml.merges": strings.Split(merges, "\n"), "tokenizer.ggml.unknown_token_id": special & 7, "tokenizer.ggml.bos_token_id": special >> 3,
			"tokenizer.ggml.cls_token_id": special >> 4, "tokenizer.ggml.seperator_token_id": special >> 5, "tokenizer.ggml.scores": []uint8(scores)}
		if len(types) > 0 {
			meta["tokenizer.ggml.token_type"] = []uint8(types)
		}
		if len(charsMap) > 0 {
			meta["tokenizer.ggml.precompiled_charsmap"] = []uint8(charsMap)
		}
		files, err := FromGGUF(meta)
		if err != nil {
			refused(t, err)
			return
		}
		parse := parseFile
		name, data := "tokenizer.json", files.Tokenizer
		if files.Model != nil {
			name, data = "tokenizer.model", files.Model
		}
		tok, err := parse(name, data)
		require.NoError(t, err, "what it made can be read")
		_, _ = tok.Encode("Hello wörld <s> 日本\xff", EncodeOptions{AddSpecialTokens: true})
	})
}
