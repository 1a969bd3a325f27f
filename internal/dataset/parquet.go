package dataset

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquetRows reads a parquet file, a few rows of a row group at a time.
func parquetRows(f *os.File, options TableOptions) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var file *parquet.File
		var columns []parquetColumn
		err := guard(f, func() (err error) {
			if file, err = openParquet(f); err == nil {
				columns, err = parquetColumns(f.Name(), file, options.Columns)
			}
			return err
		})
		if err != nil {
			yield(Row{}, err)
			return
		}
		number := 0
		for _, group := range file.RowGroups() {
			if !yieldRowGroup(f, group, columns, &number, yield) {
				return
			}
		}
	}
}

// guard turns a panic of the library on a damaged file into an error.
func guard(f *os.File, do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s: damaged parquet file: %v", ErrFormat, f.Name(), r)
		}
	}()
	return do()
}

func openParquet(f *os.File) (*parquet.File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: not a parquet file: %w", ErrFormat, f.Name(), err)
	}
	for _, group := range file.Metadata().RowGroups {
		for _, chunk := range group.Columns {
			// Of a damaged block of LZ4 the library takes ever more memory.
			if codec := chunk.MetaData.Codec; codec == format.Lz4Raw {
				return nil, fmt.Errorf("%w: %s: column %q is compressed with %v, which is not read; write it with snappy or zstd",
					ErrUnsupported, f.Name(), strings.Join(chunk.MetaData.PathInSchema, "."), codec)
			}
		}
	}
	return file, nil
}

// parquetColumn is a column at the top of the schema.
type parquetColumn struct {
	name   string
	leaf   int // index among the leaves; −1 if the column is nested otherwise than as a list of flat values
	isList bool
	// element is the definition level from which an element of the list exists.
	element int
	kind    parquet.Kind
	plain   bool // a text or number, not a date or the like
	// labelled says that the file calls bytes a text: they must be UTF-8.
	labelled bool
}

// parquetColumns finds the columns that are needed, nil for all of them.
func parquetColumns(name string, file *parquet.File, needed []string) ([]parquetColumn, error) {
	var columns []parquetColumn
	var there []string
	for _, top := range file.Root().Columns() {
		there = append(there, top.Name())
		if needed == nil || slices.Contains(needed, top.Name()) {
			columns = append(columns, newParquetColumn(top))
		}
	}
	for _, n := range needed {
		if !slices.Contains(there, n) {
			return nil, fmt.Errorf("%w: %s: no column %q; the file has %s", ErrFormat, name, n, listNames(there))
		}
	}
	return columns, nil
}

func newParquetColumn(top *parquet.Column) parquetColumn {
	c := parquetColumn{name: top.Name(), leaf: -1}
	leaf := top
	for depth := 1; ; depth++ {
		if leaf.Repeated() {
			c.isList, c.element = true, leaf.MaxDefinitionLevel()
		}
		if leaf.Leaf() {
			break
		}
		if len(leaf.Columns()) != 1 || depth == 3 { // a list is column, "list", "element"
			return c
		}
		leaf = leaf.Columns()[0]
	}
	if leaf.MaxRepetitionLevel() > 1 || leaf != top && !c.isList {
		return c
	}
	c.leaf, c.kind = leaf.Index(), leaf.Type().Kind()
	c.plain = true
	if logical := leaf.Type().LogicalType(); logical != nil {
		switch logical.Value.(type) {
		case *format.StringType, *format.EnumType, *format.JsonType, *format.IntType:
			c.labelled = true
		default:
			c.plain = false
		}
	}
	return c
}

// yieldRowGroup reads the needed columns side by side.
func yieldRowGroup(f *os.File, group parquet.RowGroup, columns []parquetColumn, number *int, yield func(Row, error) bool) bool {
	readers := make([]*cellReader, len(columns))
	for i, c := range columns {
		readers[i] = &cellReader{column: c}
		defer readers[i].close()
		if c.leaf >= 0 {
			readers[i].chunk = group.ColumnChunks()[c.leaf]
		}
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	for range group.NumRows() {
		*number++
		row := Row{File: f.Name(), Number: *number, format: parquetFormat, names: names, cells: make([]cell, len(columns))}
		err := guard(f, func() (err error) {
			for i, r := range readers {
				if row.cells[i], err = r.next(); err != nil {
					return row.parquetFailure(columns[i].name, err)
				}
			}
			return nil
		})
		if !yield(row, err) || err != nil {
			return false
		}
	}
	return true
}

// parquetFailure is an error of the library; those of the file system keep their own wording.
func (r Row) parquetFailure(column string, err error) error {
	var failed syscall.Errno
	if errors.As(err, &failed) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the values end too early")
	}
	return r.Errorf("column %q: %w", column, err)
}

