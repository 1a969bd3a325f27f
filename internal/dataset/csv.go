package dataset

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"unicode/utf8"
)

// csvRows reads a file of comma- or, by its name, tab-separated values.
func csvRows(f *os.File, options TableOptions) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		limited := &recordLimit{r: withoutMark(f)}
		reader := csv.NewReader(limited)
		reader.LazyQuotes = true
		if extension(f.Name()) == ".tsv" {
			reader.Comma = '\t'
		}
		names := options.Header
		for {
			limited.left = maxLine
			fields, err := reader.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			row := Row{File: f.Name(), format: textFormat, names: names}
			if err == nil {
				row.Number, _ = reader.FieldPos(0)
				err = row.fill(fields)
			} else {
				err = csvFailure(f, err)
			}
			if err == nil && names == nil {
				if names, err = row.header(fields); err == nil {
					continue
				}
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// fill makes cells of fields. A header has no names yet to be compared with.
func (r *Row) fill(fields []string) error {
	if r.names != nil && len(fields) != len(r.names) {
		return r.Errorf("the row has %d fields where %d columns are expected: %s", len(fields), len(r.names), listNames(r.names))
	}
	r.cells = make([]cell, len(fields))
	for i, field := range fields {
		if !utf8.ValidString(field) {
			return r.Errorf("field %d is not valid UTF-8", i+1)
		}
		r.cells[i] = cell{kind: "a string", text: field}
	}
	return nil
}

// header takes the line of names.
func (r *Row) header(fields []string) ([]string, error) {
	names := slices.Clone(fields)
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, r.Errorf("the column %q is there twice", shorten(name))
		}
	}
	return names, nil
}

func csvFailure(f *os.File, err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return readFailure(f, err)
	}
	if errors.Is(parse.Err, csv.ErrFieldCount) {
		return &LineError{File: f.Name(), Line: parse.Line, Err: errors.New("the row has another number of fields than the first row")}
	}
	return &LineError{File: f.Name(), Line: parse.Line, Err: parse.Err}
}

// withoutMark skips a byte order mark.
func withoutMark(r io.Reader) io.Reader {
	buffered := bufio.NewReader(r)
	if start, _ := buffered.Peek(3); string(start) == "\ufeff" {
		_, _ = buffered.Discard(3)
	}
	return buffered
}

// recordLimit bounds what one record takes: a quote that is never closed would swallow the whole file. What the reader behind it
// reads ahead counts too, which does not matter at this size.
type recordLimit struct {
	r    io.Reader
	left int
}

func (l *recordLimit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("%w: a row is longer than %d MiB; a quote may lack its counterpart", ErrFormat, maxLine>>20)
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
