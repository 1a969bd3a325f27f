package tokenizer

import (
	"bytes"
	"compress/zlib"
	_ "embed"
	"encoding/binary"
	"io"
	"strings"
	"sync"
	"unicode"
)

// unicodeData holds what Hugging Face tokenizers and the Oniguruma in it, which know Unicode 16 or, in parts
// of the library, older versions, think of each character: Go's own tables are those of another version.
// scripts/unicode_tables.py wrote it.
//
//go:embed unicode.bin
var unicodeData []byte

// characterTable has a number for each code point.
type characterTable struct {
	names  []string // of the numbers, or of their bits
	values []byte
}

var unpackedData = sync.OnceValue(func() []byte {
	z, err := zlib.NewReader(bytes.NewReader(unicodeData))
	if err == nil {
		var data []byte
		if data, err = io.ReadAll(z); err == nil {
			return data
		}
	}
	panic("tokenizer: unicode.bin: " + err.Error())
})

// lazyTable returns a function that unpacks the table with this name when it is first called.
func lazyTable(name string) func() *characterTable {
	return sync.OnceValue(func() *characterTable {
		data := unpackedData()
		for len(data) > 0 {
			end := bytes.IndexByte(data, '\n')
			names := strings.Fields(string(data[:end]))
			t := &characterTable{names: names[1:]}
			if names[0] == name {
				t.values = make([]byte, 0, unicode.MaxRune+1)
			}
			data = t.unpack(data[end+1:], names[0] == name)
			if names[0] == name {
				return t
			}
		}
		panic("tokenizer: unicode.bin lacks " + name)
	})
}

// unpack reads the runs of a table and returns what follows; it keeps them if want is set.
func (t *characterTable) unpack(data []byte, want bool) []byte {
	number := func() int {
		n, w := binary.Uvarint(data)
		data = data[w:]
		return int(n)
	}
	for range number() {
		n, v := number(), byte(number())
		for ; want && n > 0; n-- {
			t.values = append(t.values, v)
		}
	}
	return data
}

var (
	categoryTable = lazyTable("category")     // the general category
	rustTable     = lazyTable("rust")         // bits: below
	libraryScript = lazyTable("pretokenizer") // what UnicodeScripts keeps together; 0 goes with anything
)

// Bits of rustTable: what the Rust library's own functions say.
const (
	rustWord        byte = 1 << iota // \w of its regular expressions
	rustPunctuation                  // Punctuation, BertPreTokenizer
	rustNumeric                      // Digits
	rustNonspacing                   // what BertNormalizer strips as an accent
	rustCombining                    // what StripAccents strips
	rustControl                      // what BertNormalizer drops as a control character
)
