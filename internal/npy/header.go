package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	magic = "\x93NUMPY"
	// Headers of arrays take about 128 bytes; numpy itself refuses more than this.
	maxHeader = 10000
	// numpy allows 64 dimensions.
	maxDimensions = 64
)

// header is the dictionary at the start of a file.
type header struct {
	descr   string // such as "<i4"
	fortran bool
	shape   []int
}

func readHeader(r io.Reader) (header, error) {
	var start [8]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return header{}, truncated("its first 8 bytes", err)
	}
	if string(start[:6]) != magic {
		return header{}, fmt.Errorf(`%w: it begins with %q where "\x93NUMPY" should be`, ErrFormat, start[:6])
	}
	var length uint32
	switch start[6] {
	case 1:
		var raw [2]byte
		if _, err := io.ReadFull(r, raw[:]); err != nil {
			return header{}, truncated("the header's length", err)
		}
		length = uint32(binary.LittleEndian.Uint16(raw[:]))
	case 2, 3:
		var raw [4]byte
		if _, err := io.ReadFull(r, raw[:]); err != nil {
			return header{}, truncated("the header's length", err)
		}
		length = binary.LittleEndian.Uint32(raw[:])
	default:
		return header{}, fmt.Errorf("%w: format version %d.%d, known are 1.0, 2.0 and 3.0", ErrUnsupported, start[6], start[7])
	}
	if length > maxHeader {
		return header{}, fmt.Errorf("%w: a header of %d bytes, at most %d are allowed", ErrFormat, length, maxHeader)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return header{}, truncated("the header", err)
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return header{}, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	return h, nil
}

// truncated describes a read that failed because the file ended, or for a reason of its own.
func truncated(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the file ends within %s", ErrFormat, what)
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// parseHeader reads a Python dictionary with the keys descr, fortran_order and shape, in any order.
func parseHeader(text string) (header, error) {
	p := literal{rest: text}
	if err := p.expect("{"); err != nil {
		return header{}, err
	}
	var h header
	seen := map[string]bool{}
	for !p.accept("}") {
		key, err := p.str()
		if err != nil {
			return header{}, err
		}
		if seen[key] {
			return header{}, fmt.Errorf("key %q twice", key)
		}
		seen[key] = true
		if err := p.expect(":"); err != nil {
			return header{}, err
		}
		switch key {
		case "descr":
			h.descr, err = p.descr()
		case "fortran_order":
			h.fortran, err = p.boolean()
		case "shape":
			h.shape, err = p.tuple()
		default:
			err = errors.New("unknown key")
		}
		if err != nil {
			return header{}, fmt.Errorf("%s: %w", key, err)
		}
		if !p.accept(",") {
			if err := p.expect("}"); err != nil {
				return header{}, err
			}
			break
		}
	}
	if p.skip(); p.rest != "" {
		return header{}, fmt.Errorf("%q after the dictionary", clip(p.rest))
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return header{}, fmt.Errorf("no key %q", key)
		}
	}
	return h, nil
}

// literal parses the little of Python's syntax that headers use.
type literal struct{ rest string }

func (p *literal) skip() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *literal) accept(token string) bool {
	p.skip()
	rest, found := strings.CutPrefix(p.rest, token)
	if found {
		p.rest = rest
	}
	return found
}

func (p *literal) expect(token string) error {
	if !p.accept(token) {
		return fmt.Errorf("%q where %q should be", clip(p.rest), token)
	}
	return nil
}

// str parses a string in either kind of quotes. Headers of interest need no escapes.
func (p *literal) str() (string, error) {
	p.accept("u") // written by Python 2
	for _, quote := range []string{"'", `"`} {
		if p.accept(quote) {
			value, rest, found := strings.Cut(p.rest, quote)
			if !found || strings.ContainsAny(value, "\\\n") {
				return "", fmt.Errorf("a string that does not end: %q", clip(p.rest))
			}
			p.rest = rest
			return value, nil
		}
	}
	return "", fmt.Errorf("%q where a string should be", clip(p.rest))
}

func (p *literal) descr() (string, error) {
	if p.skip(); strings.HasPrefix(p.rest, "[") {
		return "", fmt.Errorf("%w: a record array; save the plain numbers", ErrUnsupported)
	}
	return p.str()
}

func (p *literal) boolean() (bool, error) {
	if p.accept("True") {
		return true, nil
	}
	return false, p.expect("False")
}

func (p *literal) tuple() ([]int, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	shape := []int{}
	for !p.accept(")") {
		p.skip()
		end := strings.IndexFunc(p.rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(p.rest)
		}
		n, err := strconv.Atoi(p.rest[:end])
		if err != nil {
			return nil, fmt.Errorf("%q where a length should be", clip(p.rest))
		}
		p.rest = p.rest[end:]
		p.accept("L") // written by Python 2
		if shape = append(shape, n); len(shape) > maxDimensions {
			return nil, fmt.Errorf("more than %d dimensions", maxDimensions)
		}
		if !p.accept(",") {
			if err := p.expect(")"); err != nil {
				return nil, err
			}
			break
		}
	}
	return shape, nil
}

func clip(text string) string {
	if len(text) > 24 {
		return text[:24] + "…"
	}
	return text
}

// encodeHeader returns magic, version, length and dictionary as numpy.save writes them: with room for the first length to
// grow to 21 digits, padded so that the data begins at a multiple of 64 bytes.
func encodeHeader(descr string, shape []int) []byte {
	var tuple strings.Builder
	tuple.WriteByte('(')
	for i, n := range shape {
		if i > 0 {
			tuple.WriteByte(' ')
		}
		tuple.WriteString(strconv.Itoa(n))
		if i+1 < len(shape) || len(shape) == 1 {
			tuple.WriteByte(',')
		}
	}
	tuple.WriteByte(')')
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, tuple.String())
	if len(shape) > 0 {
		text += strings.Repeat(" ", max(0, 21-len(strconv.Itoa(shape[0]))))
	}
	const prefix = len(magic) + 2 + 2
	padding := 64 - (prefix+len(text)+1)%64
	text += strings.Repeat(" ", padding) + "\n"
	out := append([]byte(magic), 1, 0)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(text)))
	return append(out, text...)
}
