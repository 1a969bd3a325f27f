package tokenizer

import "unicode/utf8"

// Byte-level vocabularies spell each of the 256 bytes as one printable character (GPT-2's
// bytes_to_unicode): a byte that prints stands for itself, the other 68 become U+0100 and up.
var (
	byteRune [256]rune
	runeByte [0x144]int16 // -1: the character stands for no byte
)

func init() {
	for r := range runeByte {
		runeByte[r] = -1
	}
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = next
			next++
		}
		byteRune[b] = r
		runeByte[r] = int16(b)
	}
}

// appendByteLevel appends the spelling of text.
func appendByteLevel(dst []byte, text string) []byte {
	for i := range len(text) {
		dst = utf8.AppendRune(dst, byteRune[text[i]])
	}
	return dst
}

// appendByteLevelDecoded appends the bytes that a token spells. ok is false, and nothing appended, when a
// character stands for no byte; the library's decoder then takes the token's own UTF-8.
func appendByteLevelDecoded(dst []byte, token string) (out []byte, ok bool) {
	out = dst
	for _, r := range token {
		if int(r) >= len(runeByte) || runeByte[r] < 0 {
			return dst, false
		}
		out = append(out, byte(runeByte[r]))
	}
	return out, true
}