// cellReader reads one column of one row group value by value.
type cellReader struct {
	column parquetColumn
	chunk  parquet.ColumnChunk // nil for a column that cannot be read
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	buffer []parquet.Value
	ready  []parquet.Value
}

// next returns the value of the next row.
func (r *cellReader) next() (cell, error) {
	if r.chunk == nil {
		return cell{kind: "nested"}, nil
	}
	first, err := r.take()
	if err != nil || !r.column.isList {
		if err != nil {
			return cell{}, err
		}
		return r.column.cell(first)
	}
	return r.list(first)
}

// list gathers the elements of a row: those that follow the first repeat its level.
func (r *cellReader) list(first parquet.Value) (cell, error) {
	list := cell{kind: "a list"}
	for value := first; ; {
		switch level := value.DefinitionLevel(); {
		case level >= r.column.element:
			c, err := r.column.cell(value)
			if err != nil {
				return cell{}, err
			}
			list.list = append(list.list, c)
		case level < r.column.element-1:
			list.kind = "null"
		}
		next, err := r.peek()
		if errors.Is(err, io.EOF) || err == nil && next.RepetitionLevel() == 0 {
			return list, nil
		}
		if err != nil {
			return cell{}, err
		}
		value = next
		r.ready = r.ready[1:]
	}
}

func (r *cellReader) take() (parquet.Value, error) {
	value, err := r.peek()
	if err == nil {
		r.ready = r.ready[1:]
	}
	return value, err
}

// peek returns the next value and leaves it.
func (r *cellReader) peek() (parquet.Value, error) {
	for len(r.ready) == 0 {
		if r.values == nil {
			if err := r.nextPage(); err != nil {
				return parquet.Value{}, err
			}
		}
		n, err := r.values.ReadValues(r.buffer)
		r.ready = r.buffer[:n]
		if errors.Is(err, io.EOF) || n == 0 && err == nil {
			r.values = nil
		} else if err != nil {
			return parquet.Value{}, err
		}
	}
	return r.ready[0], nil
}

func (r *cellReader) nextPage() (err error) {
	if r.pages == nil {
		r.pages, r.buffer = r.chunk.Pages(), make([]parquet.Value, 64)
	}
	parquet.Release(r.page)
	r.page = nil
	if r.page, err = r.pages.ReadPage(); err != nil {
		return err
	}
	r.values = r.page.Values()
	return nil
}

func (r *cellReader) close() {
	parquet.Release(r.page)
	if r.pages != nil {
		_ = r.pages.Close() // it only reads
	}
}

// cell copies a value.
func (c *parquetColumn) cell(v parquet.Value) (cell, error) {
	if v.IsNull() {
		return cell{kind: "null"}, nil
	}
	if !c.plain {
		return cell{kind: "neither text nor number"}, nil
	}
	switch c.kind {
	case parquet.ByteArray:
		text := string(v.ByteArray())
		switch valid := utf8.ValidString(text); {
		case !valid && c.labelled:
			return cell{}, errors.New("the text is not valid UTF-8")
		case !valid:
			return cell{kind: "binary"}, nil
		}
		return cell{kind: "a string", text: text}, nil
	case parquet.Boolean:
		return cell{kind: "a boolean", text: strconv.FormatBool(v.Boolean())}, nil
	case parquet.Int32, parquet.Int64:
		return cell{kind: "a number", text: strconv.FormatInt(v.Int64(), 10)}, nil
	case parquet.Float:
		return cell{kind: "a number", text: strconv.FormatFloat(float64(v.Float()), 'g', -1, 32)}, nil
	case parquet.Double:
		return cell{kind: "a number", text: strconv.FormatFloat(v.Double(), 'g', -1, 64)}, nil
	}
	return cell{kind: "binary"}, nil
}
