package tokenizer

import "strings"

// encodeWords appends the ids of a word model: each word is a piece or unknown.
func (sp *sentencePiece) encodeWords(dst []int32, text string) []int32 {
	for text != "" {
		n := sp.wordLength(text)
		id, ok := sp.piece(text[:n])
		dst = sp.emit(dst, text[:n], id, ok)
		text = text[n:]
	}
	return dst
}

// wordLength returns the length of the first word: up to the next space symbol, so that a run of them
// is as many words. A word model cuts there even where it was trained with the space behind the word.
func (sp *sentencePiece) wordLength(text string) int {
	first := characterLength(text, 0)
	if n := strings.Index(text[first:], spaceSymbol); n >= 0 {
		return first + n
	}
	return len(text)
}

// encodeCharacters appends the ids of a char model: each user-defined piece and each other
// character is a piece or unknown.
func (sp *sentencePiece) encodeCharacters(dst []int32, text string) []int32 {
	for text != "" {
		n, _ := sp.firstSymbol(text)
		id, ok := sp.piece(text[:n])
		dst = sp.emit(dst, text[:n], id, ok)
		text = text[n:]
	}
	return dst
}

// userDefinedDepth is how many user-defined pieces that begin one another are looked at.
const userDefinedDepth = 64

// firstSymbol returns the length of the first symbol: a user-defined piece, which merging leaves
// alone (frozen), or one character.
func (sp *sentencePiece) firstSymbol(text string) (n int, frozen bool) {
	if n := sp.userDefined.longestOf(text, userDefinedDepth); n > 0 {
		return n, true
	}
	return characterLength(text, 0), false
}
