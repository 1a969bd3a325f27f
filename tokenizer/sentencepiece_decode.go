package tokenizer

import (
	"strings"
	"unicode/utf8"
)

func (sp *sentencePiece) newState() decodeState { return &spState{sp: sp, atStart: true} }

// spState decodes pieces. Byte pieces in a row form characters; a byte that cannot belong to one
// becomes U+FFFD by itself.
type spState struct {
	sp      *sentencePiece
	pending []byte // bytes of an unfinished character
	// atStart is true until text has come: there the space of the dummy prefix is dropped.
	atStart   bool
	sawPrefix bool // the last piece gave up its space
	wrote     bool
}

func (s *spState) add(dst []byte, id int32, keepSpecial bool) []byte {
	if int(id) >= len(s.sp.model.pieces) { // added by a configuration
		return s.literal(dst, id)
	}
	p := s.sp.model.pieces[id]
	if p.kind == pieceByte {
		b, _ := bytePiece(p.text)
		s.pending = append(s.pending, b)
		return s.drain(dst, false)
	}
	dst = s.drain(dst, true)
	if s.sawPrefix || s.wrote {
		s.atStart = false
	}
	s.sawPrefix = false
	text := ""
	switch p.kind {
	case pieceControl:
		if keepSpecial {
			text = p.text
		}
	case pieceUnknown:
		text = s.sp.model.unkSurface
	default:
		text = p.text
		if s.atStart && (s.sp.model.dummyPrefix || s.sp.model.collapseSpace) && strings.HasPrefix(text, spaceSymbol) {
			text = text[len(spaceSymbol):]
			// Where extra spaces are removed, all leading ones go.
			s.sawPrefix = !s.sp.model.collapseSpace
		}
		text = strings.ReplaceAll(text, spaceSymbol, " ")
	}
	s.wrote = s.wrote || text != ""
	return append(dst, text...)
}

func (s *spState) literal(dst []byte, id int32) []byte {
	dst = s.drain(dst, true)
	s.wrote, s.sawPrefix = true, false
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
