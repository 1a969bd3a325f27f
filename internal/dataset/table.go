package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// TableOptions say how a table is read. The zero value reads every kind of file.
type TableOptions struct {
	// Header names the columns of a CSV or TSV file that has no line of names; nil: the first line has them.
	Header []string
	// Columns are those that are needed, nil for all. A parquet file's others are then not read, which saves time; a row may
	// still hold them in the other formats.
	Columns []string
}

// Row is one row of a table: a row of CSV, TSV or parquet, an object of JSON. It stays valid when the next one is read.
type Row struct {
	File string
	// Number counts from 1: lines in text files, in which a row stands where it begins, and rows in parquet files.
	Number int
	format *tableFormat
	names  []string // in the file's order
	cells  []cell   // one for each name
}

// tableFormat has the words that errors use.
type tableFormat struct{ row, column string }

var (
	textFormat    = &tableFormat{row: "line", column: "column"}
	jsonFormat    = &tableFormat{row: "line", column: "field"}
	parquetFormat = &tableFormat{row: "row", column: "column"}
)

// cell is one value. kind says what it is: "a string", "a number", "a boolean", "a list", "null" or what no column can be read as.
type cell struct {
	kind string
	text string
	list []cell
}

// Rows yields the rows of the table at path one by one. The ending of its name tells the format: .csv, .tsv, .parquet, .jsonl,
// .ndjson or .json (a list of objects, or objects one after the other). CSV is RFC 4180's with quotes inside unquoted fields
// allowed; every row must have as many fields as the first. Parquet columns may be flat or lists of flat values; others can be
// in the file, but not asked for.
//
// After an error nothing more comes. It wraps ErrFormat (as a *LineError where the place is known), ErrUnsupported or an error of
// the file system.
func Rows(path string, options TableOptions) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		read := map[string]func(*os.File, TableOptions) iter.Seq2[Row, error]{
			".csv": csvRows, ".tsv": csvRows, ".parquet": parquetRows, ".json": jsonRows, ".jsonl": jsonRows, ".ndjson": jsonRows,
		}[extension(path)]
		if read == nil {
			yield(Row{}, refuse(path))
			return
		}
		f, err := os.Open(path)
		if err != nil {
			yield(Row{}, err)
			return
		}
		defer f.Close()
		for row, err := range read(f, options) {
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// IsTable tells whether Rows reads files of this name.
func IsTable(name string) bool {
	return slices.Contains([]string{".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"}, extension(name))
}

func extension(path string) string { return strings.ToLower(filepath.Ext(path)) }

// refuse says what to do with a file that is not read.
func refuse(path string) error {
	advice := "tables are read from JSON lines (.jsonl), .json, .csv, .tsv and .parquet"
	switch extension(path) {
	case ".gz", ".zst", ".bz2", ".xz", ".zip":
		advice = "decompress it first"
	case ".arrow", ".story":
		advice += "; convert it to one of them"
	}
	return fmt.Errorf("%w: %s: %s", ErrUnsupported, path, advice)
}

// Errorf makes a LineError of this row.
func (r Row) Errorf(format string, args ...any) error {
	return &LineError{File: r.File, Line: r.Number, Rows: r.format == parquetFormat, Err: fmt.Errorf(format, args...)}
}

// Names lists the columns in the file's order.
func (r Row) Names() []string { return slices.Clone(r.names) }

// Has tells whether the row has this column with a value other than null.
func (r Row) Has(name string) bool {
	i := slices.Index(r.names, name)
	return i >= 0 && r.cells[i].kind != "null"
}

// Text returns the string of a column that must be there. An error lists the columns that are.
func (r Row) Text(name string) (string, error) {
	c, err := r.cell(name)
	if err != nil {
		return "", err
	}
	if c.kind != "a string" {
		return "", r.Errorf("%s %q is %s where a string should be", r.format.column, name, c.kind)
	}
	return c.text, nil
}

// Scalar is Text that also takes a number or a boolean, written as JSON writes it.
func (r Row) Scalar(name string) (string, error) {
	c, err := r.cell(name)
	if err != nil {
		return "", err
	}
	if !slices.Contains([]string{"a string", "a number", "a boolean"}, c.kind) {
		return "", r.Errorf("%s %q is %s where a string should be", r.format.column, name, c.kind)
	}
	return c.text, nil
}

// Texts returns the strings of a column that holds a list of strings.
func (r Row) Texts(name string) ([]string, error) {
	c, err := r.cell(name)
	if err != nil {
		return nil, err
	}
	if c.kind != "a list" {
		return nil, r.Errorf("%s %q is %s where a list of strings should be", r.format.column, name, c.kind)
	}
	texts := make([]string, len(c.list))
	for i, element := range c.list {
		if element.kind != "a string" {
			return nil, r.Errorf("%s %q: element %d is %s where a string should be", r.format.column, name, i+1, element.kind)
		}
		texts[i] = element.text
	}
	return texts, nil
}

func (r Row) cell(name string) (cell, error) {
	i := slices.Index(r.names, name)
	if i < 0 {
		return cell{}, r.Errorf("no %s %q; the %s has %s", r.format.column, name, r.format.row, listNames(r.names))
	}
	return r.cells[i], nil
}

// jsonRows reads the objects of a file of JSON.
func jsonRows(f *os.File, _ TableOptions) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for line, err := range elements(f.Name(), f) {
			var row Row
			if err == nil {
				row, err = jsonRow(line)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func jsonRow(line Line) (Row, error) {
	o, err := line.Object()
	if err != nil {
		return Row{}, err
	}
	row := Row{File: line.File, Number: line.Number, format: jsonFormat, names: o.sortedNames()}
	for _, name := range row.names {
		c, err := jsonCell(o[name])
		if err != nil {
			return Row{}, line.Errorf("field %q: %w", name, err)
		}
		row.cells = append(row.cells, c)
	}
	return row, nil
}

func jsonCell(raw json.RawMessage) (cell, error) {
	c := cell{kind: kindOf(raw)}
	switch c.kind {
	case "a string":
		return c, json.Unmarshal(raw, &c.text)
	case "a number", "a boolean":
		c.text = string(raw)
	case "a list":
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return c, err
		}
		c.list = make([]cell, len(list))
		for i, element := range list {
			var err error
			if c.list[i], err = jsonCell(element); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

// readFailure names the file of an error that is not about its content.
func readFailure(f *os.File, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %s ends too early", ErrFormat, f.Name())
	}
	return fmt.Errorf("read %s: %w", f.Name(), err)
}
