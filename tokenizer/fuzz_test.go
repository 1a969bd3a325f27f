package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func seedFiles(f *testing.F, pattern string) {
	paths, err := filepath.Glob(pattern)
	require.NoError(f, err)
	require.NotEmpty(f, paths)
	for _, p := range paths {
		data, err := os.ReadFile(p)
		require.NoError(f, err)
		f.Add(data)
	}
}

// use drives a tokenizer that a hostile file gave.
func use(t *testing.T, tok *Tokenizer) {
	text := "Hello wörld 123 <|bos|>\n<s> 日本\xff"
	ids, err := tok.Encode(text, EncodeOptions{AddSpecialTokens: true, FileLimits: true})
	if err != nil {
		refused(t, err) // without an unknown token, or by a pattern that takes too long
		return
	}
	s, err := tok.Decode(ids, DecodeOptions{})
	require.NoError(t, err, "what it encoded, it can decode")
	require.True(t, utf8.ValidString(s))
	for id := range min(tok.VocabSize(), 300) {
		if _, ok := tok.Token(int32(id)); ok {
			_, err := tok.Decode([]int32{int32(id)}, DecodeOptions{SkipSpecialTokens: true})
			require.NoError(t, err)
		}
	}
}

func FuzzTokenizerJSON(f *testing.F) {
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `{"model":{}}`, `{"model":null}`, `{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`,
		tinyJSON(`{"a":0,"b":1,"ab":2}`, `["a b"]`), tinyJSON(`{"a":0,"b":1,"ab":2}`, `[["a","b"]]`),
		tinyJSON(`{"a":4294967295}`, `[]`), tinyJSON(`{"a":-1}`, `[]`), tinyJSON(`{"a":0,"b":0}`, `[]`),
		tinyJSON(`{"a":0}`, `["a b"]`), tinyJSON(`{"a":0}`, `["a"]`), tinyJSON(`{"a":0}`, `[["a"]]`), tinyJSON(`{"a":0}`, `[1]`), tinyJSON(`{"a":0}`, `{}`),
		strings.Replace(tinyJSON(`{"a":0}`, `[]`), `"pre_tokenizer":`, `"pre_tokenizer":`+strings.Repeat(`{"type":"Sequence","pretokenizers":[`, 40)+strings.Repeat(`]}`, 40)+`,"x":`, 1),
	} {
		f.Add([]byte(s))
	}
	// Small files, since Go's fuzzing spends its time on making large ones smaller.
	for _, model := range []string{
		`{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1.5],["▁a",-2]],"byte_fallback":true}`,
		`{"type":"WordPiece","unk_token":"a","continuing_subword_prefix":"##","max_input_chars_per_word":9,"vocab":{"a":0,"##b":1}}`,
		`{"type":"WordLevel","unk_token":"a","vocab":{"a":0,"Hello":1}}`,
		`{"type":"BPE","unk_token":"a","fuse_unk":true,"byte_fallback":true,"continuing_subword_prefix":"#","end_of_word_suffix":"$","vocab":{"a":0,"#b":1,"ab":2,"<0x41>":3},"merges":[["a","#b"]]}`,
	} {
		for _, parts := range []string{
			`"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"Regex":"\\s+|^"},"content":"▁"},{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"lowercase":true}]}`,
			`"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(?i:[a-z&&[^b]]++)(?!\\p{L})"},"behavior":"MergedWithNext","invert":true},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true}`,
			`"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false},"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}`,
			`"post_processor":{"type":"RobertaProcessing","sep":["s",0],"cls":["c",0]},"truncation":{"max_length":3,"strategy":"LongestFirst","stride":0},"padding":{"strategy":{"Fixed":5},"direction":"Left","pad_id":0}`,
			`"added_tokens":[{"id":9,"content":"Hello","single_word":true,"lstrip":true,"rstrip":true,"normalized":true}],"decoder":{"type":"CTC","pad_token":"a","word_delimiter_token":"|","cleanup":true}`,
		} {
			f.Add([]byte(`{"version":"1.0",` + parts + `,"model":` + model + `}`))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := parseHF(data, nil, nil); err == nil {
			use(t, tok)
		} else {
			refused(t, err)
		}
	})
}

// refused checks that an error is one that callers can tell.
func refused(t *testing.T, err error) {
	for _, kind := range []error{ErrInvalid, ErrUnsupported} {
		if strings.Contains(err.Error(), kind.Error()) {
			require.ErrorIs(t, err, kind)
			return
		}
	}
	t.Fatalf("an error of no kind: %v", err)
}

func tinyJSON(vocab, merges string) string {
	return `{"added_tokens":[{"id":7,"content":"<x>","special":true,"lstrip":true}],"pre_tokenizer":{"type":"ByteLevel"},` +
		`"decoder":{"type":"ByteLevel"},"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"<x>"}}],` +
		`"special_tokens":{"<x>":{"ids":[3]}}},"model":{"type":"BPE","vocab":` + vocab + `,"merges":` + merges + `}}`
}

func FuzzSentencePieceModel(f *testing.F) {
	seedFiles(f, "testdata/sp_variants/*.model")
	f.Add([]byte{})
	f.Add([]byte{0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F})
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := parseSentencePiece(data, nil, false); err == nil {
			use(t, tok)
		} else {
			refused(t, err)
		}
	})
}

func FuzzEncodeDecode(f *testing.F) {
	for _, s := range []string{"", "Hello", " a  b ", "日本\n\n\tx", "<|bos|>x", "\xff\xe2\x82", "👩‍🔬", "▁x", "<extra_id_0>\n"} {
		f.Add(s)
	}
	var toks []*Tokenizer
	for _, path := range []string{"testdata/hf_bbpe_llama3/tokenizer.json", "testdata/hf_bpe_metaspace/tokenizer.json", "testdata/sp_bpe_bf/tokenizer.model", "testdata/sp_bpe_bf_noprefix/tokenizer.model"} {
		tok, err := OpenFile(path)
		require.NoError(f, err)
		toks = append(toks, tok)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i, tok := range toks {
			ids, err := tok.Encode(s, EncodeOptions{PlainSpecialTokens: true})
			require.NoError(t, err)
			text, err := tok.Decode(ids, DecodeOptions{})
			require.NoError(t, err)
			d := tok.NewDecoder(DecodeOptions{})
			streamed := ""
			for _, id := range ids {
				chunk, err := d.Add(id)
				require.NoError(t, err)
				require.True(t, utf8.ValidString(chunk))
				streamed += chunk
			}
			require.Equal(t, text, streamed+d.Flush())
			// All bytes have tokens here, so that text comes back whole; SentencePiece's ▁ is a space.
			if utf8.ValidString(s) && (i == 0 || !strings.Contains(s, spaceSymbol)) {
				require.Equal(t, s, text)
			}
		}
	})
}
