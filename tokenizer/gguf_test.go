package tokenizer_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

// smallGGUF is the small byte-level tokenizer as GGUF metadata.
func smallGGUF(t testing.TB) map[string]any {
	data, err := os.ReadFile("testdata/hf_bbpe_llama3/tokenizer.json")
	require.NoError(t, err)
	var j struct {
		AddedTokens []struct {
			ID      int
			Content string
		} `json:"added_tokens"`
		Model struct {
			Vocab  map[string]int
			Merges [][2]string
		}
	}
	require.NoError(t, json.Unmarshal(data, &j))
	tokens := make([]string, len(j.Model.Vocab)+len(j.AddedTokens))
	types := make([]int32, len(tokens))
	for token, id := range j.Model.Vocab {
		tokens[id], types[id] = token, 1
	}
	for _, a := range j.AddedTokens {
		tokens[a.ID], types[a.ID] = a.Content, 3
	}
	merges := make([]string, len(j.Model.Merges))
	for i, m := range j.Model.Merges {
		merges[i] = m[0] + " " + m[1]
	}
	return map[string]any{
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe",
		"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types, "tokenizer.ggml.merges": merges,
		"tokenizer.ggml.bos_token_id": uint32(2600), "tokenizer.ggml.eos_token_id": int64(2601),
	}
}

