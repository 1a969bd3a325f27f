package tokenizer_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

func smallJSON(t testing.TB) string {
	data, err := os.ReadFile("testdata/hf_bbpe_llama3/tokenizer.json")
	require.NoError(t, err)
	return string(data)
}

func openDir(t testing.TB, files map[string]string) (*tokenizer.Tokenizer, error) {
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return tokenizer.Open(dir)
}

func TestNoTokenizer(t *testing.T) {
	_, err := tokenizer.Open(t.TempDir())
	require.ErrorIs(t, err, tokenizer.ErrNoTokenizer)
	_, err = tokenizer.Open(filepath.Join(t.TempDir(), "nowhere"))
	require.ErrorIs(t, err, tokenizer.ErrNoTokenizer)
	_, err = tokenizer.OpenFile(filepath.Join(t.TempDir(), "x.model"))
	require.ErrorIs(t, err, tokenizer.ErrNoTokenizer)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tokenizer.json"), 0o755))
	_, err = tokenizer.Open(dir)
	require.ErrorContains(t, err, "is a directory")
}

func TestSpecialTokensOfTheConfiguration(t *testing.T) {
	tok, err := openDir(t, map[string]string{
		"tokenizer.json":          smallJSON(t),
		"tokenizer_config.json":   `{"bos_token":{"content":"<|bos|>"},"eos_token":"<|eos|>","pad_token":null}`,
		"special_tokens_map.json": `{"pad_token":"<|user|>","bos_token":"ignored: the configuration has it"}`,
		"generation_config.json":  `{"eos_token_id":[2602,2601,99999999,-5],"bos_token_id":7,"pad_token_id":8}`,
	})
	require.NoError(t, err)
	bos, _ := tok.BOS()
	pad, _ := tok.PAD()
	require.EqualValues(t, 2600, bos)
	require.EqualValues(t, 2602, pad, "a named token goes before the generation's id")
	require.Equal(t, []int32{2602, 2601}, tok.EOS(), "the generation's list, what the vocabulary lacks left out, then the tokenizer's own")

	tok, err = openDir(t, map[string]string{"tokenizer.json": smallJSON(t),
		"generation_config.json": `{"eos_token_id":5,"bos_token_id":7,"pad_token_id":8}`})
	require.NoError(t, err)
	bos, _ = tok.BOS()
	pad, _ = tok.PAD()
	require.EqualValues(t, 7, bos)
	require.EqualValues(t, 8, pad)
	require.Equal(t, []int32{5}, tok.EOS())

	tok, err = openDir(t, map[string]string{"tokenizer.json": smallJSON(t)})
	require.NoError(t, err)
	_, ok := tok.BOS()
	require.False(t, ok)
	_, ok = tok.PAD()
	require.False(t, ok)
	require.Empty(t, tok.EOS())
	require.Equal(t, 2603, tok.VocabSize())
}

// TestThePostProcessorCounts: transformers 5 does not look at add_bos_token and add_eos_token beside a
// tokenizer.json.
func TestThePostProcessorCounts(t *testing.T) {
	names := `"bos_token":"<|bos|>","eos_token":"<|eos|>"`
	for _, flags := range []string{``, `,"add_bos_token":false`, `,"add_eos_token":true`, `,"add_bos_token":null,"chat_template":"x","new":1`} {
		tok, err := openDir(t, map[string]string{"tokenizer.json": smallJSON(t), "tokenizer_config.json": `{` + names + flags + `}`})
		require.NoError(t, err)
		require.Equal(t, []int32{2600, 65}, encode(t, tok, "b", tokenizer.EncodeOptions{AddSpecialTokens: true}), flags)
		require.Equal(t, []int32{65}, encode(t, tok, "b", tokenizer.EncodeOptions{}))
	}
}

