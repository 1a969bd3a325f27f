package pickle

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLong bounds integers, in bytes; reading decimal digits takes quadratic time.
const maxLong = 4096

// lineValue pushes a value written as a line of text (protocol 0).
func lineValue(parse func(string) (any, error)) func(*Decoder) error {
	return func(d *Decoder) error {
		line, err := d.line()
		if err != nil {
			return err
		}
		v, err := parse(line)
		if err != nil {
			return err
		}
		return d.push(v, 0)
	}
}

// lineKey reads a memo key written as a line of text.
func lineKey(do func(*Decoder, uint64) error) func(*Decoder) error {
	return func(d *Decoder) error {
		line, err := d.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(line, 10, 63)
		if err != nil {
			return fmt.Errorf("%w: memo key %s is no number", ErrFormat, clipped(line))
		}
		return do(d, n)
	}
}

// parseInt reads a decimal integer; "00" and "01" are the booleans.
func parseInt(line string) (any, error) {
	switch line {
	case "00":
		return false, nil
	case "01":
		return true, nil
	}
	return decimal(strings.TrimSpace(line))
}

func decimal(line string) (any, error) {
	if len(line) > maxLong {
		return nil, fmt.Errorf("%w: an integer of %d digits", ErrLimit, len(line))
	}
	n, ok := new(big.Int).SetString(line, 10)
	if !ok {
		return nil, fmt.Errorf("%w: %s is no integer", ErrFormat, clipped(line))
	}
	return narrow(n), nil
}

func parseLong(line string) (any, error) {
	return decimal(strings.TrimSuffix(strings.TrimSpace(line), "L"))
}

func parseFloat(line string) (any, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no number", ErrFormat, clipped(line))
	}
	return f, nil
}

// parseQuoted reads a string as Python 2's repr writes it.
func parseQuoted(line string) (any, error) {
	line = strings.TrimSpace(line)
	if len(line) < 2 || line[0] != line[len(line)-1] || line[0] != '\'' && line[0] != '"' {
		return nil, fmt.Errorf("%w: a string without its quotes", ErrFormat)
	}
	line = line[1 : len(line)-1]
	var out strings.Builder
	for len(line) > 0 {
		if line[0] != '\\' {
			out.WriteByte(line[0])
			line = line[1:]
			continue
		}
		c, n := escape(line)
		if n == 0 {
			return nil, fmt.Errorf("%w: a string with a broken escape", ErrFormat)
		}
		out.WriteByte(c)
		line = line[n:]
	}
	return out.String(), nil
}

var escapes = map[byte]byte{'\\': '\\', '\'': '\'', '"': '"', 'n': '\n', 'r': '\r', 't': '\t', 'a': 7, 'b': 8, 'f': 12, 'v': 11}

// escape reads the escape that s begins with, and its length: 0 if it is none.
func escape(s string) (byte, int) {
	if len(s) < 2 {
		return 0, 0
	}
	if c, ok := escapes[s[1]]; ok {
		return c, 2
	}
	digits, base, from := 3, 8, 1
	if s[1] == 'x' {
		digits, base, from = 2, 16, 2
	}
	if len(s) < from+digits {
		return 0, 0
	}
	n, err := strconv.ParseUint(s[from:from+digits], base, 8)
	if err != nil {
		return 0, 0
	}
	return byte(n), from + digits
}

// parseUnicode reads Python's raw-unicode-escape: latin-1 with \uXXXX and
// \UXXXXXXXX, where an odd number of backslashes precedes the u.
func parseUnicode(line string) (any, error) {
	var out strings.Builder
	for i := 0; i < len(line); {
		if line[i] != '\\' {
			out.WriteRune(rune(line[i]))
			i++
			continue
		}
		run := i
		for run < len(line) && line[run] == '\\' {
			run++
		}
		width := 0
		if run < len(line) && (run-i)%2 == 1 {
			width = map[byte]int{'u': 4, 'U': 8}[line[run]]
		}
		if width == 0 {
			out.WriteString(line[i:run])
			i = run
			continue
		}
		out.WriteString(line[i : run-1])
		end := run + 1 + width
		if end > len(line) {
			return nil, fmt.Errorf("%w: a string with a broken escape", ErrFormat)
		}
		n, err := strconv.ParseUint(line[run+1:end], 16, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return nil, fmt.Errorf("%w: a string with a broken escape", ErrFormat)
		}
		out.WriteRune(rune(n))
		i = end
	}
	return out.String(), nil
}
