package tokenizer

import "unicode/utf8"

// unknownPenalty is what an unknown character scores below the worst piece.
const unknownPenalty = 10

// hfUnigram is the Unigram model of a tokenizer.json.
type hfUnigram struct {
	vocab    *vocabulary
	core     *unigram[float64]
	fallback *[256]int32 // the tokens <0x00> to <0xFF> (byte_fallback); nil without
	unk      int32       // -1 without
	cache    pieceCache
}

// unigram reads vocab as an array of pieces with scores: a piece's place is its id.
func (o *modelOptions) unigram() (hfModel, *vocabulary, int32, error) {
	var pieces []unigramPiece
	worst := 0.0
	s := &jsonScanner{text: o.vocabText}
	err := s.array(func() error {
		p := unigramPiece{id: int32(len(pieces))}
		n := 0
		err := s.array(func() (err error) {
			if n == 0 {
				p.text, err = s.string()
			} else if n == 1 {
				p.score, err = s.float()
			} else {
				err = s.errorf("piece %d has more than a text and a score", p.id)
			}
			n++
			return err
		})
		if err == nil && n != 2 {
			err = s.errorf("piece %d has no score", p.id)
		}
		if len(pieces) == 0 || p.score < worst {
			worst = p.score
		}
		pieces = append(pieces, p)
		return err
	})
	if err != nil {
		return nil, nil, 0, invalid("model: vocab: %v", err)
	}
	unk := int32(-1)
	if o.UnkID != nil {
		if *o.UnkID < 0 || *o.UnkID >= int64(len(pieces)) {
			return nil, nil, 0, invalid("model Unigram has %d pieces, but unk_id %d", len(pieces), *o.UnkID)
		}
		unk = int32(*o.UnkID)
	}
	return newHFUnigram(pieces, unk, worst, value(o.ByteFallback))
}

func newHFUnigram(pieces []unigramPiece, unk int32, worst float64, byteFallback bool) (hfModel, *vocabulary, int32, error) {
	texts := make([]byte, 0, 8*len(pieces))
	for _, p := range pieces {
		texts = append(texts, p.text...)
	}
	// The pieces lie in one string of their own, so that they do not keep the whole file in memory.
	rest := string(texts)
	v := newVocabulary(len(pieces))
	filled := pieces[:0]
	for _, p := range pieces {
		p.text, rest = rest[:len(p.text)], rest[len(p.text):]
		if err := v.add(p.text, int64(p.id), int64(len(pieces))); err != nil {
			return nil, nil, 0, err
		}
		if p.text != "" {
			filled = append(filled, p)
		}
	}
	v.listed = len(pieces)
	m := &hfUnigram{vocab: v, unk: unk, core: newUnigram[float64](filled, unk, worst-unknownPenalty)}
	if byteFallback {
		m.fallback = fallbackTokens(v)
	}
	return m, v, unk, nil
}

func (m *hfUnigram) encode(dst []int32, piece string) ([]int32, error) {
	cacheable := len(piece) <= maxCachedPiece
	if cacheable {
		if ids, ok := m.cache.get(piece); ok {
			return append(dst, ids...), nil
		}
	}
	spans, ok := m.core.segment(nil, piece)
	if !ok {
		return nil, m.noUnknown(piece)
	}
	start := len(dst)
	for i := 0; i < len(spans); i++ {
		s := spans[i]
		if s.id != m.unk || m.unk < 0 {
			dst = append(dst, s.id)
			continue
		}
		// Unknown characters in a row are one unknown, which may be a piece after all.
		for i+1 < len(spans) && spans[i+1].id == m.unk {
			i++
		}
		dst = m.unknown(dst, piece[s.start:spans[i].end])
	}
	if cacheable {
		m.cache.put(piece, dst[start:])
	}
	return dst, nil
}

func (m *hfUnigram) unknown(dst []int32, text string) []int32 {
	if id, ok := m.vocab.id(text); ok {
		return append(dst, id)
	}
	if m.fallback != nil {
		if out, ok := appendFallback(dst, m.fallback, text); ok {
			return out
		}
	}
	return append(dst, m.unk)
}

func (m *hfUnigram) noUnknown(piece string) error {
	r, _ := utf8.DecodeRuneInString(piece)
	return invalid("the model Unigram has no unk_id, and no pieces for the text that begins with %q", r)
}
