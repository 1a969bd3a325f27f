package tokenizer

import "unicode/utf8"

// A splitter cuts text, as a pre-tokeniser's regular expression does, into pieces that
// together are the text. It returns the end of the piece that begins at s[i:]; i < len(s).
//
// The patterns are matched by hand: all of them need look-ahead, which Go's regexp lacks, and
// a back-tracking engine is a hundred times slower than the tokeniser behind it.
type splitter func(table []uint16, s string, i int) (end int)

// The patterns as they stand in tokenizer.json files. Only these are known: a pattern that
// differs in one character may split differently, and is refused.
const (
	patternGPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	// Written by llama.cpp-minded converters for the same language.
	patternGPT2Short = `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternLlama3    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen2     = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternTekken    = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// knownPattern is a pattern that is matched by hand, cut Isolated: what its matches leave are pieces too.
type knownPattern struct {
	split  splitter
	covers bool // its matches leave nothing
}

var knownPatterns = map[string]knownPattern{
	patternGPT2:      {splitGPT2, true},
	patternGPT2Short: {splitGPT2, true},
	patternR50K:      {splitGPT2, true},
	patternLlama3:    {splitLlama3, true},
	patternQwen2:     {splitQwen2, true},
	patternTekken:    {splitTekken, true},
	patternO200:      {splitO200, true},
	// DeepSeek-V3's three, one after the other.
	patternNumbers:   {splitNumber3, false},
	patternEastAsian: {splitEastAsian, false},
	deepSeekV3:       {splitDeepSeek, false},
}

const (
	patternNumbers   = `\p{N}{1,3}`
	patternEastAsian = `[一-龥぀-ゟ゠-ヿ]+`
)

// runOf returns the end of the run of characters at s[i:] that have one of the classes in
// want and none of those in not.
func runOf(table []uint16, s string, i int, want, not uint16) int {
	for {
		_, class, w := nextRune(table, s, i)
		if w == 0 || class&not != 0 || want != 0 && class&want == 0 {
			return i
		}
		i += w
	}
}

// contraction returns the length of 's 't 're 've 'm 'll 'd at s[i:], or 0. Under fold, case
// is ignored as Unicode has it: the long s (U+017F) folds to s.
func contraction(s string, i int, fold bool) int {
	if s[i] != '\'' || i+1 >= len(s) {
		return 0
	}
	lower := func(j int) byte {
		if j >= len(s) {
			return 0
		}
		c := s[j]
		if fold && c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	switch lower(i + 1) {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if lower(i+2) == 'e' {
			return 3
		}
	case 'l':
		if lower(i+2) == 'l' {
			return 3
		}
	case 0xC5:
		if fold && lower(i+2) == 0xBF {
			return 3
		}
	}
	return 0
}

// spaceEnd matches `\s+(?!\S)|\s+`: all of a run at the end of the text, or a run without its last
// character, which then leads the next word, or a run of one.
func spaceEnd(table []uint16, s string, i int) int {
	end, last := i, i
	for {
		_, class, w := nextRune(table, s, end)
		if w == 0 {
			return end
		}
		if class&classSpace == 0 {
			break
		}
		last, end = end, end+w
	}
	if last > i {
		return last
	}
	return end
}

// lineEnd matches `\s*[\r\n]+`: up to the last line break of the run of white space, or -1.
func lineEnd(table []uint16, s string, i int) int {
	end := -1
	for {
		r, class, w := nextRune(table, s, i)
		if w == 0 || class&classSpace == 0 {
			return end
		}
		i += w
		if r == '\r' || r == '\n' {
			end = i
		}
	}
}

func splitGPT2(table []uint16, s string, i int) int {
	if n := contraction(s, i, false); n > 0 {
		return i + n
	}
	start := i
	_, class, w := nextRune(table, s, i)
	if s[i] == ' ' && i+1 < len(s) {
		// ` ?` takes the space whenever something but white space follows.
		if _, next, nw := nextRune(table, s, i+1); next&classSpace == 0 {
			start, class, w = i+1, next, nw
		}
	}
	switch {
	case class&classLetter != 0:
		return runOf(table, s, start+w, classLetter, 0)
	case class&classNumber != 0:
		return runOf(table, s, start+w, classNumber, 0)
	case class&classSpace == 0:
		return runOf(table, s, start+w, 0, classSpace|classLetter|classNumber)
	}
	return spaceEnd(table, s, i)
}

func splitLlama3(table []uint16, s string, i int) int { return splitLlama(table, s, i, 3) }

func splitQwen2(table []uint16, s string, i int) int { return splitLlama(table, s, i, 1) }

// splitLlama matches Llama-3's pattern with \p{N}{1,digits}.
func splitLlama(table []uint16, s string, i, digits int) int {
	if n := contraction(s, i, true); n > 0 {
		return i + n
	}
	r, class, w := nextRune(table, s, i)
	if class&classLetter != 0 {
		return runOf(table, s, i+w, classLetter, 0)
	}
	if class&classNumber != 0 {
		return numberEnd(table, s, i, digits)
	}
	if r != '\r' && r != '\n' {
		if _, next, nw := nextRune(table, s, i+w); next&classLetter != 0 {
			return runOf(table, s, i+w+nw, classLetter, 0)
		}
	}
	return punctuationOrSpace(table, s, i, false)
}

// numberEnd matches `\p{N}{1,max}`.
func numberEnd(table []uint16, s string, i, max int) int {
	for ; max > 0; max-- {
		_, class, w := nextRune(table, s, i)
		if class&classNumber == 0 {
			break
		}
		i += w
	}
	return i
}

// punctuationOrSpace matches ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`, where slash adds
// `/` to the class after the punctuation. The character at s[i:] is neither letter nor number.
func punctuationOrSpace(table []uint16, s string, i int, slash bool) int {
	start := i
	if s[i] == ' ' {
		start++
	}
	if end := runOf(table, s, start, 0, classSpace|classLetter|classNumber); end > start {
		for end < len(s) && (s[end] == '\r' || s[end] == '\n' || slash && s[end] == '/') {
			end++
		}
		return end
	}
	if end := lineEnd(table, s, i); end > 0 {
		return end
	}
	return spaceEnd(table, s, i)
}

// splitTekken matches Tekken's pattern (Mistral-NeMo and later).
func splitTekken(table []uint16, s string, i int) int {
	r, class, w := nextRune(table, s, i)
	prefix := class&(classLetter|classNumber) == 0 && r != '\r' && r != '\n'
	// Regular-expression order: each of the two word forms first with the optional leading
	// character, then without.
	if prefix {
		if end := tekkenLower(table, s, i+w); end > 0 {
			return end
		}
	}
	if end := tekkenLower(table, s, i); end > 0 {
		return end
	}
	if prefix {
		if end := tekkenUpper(table, s, i+w); end > 0 {
			return end
		}
	}
	if end := tekkenUpper(table, s, i); end > 0 {
		return end
	}
	if class&classNumber != 0 {
		return i + w
	}
	return punctuationOrSpace(table, s, i, true)
}

// tekkenLower matches `[Lu Lt Lm Lo M]*[Ll Lm Lo M]+`, or returns -1. The first class takes all it
// can; when no lower-case letter follows, back-tracking gives up characters until the last one
// that both classes hold.
func tekkenLower(table []uint16, s string, i int) int {
	shared := -1
	for {
		_, class, w := nextRune(table, s, i)
		if class&classLower != 0 {
			return runOf(table, s, i+w, classLower|classOther, 0)
		}
		if class&(classUpper|classOther) == 0 {
			return shared
		}
		i += w
		if class&classOther != 0 {
			shared = i
		}
	}
}

// tekkenUpper matches `[Lu Lt Lm Lo M]+[Ll Lm Lo M]*`, or returns -1.
func tekkenUpper(table []uint16, s string, i int) int {
	end := runOf(table, s, i, classUpper|classOther, 0)
	if end == i {
		return -1
	}
	return runOf(table, s, end, classLower|classOther, 0)
}

// splitO200 matches o200k's pattern: Tekken's with contractions behind words, and three digits.
func splitO200(table []uint16, s string, i int) int {
	r, class, w := nextRune(table, s, i)
	starts := [2]int{i, i}
	if class&(classLetter|classNumber) == 0 && r != '\r' && r != '\n' {
		starts[0] = i + w // with the optional leading character first
	}
	for _, word := range [](func([]uint16, string, int) int){tekkenLower, tekkenUpper} {
		for _, start := range starts {
			if end := word(table, s, start); end > 0 {
				if end < len(s) {
					end += contraction(s, end, true)
				}
				return end
			}
		}
	}
	if class&classNumber != 0 {
		return numberEnd(table, s, i, 3)
	}
	return punctuationOrSpace(table, s, i, true)
}

// splitNumber3 cuts numbers into pieces of three digits.
func splitNumber3(table []uint16, s string, i int) int {
	if end := numberEnd(table, s, i, 3); end > i {
		return end
	}
	return runOf(table, s, i, 0, classNumber)
}

// splitEastAsian cuts runs of Chinese and kana from the rest.
func splitEastAsian(_ []uint16, s string, i int) int {
	first := true
	inside := false
	for at, r := range s[i:] {
		is := r >= 0x4E00 && r <= 0x9FA5 || r >= 0x3040 && r <= 0x30FF
		if first {
			first, inside = false, is
		} else if is != inside {
			return i + at
		}
	}
	return len(s)
}

// splitDeepSeek cuts at the third of DeepSeek-V3's patterns, which leaves what is no letter, mark, punctuation,
// symbol or white space, such as numbers.
func splitDeepSeek(table []uint16, s string, i int) int {
	if end := deepSeekEnd(table, s, i); end > i {
		return end
	}
	// Up to the next match.
	for {
		_, _, w := nextRune(table, s, i)
		i += w
		if i >= len(s) || deepSeekEnd(table, s, i) > i {
			return i
		}
	}
}

// deepSeekEnd returns where the match ends that begins at i; i for none.
func deepSeekEnd(table []uint16, s string, i int) int {
	r, class, w := nextRune(table, s, i)
	if r < utf8.RuneSelf && class&(classPunctuation|classSymbol) != 0 {
		end := i + 1
		for end < len(s) && (s[end] >= 'A' && s[end] <= 'Z' || s[end] >= 'a' && s[end] <= 'z') {
			end++
		}
		if end > i+1 {
			return end
		}
	}
	start := i
	if r != '\r' && r != '\n' && class&(classLetter|classPunctuation|classSymbol) == 0 {
		start = i + w
	}
	if end := runOf(table, s, start, classLetter|classMark, 0); end > start {
		return end
	}
	if class&classMark != 0 { // not taken for the leading character
		return runOf(table, s, i, classLetter|classMark, 0)
	}
	start = i
	if s[i] == ' ' {
		start = i + 1
	}
	if end := runOf(table, s, start, classPunctuation|classSymbol, 0); end > start {
		for end < len(s) && (s[end] == '\r' || s[end] == '\n') {
			end++
		}
		return end
	}
	if class&classSpace == 0 {
		return i
	}
	if end := lineEnd(table, s, i); end > 0 {
		return end
	}
	return spaceEnd(table, s, i)
}

// splitDigits cuts before and after every numeric character (Digits with individual_digits).
func splitDigits(table []uint16, s string, i int) int {
	_, class, w := nextRune(table, s, i)
	if class&classNumeric != 0 {
		return i + w
	}
	return runOf(table, s, i+w, 0, classNumeric)
}

// splitNumbers cuts runs of numeric characters from the rest (Digits without individual_digits).
func splitNumbers(table []uint16, s string, i int) int {
	_, class, w := nextRune(table, s, i)
	if class&classNumeric != 0 {
		return runOf(table, s, i+w, classNumeric, 0)
	}
	return runOf(table, s, i+w, 0, classNumeric)
}

// splitWords cuts words, and runs of what is neither word nor white space, which is left out (Whitespace).
type splitWords struct{}

func (splitWords) cut(e *encoding, next int, text string, origin int) error {
	for i := 0; i < len(text); {
		_, class, w := nextRune(e.table, text, i)
		if class&(classWord|classSpace) == classSpace {
			i += w
			continue
		}
		end := i + w
		if class&classWord != 0 {
			end = runOf(e.table, text, end, classWord, 0)
		} else {
			end = runOf(e.table, text, end, 0, classWord|classSpace)
		}
		if err := e.feed(next, text[i:end], origin-i); err != nil {
			return err
		}
		i = end
	}
	return nil
}
