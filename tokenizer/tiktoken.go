package tokenizer

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Patterns of tiktoken's own encodings, which have possessive quantifiers.
const (
	patternR50K  = `'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s`
	patternCL100 = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`
	patternO200  = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen35 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// tiktokenPatterns mean another thing in a tokenizer.json: to Oniguruma {1,3}+ is any number, and $ no end
// behind a line break.
var tiktokenPatterns = map[string]splitter{patternCL100: splitCL100}

// splitCL100 is splitLlama3, except that white space to the end of the text is one piece even if it
// holds line breaks.
func splitCL100(table []uint16, s string, i int) int {
	if runOf(table, s, i, classSpace, 0) == len(s) {
		return len(s)
	}
	return splitLlama3(table, s, i)
}

// tiktokenVocabulary is what a file of ranks does not say of a published vocabulary.
type tiktokenVocabulary struct {
	name    string
	tokens  int
	sha256  string // of the file
	pattern string
	special map[int32]string
	bos     string // put before a text when special tokens are added
	eos     string
}

// tiktokenVocabularies are those that a file is known by: tiktoken's, Llama-3's tokenizer.model, Qwen's.
var tiktokenVocabularies = []tiktokenVocabulary{
	{name: "r50k_base", tokens: 50256, sha256: "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
		pattern: patternR50K, special: map[int32]string{50256: "<|endoftext|>"}, eos: "<|endoftext|>"},
	{name: "p50k_base", tokens: 50280, sha256: "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
		pattern: patternR50K, special: map[int32]string{50256: "<|endoftext|>"}, eos: "<|endoftext|>"},
	{name: "cl100k_base", tokens: 100256, sha256: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
		pattern: patternCL100, special: map[int32]string{100257: "<|endoftext|>", 100258: "<|fim_prefix|>",
			100259: "<|fim_middle|>", 100260: "<|fim_suffix|>", 100276: "<|endofprompt|>"}, eos: "<|endoftext|>"},
	{name: "o200k_base", tokens: 199998, sha256: "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
		pattern: patternO200, special: map[int32]string{199999: "<|endoftext|>", 200018: "<|endofprompt|>"}, eos: "<|endoftext|>"},
	{name: "Llama-3", tokens: 128000, sha256: "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55",
		pattern: patternLlama3, special: llama3Special(), bos: "<|begin_of_text|>", eos: "<|end_of_text|>"},
	{name: "Qwen", tokens: 151643, sha256: "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
		pattern: patternQwen2, special: numbered(151643, []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, "<|extra_%d|>", 205), eos: "<|endoftext|>"},
	{name: "Qwen3.5", tokens: 248044, sha256: "8dde380a6405e935f5de16a99eb61c824f3f814dd1ed298784c72babb7a03cdd",
		pattern: patternQwen35, special: numbered(248044, strings.Fields(`<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|>
		<|object_ref_end|> <|box_start|> <|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|>
		<|image_pad|> <|video_pad|> <tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|>
		<|file_sep|> <tool_response> </tool_response> <think> </think> <|audio_start|> <|audio_end|> <tts_pad> <tts_text_bos>
		<tts_text_eod> <tts_text_bos_single> <|audio_pad|>`), "", 0), eos: "<|endoftext|>"},
}

// numbered gives ids from first on to names, and then to the numbers below n in a name.
func numbered(first int32, names []string, name string, n int) map[int32]string {
	m := make(map[int32]string, len(names)+n)
	for _, s := range names {
		m[first+int32(len(m))] = s
	}
	for i := range n {
		m[first+int32(len(m))] = strings.Replace(name, "%d", strconv.Itoa(i), 1)
	}
	return m
}

// llama3Special are the 256 special tokens of Llama-3; later releases gave other names to some reserved ones.
func llama3Special() map[int32]string {
	m := numbered(128011-6, nil, "<|reserved_special_token_%d|>", 251)
	for id, s := range map[int32]string{128000: "<|begin_of_text|>", 128001: "<|end_of_text|>", 128006: "<|start_header_id|>",
		128007: "<|end_header_id|>", 128009: "<|eot_id|>"} {
		m[id] = s
	}
	for i, id := range []int32{128002, 128003, 128004, 128005, 128008, 128010} {
		m[id] = "<|reserved_special_token_" + strconv.Itoa(i) + "|>"
	}
	return m
}

// isTiktoken reports whether a file begins as lines of "base64 rank" do.
func isTiktoken(data []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(data[:min(len(data), 1<<16)], "\r\n"), []byte("\n"))
	_, _, ok := tiktokenLine(nil, line)
	return ok
}

// tiktokenLine reads a line and appends the bytes of its token to tokens.
func tiktokenLine(tokens, line []byte) (out []byte, rank int64, ok bool) {
	text, number, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
	if !ok || len(text) == 0 {
		return tokens, 0, false
	}
	out, err := base64.StdEncoding.AppendDecode(tokens, text)
	if err != nil || len(out) == len(tokens) {
		return tokens, 0, false
	}
	for _, c := range bytes.TrimSpace(number) {
		if c < '0' || c > '9' || rank > math.MaxInt32 {
			return tokens, 0, false
		}
		rank = 10*rank + int64(c-'0')
	}
	return out, rank, len(number) > 0
}

// readTiktoken reads the lines of a file of ranks.
func readTiktoken(data []byte) (*rankedVocabulary, error) {
	type entry struct {
		end  int // of the token in the text of all
		rank int64
	}
	var entries []entry
	arena := make([]byte, 0, len(data)/2)
	number, ordered := 0, true
	for line := range bytes.Lines(data) {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var rank int64
		var ok bool
		if arena, rank, ok = tiktokenLine(arena, line); !ok {
			return nil, invalid("line %d is not a token in base64 and its rank: %.60q", number, line)
		}
		if n := len(entries); n > 0 && entries[n-1].rank >= rank {
			ordered = false
		}
		entries = append(entries, entry{len(arena), rank})
	}
	texts := string(arena)
	r := &rankedVocabulary{tokens: make([]string, len(entries)), ids: make([]int32, len(entries))}
	for i, start := 0, 0; i < len(entries); i++ {
		if entries[i].rank > maxID(len(entries)) {
			return nil, invalid("token %q has rank %d, beyond %d", texts[start:entries[i].end], entries[i].rank, maxID(len(entries)))
		}
		r.tokens[i], r.ids[i] = texts[start:entries[i].end], int32(entries[i].rank)
		start = entries[i].end
	}
	if !ordered {
		sort.Stable(r)
	}
	return r, nil
}

// parseTiktoken reads the bytes of a file of ranks. The pattern and the special tokens are the
// configuration's, and those of the published vocabulary that the file is where it does not say.
func parseTiktoken(data []byte, c *tokenizerConfig) (*Tokenizer, error) {
	r, err := readTiktoken(data)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(data)
	known := tiktokenVocabulary{}
	for _, v := range tiktokenVocabularies {
		if v.tokens == len(r.tokens) && v.sha256 == hex.EncodeToString(digest[:]) {
			known = v
		}
	}
	if r.pattern = cmp.Or(c.PatStr, c.Pattern, known.pattern); r.pattern == "" {
		return nil, unsupported("tiktoken vocabulary without a pattern: tokenizer_config.json beside it names none as pat_str, "+
			"and its %d tokens with SHA-256 %x are not one of %s", len(r.tokens), digest, tiktokenNames())
	}
	r.nfc = c.Class == "QWenTokenizer" // which normalises before tiktoken sees the text
	added, err := c.addedList()
	if err != nil {
		return nil, err
	}
	if len(added) == 0 {
		for id, s := range known.special {
			added = append(added, hfAddedToken{ID: int64(id), Content: s, Special: true})
		}
	}
	return r.loadTiktoken(added, known)
}

func tiktokenNames() string {
	var names []string
	for _, v := range tiktokenVocabularies {
		names = append(names, v.name)
	}
	return strings.Join(names, ", ")
}

// loadTiktoken makes the tokenizer and gives the special tokens the ids that they have.
func (r *rankedVocabulary) loadTiktoken(added []hfAddedToken, known tiktokenVocabulary) (*Tokenizer, error) {
	t, err := r.load()
	if err != nil {
		return nil, err
	}
	var tokens []*addedToken
	limit := maxID(len(r.tokens) + len(added))
	slices.SortFunc(added, func(a, b hfAddedToken) int { return cmp.Compare(a.ID, b.ID) })
	for _, a := range added {
		if len(a.Content) > maxAdded || a.Content == "" {
			return nil, invalid("special token %d has %d bytes, allowed are 1 to %d", a.ID, len(a.Content), maxAdded)
		}
		if old, ok := t.vocab.token(int32(a.ID)); !ok || old != a.Content {
			if err := t.vocab.add(a.Content, a.ID, limit); err != nil {
				return nil, err
			}
		}
		token := a.token()
		token.id, token.normalized = int32(a.ID), false
		tokens = append(tokens, token)
	}
	t.added, t.decoding = newAddedVocab(tokens), r.decoding(t.vocab, nil)
	if id, ok := t.vocab.id(known.bos); ok && known.bos != "" {
		t.bos = id
	}
	if id, ok := t.vocab.id(known.eos); ok && known.eos != "" {
		t.eos = []int32{id}
	}
	return t, nil
}