// openGGUF writes the files that FromGGUF makes, and opens them.
func openGGUF(t testing.TB, meta map[string]any) *tokenizer.Tokenizer {
	t.Helper()
	files, err := tokenizer.FromGGUF(meta)
	require.NoError(t, err)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"tokenizer.json": files.Tokenizer, "tokenizer.model": files.Model,
		"tokenizer_config.json": files.Config, "generation_config.json": files.Generation} {
		if data == nil {
			continue
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	tok, err := tokenizer.Open(dir)
	require.NoError(t, err)
	return tok
}

// TestGGUFEqualsTokenizerJSON: the same vocabulary through GGUF gives the same goldens.
func TestGGUFEqualsTokenizerJSON(t *testing.T) {
	tok, text := openGGUF(t, smallGGUF(t)), texts(t)
	for _, r := range readLines[goldenRow](t, "testdata/golden/hf_bbpe_llama3.jsonl") {
		s := text[r.ID]
		require.Equal(t, r.IDs, encode(t, tok, s, tokenizer.EncodeOptions{}), r.ID)
		require.Equal(t, or(r.IDsSpecial, r.IDs), encode(t, tok, s, tokenizer.EncodeOptions{AddSpecialTokens: true}), r.ID)
		require.Equal(t, or(r.IDsPlain, r.IDs), encode(t, tok, s, tokenizer.EncodeOptions{PlainSpecialTokens: true}), r.ID)
		require.Equal(t, or(r.DecSkip, s), decode(t, tok, or(r.IDsSpecial, r.IDs), true), r.ID)
	}
	bos, ok := tok.BOS()
	require.True(t, ok)
	require.EqualValues(t, 2600, bos)
	require.Equal(t, []int32{2601}, tok.EOS())
}

func TestGGUFPreTokenisersAndFlags(t *testing.T) {
	meta := smallGGUF(t)
	special := tokenizer.EncodeOptions{AddSpecialTokens: true}
	meta["tokenizer.ggml.pre"] = "smollm"
	require.Equal(t, []int32{16, 17, 18}, encode(t, openGGUF(t, meta), "123", special), "digits one by one, no bos by default")
	meta["tokenizer.ggml.pre"] = "gpt-2"
	require.NotEqual(t, []int32{16, 17, 18}, encode(t, openGGUF(t, meta), "123", special))
	meta["tokenizer.ggml.add_bos_token"] = true
	meta["tokenizer.ggml.add_eos_token"] = true
	require.Equal(t, []int32{2600, 65, 2601}, encode(t, openGGUF(t, meta), "b", special))
	meta["tokenizer.ggml.pre"] = "llama-bpe"
	meta["tokenizer.ggml.add_bos_token"] = false
	meta["tokenizer.ggml.add_eos_token"] = false
	require.Equal(t, []int32{65}, encode(t, openGGUF(t, meta), "b", special))
}

func TestGGUFSpecialTokensAndTemplates(t *testing.T) {
	meta := smallGGUF(t)
	tokens := append([]string{}, meta["tokenizer.ggml.tokens"].([]string)...)
	types := append([]int32{}, meta["tokenizer.ggml.token_type"].([]int32)...)
	tokens[2602], tokens[70], tokens[71] = "<|eot_id|>", "<user>", "[PAD71]"
	types[70], types[71] = 4, 5
	// The merges that used 70 and 71 have lost their parts.
	meta["tokenizer.ggml.merges"] = []string{}
	meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"] = tokens, types
	meta["tokenizer.ggml.padding_token_id"] = uint64(2601)
	meta["tokenizer.ggml.unknown_token_id"] = uint32(4000000000) // beyond: ignored
	meta["tokenizer.ggml.eot_token_id"] = uint16(9)
	meta["tokenizer.chat_template"] = "<{{ bos_token }}>{{ messages[0].content }}"
	meta["tokenizer.chat_templates"] = []string{"tool_use"}
	meta["tokenizer.chat_template.tool_use"] = "tools"
	tok := openGGUF(t, meta)
	require.Equal(t, []int32{2601, 9, 2602}, tok.EOS(), "eos, eot by key, eot by name")
	pad, ok := tok.PAD()
	require.True(t, ok)
	require.EqualValues(t, 2601, pad)
	_, ok = tok.UNK()
	require.False(t, ok)
	require.True(t, tok.IsSpecial(2602))
	require.False(t, tok.IsSpecial(70), "user-defined tokens are not special")
	require.Equal(t, []int32{70}, encode(t, tok, "<user>", tokenizer.EncodeOptions{PlainSpecialTokens: true}), "but cut out of text")
	require.NotContains(t, encode(t, tok, "[PAD71]", tokenizer.EncodeOptions{}), int32(71), "unused tokens are not")
	s, err := tok.RenderChat(json.RawMessage(`[{"role":"user","content":"hi"}]`), tokenizer.ChatOptions{})
	require.NoError(t, err)
	require.Equal(t, "<<|bos|>>hi", s)
	s, err = tok.RenderChat(json.RawMessage(`[{}]`), tokenizer.ChatOptions{Tools: json.RawMessage(`[{}]`)})
	require.NoError(t, err)
	require.Equal(t, "tools", s)
}

func TestGGUFRefusals(t *testing.T) {
	with := func(key string, value any) map[string]any {
		m := smallGGUF(t)
		if value == nil {
			delete(m, key)
		} else {
			m[key] = value
		}
		return m
	}
	for name, meta := range map[string]map[string]any{
		"rwkv":         with("tokenizer.ggml.model", "rwkv"),
		"kimi-k2":      with("tokenizer.ggml.pre", "kimi-k2"),
		`model ""`:     with("tokenizer.ggml.model", nil),
		`tokeniser ""`: with("tokenizer.ggml.pre", nil),
		"default":      with("tokenizer.ggml.pre", "default"),
	} {
		files, err := tokenizer.FromGGUF(meta)
		require.ErrorIs(t, err, tokenizer.ErrUnsupported)
		require.ErrorContains(t, err, name)
		require.Nil(t, files.Tokenizer)
		require.Nil(t, files.Model)
		require.Contains(t, string(files.Config), "<|bos|>", "what is known of it is there all the same")
		require.Contains(t, string(files.Generation), "2601")
	}
	short := smallGGUF(t)
	tokens := short["tokenizer.ggml.tokens"].([]string)
	for words, meta := range map[string]map[string]any{
		"tokens is missing": with("tokenizer.ggml.tokens", nil),
		"not a list of str": with("tokenizer.ggml.tokens", []int32{1}),
		"token types":       with("tokenizer.ggml.token_type", []int32{1, 2}),
		"token_type is not": with("tokenizer.ggml.token_type", "x"),
		"merges is not":     with("tokenizer.ggml.merges", []int32{1}),
		"not two tokens":    with("tokenizer.ggml.merges", []string{"abc"}),
		"not in the vocab":  with("tokenizer.ggml.merges", []string{"qqq zzzz"}),
		"not UTF-8":         with("tokenizer.ggml.tokens", append([]string{"\xff"}, tokens[1:]...)),
		"are both":          with("tokenizer.ggml.tokens", append([]string{tokens[1]}, tokens[1:]...)),
	} {
		_, err := tokenizer.FromGGUF(meta)
		require.ErrorIs(t, err, tokenizer.ErrInvalid, words)
		require.ErrorContains(t, err, words)
	}
	_, err := tokenizer.FromGGUF(nil)
	require.ErrorIs(t, err, tokenizer.ErrInvalid)
	for _, types := range []any{[]uint8{1}, []int64{1}, []uint64{1}, []any{int16(1)}, []float32{1}} {
		_, err := tokenizer.FromGGUF(map[string]any{"tokenizer.ggml.tokens": []string{"a"}, "tokenizer.ggml.token_type": types})
		if _, float := types.([]float32); float {
			require.ErrorIs(t, err, tokenizer.ErrInvalid)
		} else {
			require.ErrorIs(t, err, tokenizer.ErrUnsupported, "%T: every width is read", types)
		}
	}
}

// llamaCppOwn are vectors that hold what llama.cpp makes of a text, by number: Qwen3.5's tokenizer normalises
// to NFC, and llama.cpp does not.
var llamaCppOwn = map[string][]int{"ggml-vocab-qwen35.gguf": {47, 48, 49}}

// TestLlamaCppVocabularies compares llama.cpp's own test vocabularies with the vectors beside them, which
// are what the official tokenizers make of its texts.
func TestLlamaCppVocabularies(t *testing.T) {
	dir := os.Getenv("TRTGO_LLAMACPP_MODELS")
	if dir == "" {
		t.Skip("set TRTGO_LLAMACPP_MODELS to the folder of llama.cpp that has ggml-vocab-*.gguf")
	}
	inputs, err := filepath.Glob(filepath.Join(dir, "ggml-vocab-*.gguf.inp"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		path := strings.TrimSuffix(input, ".inp")
		t.Run(filepath.Base(path), func(t *testing.T) {
			tok := openGGUF(t, ggufMetadata(t, path))
			text, err := os.ReadFile(input)
			require.NoError(t, err)
			want, err := os.ReadFile(path + ".out")
			require.NoError(t, err)
			texts := strings.Split(string(text), "\n__ggml_vocab_test__\n")
			lines := strings.Split(strings.TrimSuffix(string(want), "\n"), "\n")
			require.Equal(t, strings.Count(string(want), "\n"), len(lines))
			// A separator stands behind the last text of some files.
			require.Contains(t, []int{len(lines), len(lines) + 1}, len(texts))
			for i, line := range lines {
				got := []string{}
				for _, id := range encode(t, tok, texts[i], tokenizer.EncodeOptions{}) {
					got = append(got, strconv.Itoa(int(id)))
				}
				if slices.Contains(llamaCppOwn[filepath.Base(path)], i+1) {
					assert.NotEqual(t, strings.Fields(line), got, "vector %d: %q", i+1, texts[i])
					continue
				}
				assert.Equal(t, strings.Fields(line), got, "vector %d: %q", i+1, texts[i])
			}
		})
	}
}

// smolLM2 finds the real model, or skips.
func smolLM2(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("TRTGO_SMOLLM2_GGUF"); path != "" {
		return path
	}
	found, err := filepath.Glob("../models/*SmolLM2-135M-Instruct*.gguf")
	require.NoError(t, err)
	if len(found) == 0 {
		t.Skip("SmolLM2-135M-Instruct is not there: set TRTGO_SMOLLM2_GGUF, or put its .gguf into models/")
	}
	return found[0]
}

// TestSmolLM2 compares the tokenizer and template inside a real GGUF with what the libraries make of it.
func TestSmolLM2(t *testing.T) {
	tok := openGGUF(t, ggufMetadata(t, smolLM2(t)))
	require.Equal(t, 49152, tok.VocabSize())
	require.Equal(t, []int32{2}, tok.EOS())
	cases := conversations(t)
	rows := readLines[struct {
		goldenRow
		Text, Case string
	}](t, "testdata/golden/smollm2.jsonl")
	for _, r := range rows {
		ids := encode(t, tok, r.Text, tokenizer.EncodeOptions{})
		require.Equal(t, r.IDs, ids, "%q", r.Text)
		if r.Case != "" {
			c := cases[r.Case]
			text, err := tok.RenderChat(c.Messages, tokenizer.ChatOptions{AddGenerationPrompt: c.AddGenerationPrompt})
			require.NoError(t, err)
			require.Equal(t, r.Text, text)
			continue
		}
		require.Equal(t, or(r.Dec, r.Text), decode(t, tok, ids, false), "%q", r.Text)
		require.Equal(t, or(r.DecSkip, r.Text), decode(t, tok, ids, true), "%q", r.Text)
		incremental(t, tok, ids, or(r.DecSkip, r.Text), nil, nil)
	}
}

// ggufMetadata reads a GGUF's metadata; a test's reader, for a file that is trusted.
func ggufMetadata(t testing.TB, path string) map[string]any {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	fixed := func(n int) uint64 {
		var b [8]byte
		_, err := io.ReadFull(r, b[:n])
		require.NoError(t, err)
		return binary.LittleEndian.Uint64(b[:])
	}
	text := func() string {
		b := make([]byte, fixed(8))
		_, err := io.ReadFull(r, b)
		require.NoError(t, err)
		return string(b)
	}
	sizes := map[uint64]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
	scalar := func(kind uint64) any {
		switch v := fixed(sizes[kind]); kind {
		case 6:
			return math.Float32frombits(uint32(v))
		case 7:
			return v == 1
		case 12:
			return math.Float64frombits(v)
		default:
			return v
		}
	}
	require.Equal(t, "GGUF", string([]byte{byte(fixed(1)), byte(fixed(1)), byte(fixed(1)), byte(fixed(1))}))
	fixed(4) // version
	fixed(8) // tensors
	meta := make(map[string]any)
	for n := fixed(8); n > 0; n-- {
		key := text()
		switch kind := fixed(4); kind {
		case 8:
			meta[key] = text()
		case 9:
			kind, count := fixed(4), fixed(8)
			if kind == 8 {
				list := make([]string, count)
				for i := range list {
					list[i] = text()
				}
				meta[key] = list
				continue
			}
			list := make([]any, count)
			for i := range list {
				list[i] = scalar(kind)
			}
			meta[key] = list
		default:
			meta[key] = scalar(kind)
		}
	}
	return meta
}
