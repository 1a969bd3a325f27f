package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// decodeStage is one step from tokens to text. Tokens come in order, each in one or more parts, since what is
// certain of a token may be handed on before the token is complete. Text that may still change is kept back.
type decodeStage interface {
	// write takes the next part of a token; end says that it is the last.
	write(text string, end bool)
	// flush says that no tokens follow.
	flush()
}

// decodeOutput is what stands behind the last stage.
type decodeOutput struct{ text []byte }

func (o *decodeOutput) write(text string, _ bool) { o.text = append(o.text, text...) }
func (o *decodeOutput) flush()                    {}

// wholeToken makes tokens whole for stages that need them so.
type wholeToken struct{ held []byte }

// add returns the token when it is complete.
func (w *wholeToken) add(text string, end bool) (token string, ok bool) {
	if end && len(w.held) == 0 {
		return text, true
	}
	w.held = append(w.held, text...)
	if !end {
		return "", false
	}
	token = string(w.held)
	w.held = w.held[:0]
	return token, true
}

// joinStage puts a space between tokens: what the library does without a decoder.
type joinStage struct {
	next  decodeStage
	later bool // not the first token
}

func (s *joinStage) write(text string, end bool) {
	if s.later {
		s.next.write(" ", false)
	}
	s.next.write(text, end)
	s.later = true
}

func (s *joinStage) flush() { s.next.flush() }

// mapStage rewrites each token by itself.
type mapStage struct {
	next decodeStage
	wholeToken
	rewrite func(token string) string
}

func (s *mapStage) write(text string, end bool) {
	if token, ok := s.add(text, end); ok {
		s.next.write(s.rewrite(token), true)
	}
}

func (s *mapStage) flush() { s.next.flush() }

// replaceStage puts new in the place of old within each token, as far as the token is known.
type replaceStage struct {
	next decodeStage
	replacement
}

func (s *replaceStage) write(text string, end bool) {
	if end && len(s.held) == 0 {
		s.next.write(strings.ReplaceAll(text, s.old, s.new), true)
		return
	}
	s.next.write(string(s.feed([]byte(text), end)), end)
	if end {
		s.held = nil
	}
}

func (s *replaceStage) flush() { s.next.flush() }

// byteFallbackStage makes one token of a run of <0xNN> tokens, if their bytes are UTF-8; otherwise each
// becomes U+FFFD. So a run is known when it ends.
type byteFallbackStage struct {
	next decodeStage
	wholeToken
	run []byte
}

func (s *byteFallbackStage) write(text string, end bool) {
	token, ok := s.add(text, end)
	if !ok {
		return
	}
	if b, ok := fallbackByte(token); ok {
		s.run = append(s.run, b)
		return
	}
	s.endRun()
	s.next.write(token, true)
}

func (s *byteFallbackStage) endRun() {
	if len(s.run) == 0 {
		return
	}
	if utf8.Valid(s.run) {
		s.next.write(string(s.run), true)
	} else {
		for range s.run {
			s.next.write("\uFFFD", true)
		}
	}
	s.run = s.run[:0]
}

func (s *byteFallbackStage) flush() {
	s.endRun()
	s.next.flush()
}

