package tokenizer

import "unicode/utf8"

// wordPiece takes the longest token that the word begins with, then the longest with the prefix that the
// rest begins with, and so on; a word that cannot be cut so is unknown as a whole.
type wordPiece struct {
	vocab    *vocabulary
	unk      string
	prefix   string
	maxChars int // of a word; longer ones are unknown
	longest  int // bytes of the longest token
}

func (o *modelOptions) wordPiece() (hfModel, *vocabulary, int32, error) {
	if o.UnkToken == nil || o.Prefix == nil || o.MaxInputChars == nil {
		return nil, nil, 0, invalid("model WordPiece lacks one of unk_token, continuing_subword_prefix and max_input_chars_per_word")
	}
	if *o.MaxInputChars < 0 {
		return nil, nil, 0, invalid("model WordPiece has max_input_chars_per_word %d, which is negative", *o.MaxInputChars)
	}
	v, err := o.vocabulary()
	if err != nil {
		return nil, nil, 0, err
	}
	m := &wordPiece{vocab: v, unk: *o.UnkToken, prefix: *o.Prefix, maxChars: int(*o.MaxInputChars)}
	for _, t := range v.tokens {
		m.longest = max(m.longest, len(t))
	}
	return m, v, idOrNone(v, m.unk), nil
}

func idOrNone(v *vocabulary, token string) int32 {
	if id, ok := v.id(token); ok {
		return id
	}
	return -1
}

func (m *wordPiece) encode(dst []int32, word string) ([]int32, error) {
	if len(word) > m.maxChars && utf8.RuneCountInString(word) > m.maxChars {
		return appendUnknown(dst, m.vocab, m.unk)
	}
	first := len(dst)
	spelling := make([]byte, 0, 64)
	for start := 0; start < len(word); {
		spelling = spelling[:0]
		if start > 0 {
			spelling = append(spelling, m.prefix...)
		}
		prefix := len(spelling)
		spelling = append(spelling, word[start:min(len(word), start+m.longest)]...)
		id, n := m.longestToken(spelling, prefix)
		if n == 0 {
			return appendUnknown(dst[:first], m.vocab, m.unk)
		}
		dst = append(dst, id)
		start += n
	}
	return dst, nil
}

// longestToken returns the longest token that spelling begins with and that is longer than the prefix, and
// how much longer.
func (m *wordPiece) longestToken(spelling []byte, prefix int) (id int32, n int) {
	for end := len(spelling); end > prefix; {
		if id, ok := m.vocab.idOfBytes(spelling[:end]); ok {
			return id, end - prefix
		}
		for end--; end > prefix && !utf8.RuneStart(spelling[end]); {
			end--
		}
	}
	return 0, 0
}

func appendUnknown(dst []int32, v *vocabulary, unk string) ([]int32, error) {
	id, ok := v.id(unk)
	if !ok {
		return nil, invalid("the text needs unk_token %q, which is not in the vocabulary", unk)
	}
	return append(dst, id), nil
}

// wordLevel has a token for each word.
type wordLevel struct {
	vocab *vocabulary
	unk   string
}

func (o *modelOptions) wordLevel() (hfModel, *vocabulary, int32, error) {
	if o.UnkToken == nil {
		return nil, nil, 0, invalid("model WordLevel has no unk_token")
	}
	v, err := o.vocabulary()
	if err != nil {
		return nil, nil, 0, err
	}
	return &wordLevel{vocab: v, unk: *o.UnkToken}, v, idOrNone(v, *o.UnkToken), nil
}

func (m *wordLevel) encode(dst []int32, word string) ([]int32, error) {
	if id, ok := m.vocab.id(word); ok {
		return append(dst, id), nil
	}
	return appendUnknown(dst, m.vocab, m.unk)
}
