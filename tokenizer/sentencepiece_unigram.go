package tokenizer

import "math"

// unkPenalty is how much worse than the worst piece an unknown character is.
const unkPenalty = 10

// newUnigram indexes the pieces of a Unigram model, with SentencePiece's arithmetic in float32. A
// user-defined piece counts as much as its length in bytes times the best score, so that it wins over
// the pieces that it is made of.
func (sp *sentencePiece) newUnigram() *unigram[float32] {
	worst, best := float32(math.MaxFloat32), float32(0x1p-126) // C's FLT_MIN, so that best is never negative
	for _, p := range sp.model.pieces {
		if p.kind == pieceNormal {
			worst, best = min(worst, p.score), max(best, p.score)
		}
	}
	pieces := make([]unigramPiece, 0, len(sp.model.pieces))
	for i, p := range sp.model.pieces {
		switch p.kind {
		case pieceNormal:
			pieces = append(pieces, unigramPiece{text: p.text, id: int32(i), score: float64(p.score)})
		case pieceUserDefined:
			score := float64(float32(len(p.text))*best) - 0.1
			pieces = append(pieces, unigramPiece{text: p.text, id: int32(i), score: score})
		}
	}
	return newUnigram[float32](pieces, sp.unk, float64(worst-unkPenalty))
}

// encodeUnigram appends the ids of normalised text. Unknown characters become their bytes, or, without
// byte_fallback, each run of them one unknown piece.
func (sp *sentencePiece) encodeUnigram(dst []int32, text string) []int32 {
	spans, _ := sp.unigram.segment(nil, text)
	for i, s := range spans {
		switch {
		case s.id != sp.unk:
			dst = append(dst, s.id)
		case sp.model.byteFallback:
			for _, b := range []byte(text[s.start:s.end]) {
				dst = append(dst, sp.bytes[b])
			}
		case i == 0 || spans[i-1].id != sp.unk:
			dst = append(dst, sp.unk)
		}
	}
	return dst
}
