// Package dataset reads the files that commands take their inputs from.
//
//   - [Rows]: tables of named columns, from .csv, .tsv, .parquet, .json and .jsonl files.
//   - [Articles] and [ReadArticles]: articles with reference summaries, tables with cnn_dailymail's columns article, highlights
//     and id.
//   - [ReadPrompts]: prompts as text or token ids, from .txt, .csv, .npy, .json and .jsonl files.
//   - [Lines]: any file of JSON lines, with line numbers for errors.
//
// Errors name the file and the line, or the row. Rows, articles and lines come one by one, so that memory does not grow with the file; a line may
// hold at most 64 MiB. Prompts are read all at once.
package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	// ErrFormat is wrapped by errors about a file whose content is not what it should be.
	ErrFormat = errors.New("bad input file")
	// ErrUnsupported is wrapped by errors about a kind of file that is not read.
	ErrUnsupported = errors.New("unsupported kind of file")
)

// LineError is an error in a line of a text file or in a row of a table. It wraps ErrFormat as well as its cause.
type LineError struct {
	File string
	Line int  // counted from 1
	Rows bool // Line counts rows: the file has no lines
	Err  error
}

func (e *LineError) Error() string {
	place := "line"
	if e.Rows {
		place = "row"
	}
	return fmt.Sprintf("%s, %s %d: %v", e.File, place, e.Line, e.Err)
}

func (e *LineError) Unwrap() []error { return []error{e.Err, ErrFormat} }

// maxLine bounds the memory that one line takes.
const maxLine = 64 << 20

// Line is one line of a file, or one element of a .json file.
type Line struct {
	File   string
	Number int // counted from 1
	// Text is valid until the next line is read.
	Text []byte
}

// Errorf makes a LineError of this line.
func (l Line) Errorf(format string, args ...any) error {
	return &LineError{File: l.File, Line: l.Number, Err: fmt.Errorf(format, args...)}
}

// Lines yields the lines of r that are not blank, without their ends and without a byte order mark. name stands for the file in
// errors. After an error, which may be one of r's own, nothing more comes.
func Lines(name string, r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 64<<10), maxLine)
		line := Line{File: name}
		for lines.Scan() {
			line.Number++
			line.Text = lines.Bytes()
			if line.Number == 1 {
				line.Text = bytes.TrimPrefix(line.Text, []byte("\ufeff"))
			}
			line.Text = bytes.TrimSpace(line.Text)
			if len(line.Text) == 0 {
				continue
			}
			if !utf8.Valid(line.Text) {
				yield(line, line.Errorf("the line is not valid UTF-8"))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
		line.Number++
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(line, line.Errorf("the line is longer than %d MiB", maxLine>>20))
		} else if err != nil {
			yield(line, fmt.Errorf("read %s: %w", name, err))
		}
	}
}

// Object is a JSON object, its values not yet decoded.
type Object map[string]json.RawMessage

// Object decodes the line as a JSON object.
func (l Line) Object() (Object, error) {
	var o Object
	if err := json.Unmarshal(l.Text, &o); err != nil || o == nil {
		if kind := kindOf(l.Text); json.Valid(l.Text) && kind != "an object" {
			return nil, l.Errorf("%s where a JSON object should be", kind)
		}
		return nil, l.Errorf("not valid JSON: %w", err)
	}
	return o, nil
}

// Field decodes the string of a field that must be there. An error lists the fields that are.
func (l Line) Field(o Object, name string) (string, error) {
	raw, found := o[name]
	if !found {
		return "", l.Errorf("no field %q; the line has %s", name, listNames(o.sortedNames()))
	}
	return l.stringOf(name, raw)
}

func (l Line) stringOf(name string, raw json.RawMessage) (string, error) {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return "", l.Errorf("field %q is %s where a string should be", name, kindOf(raw))
	}
	return *text, nil
}

func (o Object) sortedNames() []string { return slices.Sorted(maps.Keys(o)) }

// listNames lists names for an error, not all of them if they are many.
func listNames(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	more := ""
	if len(names) > 8 {
		names, more = names[:8], " …"
	}
	return strings.Join(names, ", ") + more
}

// kindOf names a valid JSON value.
func kindOf(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