// TestTokensOfTheConfiguration: ids and text as AutoTokenizer of transformers 5.24 gives them.
func TestTokensOfTheConfiguration(t *testing.T) {
	const text = "a heat b <|user|> heat<new> x"
	decoder := `{"added_tokens_decoder":{"2602":{"content":"<|user|>","lstrip":true,"rstrip":true,"normalized":false,"special":false},` +
		`"2603":{"content":"<new>","rstrip":true,"normalized":false,"special":true}}}`
	plain := strings.ReplaceAll(strings.ReplaceAll(smallJSON(t), `"special":true`, `"special":false`), `"special": true`, `"special": false`)
	for _, c := range []struct {
		file, config string
		ids          []int32
		kept, text   string
	}{
		{smallJSON(t), `{"eos_token":"heat"}`, []int32{64, 220, 266, 382, 220, 2602, 220, 266, 27, 77, 68, 86, 29, 220, 87},
			"a heat b <|user|> heat<new> x", "a  b  <new> x"},
		{smallJSON(t), `{"eos_token":{"content":"heat","lstrip":true,"__type":"AddedToken"}}`, []int32{64, 266, 382, 220, 2602, 266, 27, 77, 68, 86, 29, 220, 87},
			"aheat b <|user|>heat<new> x", "a b <new> x"},
		{smallJSON(t), `{"additional_special_tokens":["heat"]}`, []int32{64, 220, 266, 382, 220, 2602, 220, 266, 27, 77, 68, 86, 29, 220, 87},
			"a heat b <|user|> heat<new> x", "a  b  <new> x"},
		{smallJSON(t), `{"extra_special_tokens":["heat"]}`, []int32{64, 220, 266, 382, 220, 2602, 220, 266, 27, 77, 68, 86, 29, 220, 87},
			"a heat b <|user|> heat<new> x", "a  b  <new> x"},
		{plain, `{"eos_token":"<|user|>"}`, []int32{64, 220, 266, 382, 220, 2602, 220, 266, 27, 77, 68, 86, 29, 220, 87},
			"a heat b <|user|> heat<new> x", "a heat b  heat<new> x"},
		{smallJSON(t), decoder, []int32{64, 220, 266, 382, 2602, 266, 2603, 87},
			"a heat b<|user|>heat<new>x", "a heat bheatx"},
	} {
		tok, err := openDir(t, map[string]string{"tokenizer.json": c.file, "tokenizer_config.json": c.config})
		require.NoError(t, err)
		require.Equal(t, c.ids, encode(t, tok, text, tokenizer.EncodeOptions{}), c.config)
		require.Equal(t, c.kept, decode(t, tok, c.ids, false), c.config)
		require.Equal(t, c.text, decode(t, tok, c.ids, true), c.config)
	}
	// transformers gives a named token that the vocabulary lacks an id of its own, which no model has a row for.
	tok, err := openDir(t, map[string]string{"tokenizer.json": smallJSON(t), "tokenizer_config.json": `{"pad_token":"<nowhere>"}`})
	require.NoError(t, err)
	require.Equal(t, 2603, tok.VocabSize())
}

func TestSentencePieceDirectory(t *testing.T) {
	model, err := os.ReadFile("testdata/sp_bpe_bf/tokenizer.model")
	require.NoError(t, err)
	open := func(config string) *tokenizer.Tokenizer {
		files := map[string]string{"tokenizer.model": string(model)}
		if config != "" {
			files["tokenizer_config.json"] = config
		}
		tok, err := openDir(t, files)
		require.NoError(t, err)
		return tok
	}
	special := tokenizer.EncodeOptions{AddSpecialTokens: true}
	require.Equal(t, []int32{1, 357}, encode(t, open(""), "b", special), "as Llama: bos, no eos")
	require.Equal(t, []int32{357, 2}, encode(t, open(`{"add_bos_token":false,"add_eos_token":true}`), "b", special))
	require.Equal(t, []int32{1, 357, 2}, encode(t, open(`{"add_eos_token":true}`), "b", special))
	require.Equal(t, []int32{2}, open("").EOS())

	file, err := tokenizer.OpenFile("testdata/sp_bpe_bf/tokenizer.model")
	require.NoError(t, err)
	require.Equal(t, []int32{357, 2}, encode(t, file, "b", special), "as upstream's --vocab_file: eos, no bos")

	// Tokens of added_tokens_decoder are cut out of the text, new ones extend the vocabulary.
	added := `{"added_tokens_decoder":{"2":{"content":"</s>","special":true},"2400":{"content":"<pad>","special":true}},"pad_token":"<pad>"%}`
	tok := open(strings.Replace(added, "%", "", 1))
	require.Equal(t, []int32{357, 2, 357, 2400}, encode(t, tok, "b</s>b<pad>", tokenizer.EncodeOptions{}), "legacy: a dummy prefix after each")
	require.Equal(t, " b</s> b<pad>"[1:], decode(t, tok, []int32{357, 2, 357, 2400}, false))
	require.Equal(t, "b b", decode(t, tok, []int32{357, 2, 357, 2400}, true))
	require.Equal(t, 2401, tok.VocabSize())
	pad, ok := tok.PAD()
	require.True(t, ok)
	require.EqualValues(t, 2400, pad)
	tok = open(strings.Replace(added, "%", `,"legacy":false`, 1))
	require.Equal(t, int32(357), encode(t, tok, "b</s>b", tokenizer.EncodeOptions{})[0])
	require.NotEqual(t, []int32{357, 2, 357}, encode(t, tok, "b</s>b", tokenizer.EncodeOptions{}), "not legacy: only the first")
	require.NotContains(t, encode(t, open(""), "b</s>", tokenizer.EncodeOptions{}), int32(2), "alone, SentencePiece parses no control tokens")
}

