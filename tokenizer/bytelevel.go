package tokenizer

// Byte-level vocabularies spell each of the 256 bytes as one printable character (GPT-2's
// bytes_to_unicode): a byte that prints stands for itself, the other 68 become U+0100 and up.
var (
	byteRune [256]rune
	runeByte = map[rune]byte{}
)

func init() {
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = next
			next++
		}
		byteRune[b] = r
		runeByte[r] = byte(b)
	}
}

// byteLevelDecode returns the bytes that a token spells. ok is false when a character stands
// for no byte; HF's decoder then takes the token's own UTF-8.
func byteLevelDecode(token string) (raw string, ok bool) {
	buf := make([]byte, 0, len(token))
	for _, r := range token {
		b, found := runeByte[r]
		if !found {
			return token, false
		}
		buf = append(buf, b)
	}
	return string(buf), true
}
