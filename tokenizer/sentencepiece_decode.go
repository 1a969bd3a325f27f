package tokenizer

import (
	"strings"
	"unicode/utf8"
)

func (sp *sentencePiece) newState() decodeState {
	s := &spState{sp: sp, atStart: true}
	if sp.denorm == nil {
		return s
	}
	return &spDenormState{pieces: s, text: spDenormalizing{n: sp.denorm}}
}

// spState decodes pieces. Byte pieces in a row form characters; a byte that cannot belong to one
// becomes U+FFFD by itself.
type spState struct {
	sp      *sentencePiece
	pending []byte // bytes of an unfinished character
	// atStart is true until text has come, or a space symbol has been dropped: there the space of the dummy
	// prefix is.
	atStart bool
	wrote   bool
}

func (s *spState) add(dst []byte, id int32, keepSpecial bool) []byte {
	if int(id) >= len(s.sp.model.pieces) { // added by a configuration
		return s.literal(dst, id)
	}
	p, piece := &s.sp.model.pieces[id], s.sp.model.texts[id]
	if p.kind == pieceByte {
		b, _ := bytePiece(piece)
		s.pending = append(s.pending, b)
		return s.drain(dst, false)
	}
	dst = s.drain(dst, true)
	s.atStart = s.atStart && !s.wrote
	before := len(dst)
	switch p.kind {
	case pieceControl:
		if keepSpecial {
			dst = append(dst, piece...)
		}
	case pieceUnknown:
		s.dropPrefix(piece)
		dst = append(dst, s.sp.model.unkSurface...)
	default:
		dst = appendSpaced(dst, s.dropPrefix(piece), p.innerSpace)
	}
	s.wrote = s.wrote || len(dst) > before
	return dst
}

// dropPrefix returns a piece without the space symbol of the dummy prefix. Where extra spaces are
// removed, all leading ones go.
func (s *spState) dropPrefix(piece string) string {
	spec := &s.sp.model.normalizer
	if s.atStart && (spec.dummyPrefix || spec.collapseSpace) && strings.HasPrefix(piece, spaceSymbol) {
		s.atStart = spec.collapseSpace
		return piece[len(spaceSymbol):]
	}
	return piece
}

// appendSpaced appends a piece with its space symbols as spaces. inner says whether it has some that are
// not its first character.
func appendSpaced(dst []byte, piece string, inner bool) []byte {
	if rest, ok := strings.CutPrefix(piece, spaceSymbol); ok {
		dst, piece = append(dst, ' '), rest
	}
	if inner {
		piece = strings.ReplaceAll(piece, spaceSymbol, " ")
	}
	return append(dst, piece...)
}

// appendWhole implements [wholeDecoding]: pieces in the middle of a text, which nearly all are, need no state.
func (sp *sentencePiece) appendWhole(dst []byte, t *Tokenizer, ids []int32, skip bool) (text []byte, done int) {
	if sp.denorm != nil {
		return dst, 0
	}
	s := spState{sp: sp, atStart: true}
	for i, id := range ids {
		if id < 0 || int(id) >= len(sp.model.pieces) {
			return dst, i // added by a configuration, or unknown
		}
		p := &sp.model.pieces[id]
		if skip && p.kind != pieceControl && t.added.isSpecial(id) {
			continue
		}
		if p.kind == pieceNormal && !s.atStart && len(s.pending) == 0 {
			dst = appendSpaced(dst, sp.model.texts[id], p.innerSpace)
			continue
		}
		dst = s.add(dst, id, !skip)
	}
	return s.flush(dst), len(ids)
}

func (s *spState) literal(dst []byte, id int32) []byte {
	dst = s.drain(dst, true)
	s.wrote = true
	return append(dst, s.sp.extra[id]...)
}

func (s *spState) flush(dst []byte) []byte { return s.drain(dst, true) }

func (s *spState) drain(dst []byte, final bool) []byte {
	for len(s.pending) > 0 && (final || utf8.FullRune(s.pending)) {
		r, n := utf8.DecodeRune(s.pending) // U+FFFD, one byte, for an invalid one
		dst = utf8.AppendRune(dst, r)
		s.pending = s.pending[n:]
		s.wrote = true
	}
	return dst
}

// spDenormState decodes pieces and sends the text through the denormalizer.
type spDenormState struct {
	pieces *spState
	text   spDenormalizing
	raw    []byte
}

func (s *spDenormState) add(dst []byte, id int32, keepSpecial bool) []byte {
	s.raw = s.pieces.add(s.raw[:0], id, keepSpecial)
	return s.text.add(dst, string(s.raw), false)
}

func (s *spDenormState) flush(dst []byte) []byte {
	s.raw = s.pieces.flush(s.raw[:0])
	return s.text.add(dst, string(s.raw), true)
}