func TestBrokenFilesBeside(t *testing.T) {
	for name, text := range map[string]string{
		"tokenizer_config.json":   `{"bos_token":1}`,
		"special_tokens_map.json": `[`,
		"generation_config.json":  `{"eos_token_id":"x"}`,
		"chat_template.json":      `{"chat_template":5}`,
	} {
		_, err := openDir(t, map[string]string{"tokenizer.json": smallJSON(t), name: text})
		require.ErrorIs(t, err, tokenizer.ErrInvalid, name)
		require.ErrorContains(t, err, name)
	}
	model, err := os.ReadFile("testdata/sp_bpe_bf/tokenizer.model")
	require.NoError(t, err)
	for config, words := range map[string]string{
		`{"added_tokens_decoder":{"x":{"content":"q"}}}`:          `key "x"`,
		`{"added_tokens_decoder":{"5":{"content":"<new>"}}}`:      "both have id 5",
		`{"added_tokens_decoder":{"99999999":{"content":"<n>"}}}`: "allowed are 0 to",
	} {
		_, err := openDir(t, map[string]string{"tokenizer.model": string(model), "tokenizer_config.json": config})
		require.ErrorIs(t, err, tokenizer.ErrInvalid, config)
		require.ErrorContains(t, err, words)
	}
}

// TestTokenizerJSONRefusals changes one thing of a good file at a time.
func TestTokenizerJSONRefusals(t *testing.T) {
	good := smallJSON(t)
	swap := func(old, new string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, new, 1)
	}
	compact := strings.Contains(good, `"normalizer":null`)
	sp := " "
	if compact {
		sp = ""
	}
	for words, text := range map[string]string{
		"normalizer NFX":           swap(`"normalizer":`+sp+`null`, `"normalizer":{"type":"NFX"}`),
		"decoder Metaspaces":       swap(`"decoder":`, `"decoder":{"type":"Metaspaces"},"old":`),
		`model "Neural"`:           swap(`"type":`+sp+`"BPE"`, `"type":"Neural"`),
		"dropout":                  swap(`"dropout":`+sp+`null`, `"dropout":0.1`),
		"pattern":                  swap(`\\p{N}{1,3}`, `\\p{Nothing}{1,4}`),
		"BirtProcessing":           swap(`"type":`+sp+`"TemplateProcessing"`, `"type":"BirtProcessing"`),
		`version "2.0"`:            swap(`"version":`+sp+`"1.0"`, `"version":"2.0"`),
		"pre_tokenizer Whitespice": swap(`"type":`+sp+`"Split"`, `"type":"Whitespice"`),
	} {
		_, err := openDir(t, map[string]string{"tokenizer.json": text})
		require.ErrorIs(t, err, tokenizer.ErrUnsupported, words)
		require.ErrorContains(t, err, words)
	}
	for words, text := range map[string]string{
		"not a tokenizer.json":                            good[:len(good)/2],
		"which no token has":                              swap(`"ids":`, `"ids":[77777],"old":`),
		"added_tokens: found array, want an object":       swap(`"added_tokens":`+sp+`[`, `"added_tokens":[[],`),
		"normalizer: found number in type, want a string": swap(`"normalizer":`+sp+`null`, `"normalizer":{"type":1}`),
		"has 70000 bytes":                                 swap(`"added_tokens":`+sp+`[`, `"added_tokens":[{"content":"`+strings.Repeat("a", 70000)+`"},`),
		"has behavior \"Isolate\"":                        swap(`"Isolated"`, `"Isolate"`),
		"cls and sep must each be a token and an id":      swap(`"type":`+sp+`"TemplateProcessing"`, `"type":"BertProcessing"`),
		"lacks one of unk_token":                          swap(`"type":`+sp+`"BPE"`, `"type":"WordPiece"`),
	} {
		_, err := openDir(t, map[string]string{"tokenizer.json": text})
		require.ErrorIs(t, err, tokenizer.ErrInvalid, words)
		require.ErrorContains(t, err, words)
	}
}

