package tokenizer

import "math"

// unkPenalty is how much worse than the worst piece an unknown character is.
const unkPenalty = 10

// newUnigram indexes the pieces of a Unigram model, with SentencePiece's arithmetic in float32. The
// score of a user-defined piece grows with its length in bytes and is never negative, so that it
// wins over the pieces that it is made of.
func (sp *sentencePiece) newUnigram() *unigram[float32] {
	worst := float32(math.MaxFloat32)
	pieces := make([]unigramPiece, 0, len(sp.model.pieces))
	for i, p := range sp.model.pieces {
		switch p.kind {
		case pieceNormal:
			worst = min(worst, p.score)
			pieces = append(pieces, unigramPiece{text: sp.model.texts[i], id: int32(i), score: float64(p.score)})
		case pieceUserDefined:
			score := float32(0.1 * float64(len(sp.model.texts[i])-1))
			pieces = append(pieces, unigramPiece{text: sp.model.texts[i], id: int32(i), score: float64(score)})
		}
	}
	u := newUnigram[float32](pieces, sp.unk, float64(worst-unkPenalty))
	u.rebase = 100_000
	return u
}

// encodeUnigram appends the ids of normalised text.
func (sp *sentencePiece) encodeUnigram(dst []int32, text string) []int32 {
	sp.unigram.each(text, func(spans []unigramSpan) {
		for _, s := range spans {
			if s.id != sp.unk {
				dst = append(dst, s.id)
				continue
			}
			dst = sp.emit(dst, text[s.start:s.end], -1, false)
		}
	})
	return dst
}
