package dataset

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// elements yields the JSON values of a file: of .jsonl and the like, one a line; of .json, the elements of a list at the top, or
// values one after the other, on as many lines as they take.
func elements(name string, r io.Reader) iter.Seq2[Line, error] {
	if strings.EqualFold(filepath.Ext(name), ".json") {
		return jsonElements(name, r)
	}
	return Lines(name, r)
}

func jsonElements(name string, r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		source := &lineCounter{r: r}
		buffered := bufio.NewReader(source)
		skipped, list, err := findStart(buffered)
		decoder := json.NewDecoder(buffered)
		line := Line{File: name, Number: 1}
		place := func(back int) { line.Number = source.line(skipped + decoder.InputOffset() - int64(back)) }

		if err == nil && list {
			_, err = decoder.Token()
		}
		for err == nil && (!list || decoder.More()) {
			var raw json.RawMessage
			if err = decoder.Decode(&raw); err != nil {
				break
			}
			place(len(raw))
			line.Text = raw
			if !utf8.Valid(raw) {
				yield(line, line.Errorf("the text is not valid UTF-8"))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
		if list && err == nil {
			err = endOfList(decoder)
		}
		var syntax *json.SyntaxError
		switch {
		case err == nil, !list && errors.Is(err, io.EOF):
			return
		case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, errAfterList):
			place(0)
			yield(line, line.Errorf("not valid JSON: %w", err))
		default:
			yield(line, fmt.Errorf("read %s: %w", name, err))
		}
	}
}

var errAfterList = errors.New("more text after the list")

// endOfList reads the closing bracket and makes sure that nothing follows it.
func endOfList(decoder *json.Decoder) error {
	if _, err := decoder.Token(); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	if _, err := decoder.Token(); errors.Is(err, io.EOF) {
		return nil
	}
	return errAfterList
}

// findStart skips a byte order mark and white space. It returns the number of bytes skipped and whether a list begins after them.
func findStart(r *bufio.Reader) (skipped int64, list bool, err error) {
	if start, _ := r.Peek(3); string(start) == "\ufeff" {
		n, _ := r.Discard(3)
		skipped = int64(n)
	}
	for {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return skipped, false, nil
		}
		if err != nil {
			return skipped, false, err
		}
		if !strings.ContainsRune(" \t\r\n", rune(c)) {
			return skipped, c == '[', r.UnreadByte()
		}
		skipped++
	}
}

// lineCounter remembers where lines end, so that an offset can be turned into a line number.
type lineCounter struct {
	r      io.Reader
	read   int64
	ends   []int64 // offsets just after a newline, those before the last query left out
	passed int
}

func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			c.ends = append(c.ends, c.read+int64(i)+1)
		}
	}
	c.read += int64(n)
	return n, err
}

// line returns the number of the line that offset lies in. Offsets must not decrease.
func (c *lineCounter) line(offset int64) int {
	n := 0
	for n < len(c.ends) && c.ends[n] <= offset {
		n++
	}
	c.passed += n
	c.ends = c.ends[n:]
	return c.passed + 1
}
