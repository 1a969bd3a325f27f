package tokenizer

import "fmt"

// Tokenizer turns text into token ids and back, and messages into a model's prompt. It is
// immutable after loading and safe for concurrent use.
type Tokenizer struct {
	vocab       *vocabulary
	added       *addedVocab
	normalizers normalizers // before added tokens are searched in normalised text; nil for SentencePiece
	encoder     encoder
	decoding    decoding

	limits limits

	// prefix and suffix are put around a text when special tokens are added.
	prefix, suffix []int32

	bos, pad, unk int32 // -1 without
	eos           []int32
	cleanUp       bool // clean_up_tokenization_spaces
	lossy         bool // invalid UTF-8 is replaced before the encoder sees it

	// fromModel is set for SentencePiece: the model names bos_token and eos_token, and a
	// configuration says whether they are put around a text.
	fromModel bool

	// control holds SentencePiece's control tokens, which are special without being added.
	control map[int32]bool

	named map[string]string // bos_token and so on, for chat templates
	chat  chatTemplates
}

// encoder encodes text that holds no added token. first is true for the first text of a string.
type encoder interface {
	encode(dst []int32, text string, first bool) ([]int32, error)
}

// decoding makes the state of one decoding.
type decoding interface{ newState() decodeState }

// wholeDecoding is a decoding with a faster way for a list of ids. done is how many it took; if they are not
// all, the text is of no use.
type wholeDecoding interface {
	appendWhole(dst []byte, t *Tokenizer, ids []int32, skip bool) (text []byte, done int)
}

// decodeState appends the text that becomes certain with each id, and at the end what is left.
// keepSpecial makes a SentencePiece control token visible.
type decodeState interface {
	add(dst []byte, id int32, keepSpecial bool) []byte
	flush(dst []byte) []byte
}

// EncodeOptions says how a text is encoded; the zero value adds nothing and parses the text of
// special tokens.
type EncodeOptions struct {
	// AddSpecialTokens puts the model's tokens around the text: of a tokenizer.json what its post-processor
	// says; of the other kinds bos before it, if there is one, and nothing behind it, unless add_bos_token and
	// add_eos_token of tokenizer_config.json say otherwise. A tokenizer.model that OpenFile read alone gets eos
	// behind the text and no bos.
	AddSpecialTokens bool
	// PlainSpecialTokens treats the text of special tokens as any other text, so that a user's
	// text cannot forge one. Added tokens that are not special are parsed all the same.
	PlainSpecialTokens bool
	// FileLimits cuts and pads the ids as the truncation and padding of a tokenizer.json say: the plain
	// tokenizers library always does so, transformers only when it is asked to. What was cut off is lost,
	// and a length that depends on a batch's other texts is that of the one text.
	FileLimits bool
}

// DecodeOptions says how ids are decoded.
type DecodeOptions struct {
	// SkipSpecialTokens leaves special tokens out.
	SkipSpecialTokens bool
}

// Encode returns the ids of text. Invalid UTF-8 is no error: it is replaced by U+FFFD, by each
// library's own rule.
func (t *Tokenizer) Encode(text string, o EncodeOptions) ([]int32, error) {
	ids := make([]int32, 0, len(text)/3+len(t.prefix)+len(t.suffix)+1)
	added := 0
	if o.AddSpecialTokens {
		ids = append(ids, t.prefix...)
		added = len(t.prefix) + len(t.suffix)
	}
	first := len(ids)
	ids, err := t.encodeText(ids, text, o.PlainSpecialTokens)
	if err != nil {
		return nil, err
	}
	if o.FileLimits {
		kept, err := t.limits.truncation.truncate(ids[first:], added)
		if err != nil {
			return nil, err
		}
		ids = append(ids[:first], kept...)
	}
	if o.AddSpecialTokens {
		ids = append(ids, t.suffix...)
	}
	if o.FileLimits {
		ids = t.limits.padding.pad(ids)
	}
	return ids, nil
}

// encodeText cuts out the added tokens and encodes what is between.
func (t *Tokenizer) encodeText(ids []int32, text string, plainSpecial bool) ([]int32, error) {
	if t.lossy {
		text = validText(text)
	}
	segments, err := t.added.split(text, t.normalizers, plainSpecial)
	if err != nil {
		return nil, err
	}
	for _, s := range segments {
		if s.id >= 0 {
			ids = append(ids, s.id)
			continue
		}
		if ids, err = t.encoder.encode(ids, s.text, s.first); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// Decode returns the text of ids. An id without a token is an error that wraps ErrUnknownID.
func (t *Tokenizer) Decode(ids []int32, o DecodeOptions) (string, error) {
	if w, ok := t.decoding.(wholeDecoding); ok && !t.cleanUp {
		if text, done := w.appendWhole(make([]byte, 0, 4*len(ids)), t, ids, o.SkipSpecialTokens); done == len(ids) {
			return string(text), nil
		}
	}
	d := t.NewDecoder(o)
	for i, id := range ids {
		if err := d.add(id); err != nil {
			return "", fmt.Errorf("id %d of %d: %w", i+1, len(ids), err)
		}
	}
	d.finish()
	return d.take(), nil
}

// VocabSize returns the highest id plus one, added tokens included: the rows that an embedding
// needs. Ids below it without a token are possible.
func (t *Tokenizer) VocabSize() int { return t.vocab.size() }

// Token returns the token with this id as the vocabulary spells it.
func (t *Tokenizer) Token(id int32) (string, bool) { return t.vocab.token(id) }

// TokenID returns the id of the token that the vocabulary spells s.
func (t *Tokenizer) TokenID(s string) (int32, bool) {
	return t.vocab.lookUp(s)
}

// BOS returns the id of the beginning-of-sequence token, if the model has one.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS returns the ids that end a generation: those of generation_config.json, then the
// tokenizer's own end token. It may be empty.
func (t *Tokenizer) EOS() []int32 { return append([]int32(nil), t.eos...) }

// PAD returns the id of the padding token, if the model names one.
func (t *Tokenizer) PAD() (int32, bool) { return t.pad, t.pad >= 0 }

// UNK returns the id of the unknown token, if the model has one.
func (t *Tokenizer) UNK() (int32, bool) { return t.unk, t.unk >= 0 }

// IsSpecial reports whether id is a special token, which SkipSpecialTokens leaves out.
func (t *Tokenizer) IsSpecial(id int32) bool { return t.isSpecial(id) }

func (t *Tokenizer) isSpecial(id int32) bool { return t.added.isSpecial(id) || t.control[id] }