func TestUnknownIDs(t *testing.T) {
	tok, err := tokenizer.Open("testdata/hf_bbpe_llama3")
	require.NoError(t, err)
	for _, id := range []int32{-1, 2603, 1 << 30} {
		_, err := tok.Decode([]int32{65, id}, tokenizer.DecodeOptions{})
		require.ErrorIs(t, err, tokenizer.ErrUnknownID)
		require.ErrorContains(t, err, "id 2 of 2")
		_, ok := tok.Token(id)
		require.False(t, ok)
	}
	d := tok.NewDecoder(tokenizer.DecodeOptions{})
	_, err = d.Add(2603)
	require.ErrorIs(t, err, tokenizer.ErrUnknownID)
	s, err := d.Add(65)
	require.NoError(t, err)
	require.Equal(t, "b", s, "an unknown id leaves the decoder as it was")
	id, ok := tok.TokenID("<|user|>")
	require.True(t, ok)
	require.EqualValues(t, 2602, id)
	_, ok = tok.TokenID("nothing like it")
	require.False(t, ok)
}

func TestCleanUpOfOtherModelsThanBPE(t *testing.T) {
	data, err := os.ReadFile("testdata/hf_unigram/tokenizer.json")
	require.NoError(t, err)
	for config, want := range map[string]string{`{}`: "so , it 's . no", `{"clean_up_tokenization_spaces":true}`: "so, it's. no"} {
		tok, err := openDir(t, map[string]string{"tokenizer.json": string(data), "tokenizer_config.json": config})
		require.NoError(t, err)
		require.Equal(t, want, decode(t, tok, encode(t, tok, "so , it 's . no", tokenizer.EncodeOptions{}), true), config)
	}
}

func TestCleanUpAsTheConfigurationSays(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                    "so , it 's . do n't",
		`{"clean_up_tokenization_spaces":true}`: "so , it 's . do n't", // as transformers 5: not for BPE
		`{"clean_up_tokenization_spaces":true,"clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output":true}`: "so, it's. don't",
	} {
		tok, err := openDir(t, map[string]string{"tokenizer.json": smallJSON(t), "tokenizer_config.json": config})
		require.NoError(t, err)
		ids := encode(t, tok, "so , it 's . do n't", tokenizer.EncodeOptions{})
		require.Equal(t, want, decode(t, tok, ids, true), config)
		incremental(t, tok, ids, want, nil, nil)
	}
}

func TestConcurrentUse(t *testing.T) {
	for _, kind := range goldenKinds {
		tok, text := openKind(t, kind), texts(t)
		rows := readLines[goldenRow](t, "testdata/golden/"+kind+".jsonl")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for _, r := range rows {
					ids, err := tok.Encode(text[r.ID], tokenizer.EncodeOptions{})
					if err != nil || len(ids) != len(r.IDs) {
						t.Errorf("%s: %d ids, want %d (%v)", r.ID, len(ids), len(r.IDs), err)
					}
				}
			})
		}
		wg.Wait()
	}
}

func BenchmarkEncode(b *testing.B) {
	var text strings.Builder
	for _, r := range readLines[textRow](b, "testdata/strings.jsonl") {
		text.WriteString(r.Text + "\n")
	}
	for _, kind := range goldenKinds {
		tok, err := tokenizer.Open("testdata/" + kind)
		require.NoError(b, err)
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				if _, err := tok.Encode(text.String(), tokenizer.EncodeOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