// fallbackByte reads <0xNN>; like the library it takes small letters, and a plus sign for the first digit.
func fallbackByte(token string) (byte, bool) {
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	hi, ok1 := hexDigit(token[3])
	lo, ok2 := hexDigit(token[4])
	if token[3] == '+' {
		hi, ok1 = 0, true
	}
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// fuseStage makes one token of all.
type fuseStage struct{ next decodeStage }

func (s *fuseStage) write(text string, _ bool) { s.next.write(text, false) }

func (s *fuseStage) flush() {
	s.next.write("", true)
	s.next.flush()
}

// lossyStage makes one token of all, which are bytes, each maximal invalid part replaced by U+FFFD.
type lossyStage struct {
	next    decodeStage
	pending []byte // the start of an unfinished character
}

func (s *lossyStage) write(text string, _ bool) {
	if len(s.pending) == 0 && utf8.ValidString(text) {
		s.next.write(text, false)
		return
	}
	s.pending = append(s.pending, text...)
	s.drain(false)
}

func (s *lossyStage) drain(final bool) {
	out, rest := appendLossy(nil, s.pending, final)
	s.pending = append(s.pending[:0], rest...)
	s.next.write(string(out), final)
}

func (s *lossyStage) flush() {
	s.drain(true)
	s.next.flush()
}

// stripStage takes up to so many of a character from the start of each token.
type stripStage struct {
	next    decodeStage
	content string
	start   int
	cut     int // of this token
}

func (s *stripStage) write(text string, end bool) {
	for s.cut < s.start && strings.HasPrefix(text, s.content) {
		text = text[len(s.content):]
		s.cut++
	}
	if text != "" {
		s.cut = s.start // what follows stays
	}
	if end {
		s.cut = 0
	}
	s.next.write(text, end)
}

func (s *stripStage) flush() { s.next.flush() }

// stripBoth takes them from both ends of a token.
func stripBoth(content string, start, stop int) func(string) string {
	return func(token string) string {
		for i := 0; i < start && strings.HasPrefix(token, content); i++ {
			token = token[len(content):]
		}
		for i := 0; i < stop && strings.HasSuffix(token, content); i++ {
			token = token[:len(token)-len(content)]
		}
		return token
	}
}

// metaspaceStage makes spaces of a symbol, and nothing of those in the first token if one was put there.
type metaspaceStage struct {
	next   decodeStage
	symbol string
	drop   bool
}

func (s *metaspaceStage) write(text string, end bool) {
	space := " "
	if s.drop {
		space = ""
	}
	s.drop = s.drop && !end
	s.next.write(strings.ReplaceAll(text, s.symbol, space), end)
}

func (s *metaspaceStage) flush() { s.next.flush() }

// wordPieceStage joins tokens with a prefix to what is before them and puts spaces before the others.
type wordPieceStage struct {
	next decodeStage
	wholeToken
	prefix  string
	cleanup bool
	later   bool
}

func (s *wordPieceStage) write(text string, end bool) {
	token, ok := s.add(text, end)
	if !ok {
		return
	}
	if s.later {
		if rest, ok := strings.CutPrefix(token, s.prefix); ok {
			token = rest
		} else {
			token = " " + token
		}
	}
	s.later = true
	if s.cleanup {
		token = wordPieceCleanUp.Replace(token)
	}
	s.next.write(token, true)
}

func (s *wordPieceStage) flush() { s.next.flush() }

// inTurn makes replacements one after the other, each in the whole text.
type inTurn [][2]string

func (list inTurn) Replace(text string) string {
	for _, p := range list {
		text = strings.ReplaceAll(text, p[0], p[1])
	}
	return text
}

// wordPieceCleanUp is the library's own: transformers' with one more.
var wordPieceCleanUp = inTurn{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"},
	{" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}}

// suffixStage makes a space of the suffix at the end of words, and nothing of those in the last token.
type suffixStage struct {
	next decodeStage
	wholeToken
	suffix string
	tail   string // of the token before, from its first suffix on; it is last if no other comes
	open   bool
}

func (s *suffixStage) write(text string, end bool) {
	token, ok := s.add(text, end)
	if !ok {
		return
	}
	s.close(" ")
	at := strings.Index(token, s.suffix)
	if at < 0 {
		s.next.write(token, true)
		return
	}
	s.next.write(token[:at], false)
	s.tail, s.open = token[at:], true
}

func (s *suffixStage) close(space string) {
	if s.open {
		s.next.write(strings.ReplaceAll(s.tail, s.suffix, space), true)
	}
	s.open = false
}

func (s *suffixStage) flush() {
	s.close("")
	s.next.flush()
}

// ctcStage drops tokens that repeat the one before, and padding.
type ctcStage struct {
	next decodeStage
	wholeToken
	pad, delimiter string
	cleanup        bool
	last           string
	later          bool
}

func (s *ctcStage) write(text string, end bool) {
	token, ok := s.add(text, end)
	if !ok || s.later && token == s.last {
		return
	}
	s.last, s.later = token, true
	token = strings.ReplaceAll(token, s.pad, "")
	if s.cleanup {
		token = strings.ReplaceAll(wordPieceCleanUp.Replace(token), s.delimiter, " ")
	}
	if token != "" {
		s.next.write(token, true)
	}
}

func (s *ctcStage) flush() { s.next.flush() }
