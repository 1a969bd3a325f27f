package source

import (
	"fmt"
	"io"
	"math"

	"github.com/trtgo/trtgo/internal/floatformat"
)

// Rows reads a tensor whose rows r stores one after the other, each of rowBytes
// bytes. r may be read from several goroutines.
func Rows(r io.ReaderAt, rowBytes int64) RowReader {
	return Pieces(r, rowBytes, []Piece{{0, math.MaxInt64 / max(rowBytes, 1)}})
}

// Piece is a run of rows of a stored tensor.
type Piece struct{ Row, Rows int64 }

// Pieces reads a tensor whose rows are runs of the rows that r stores, otherwise
// like [Rows].
func Pieces(r io.ReaderAt, rowBytes int64, pieces []Piece) RowReader {
	return &piecewise{r, rowBytes, pieces}
}

type piecewise struct {
	r        io.ReaderAt
	rowBytes int64
	pieces   []Piece
}

// ReadRows implements [RowReader].
func (p *piecewise) ReadRows(dst []byte, row int64) error {
	for _, piece := range p.pieces {
		if row >= piece.Rows {
			row -= piece.Rows
			continue
		}
		part := dst[:min(int64(len(dst)), (piece.Rows-row)*p.rowBytes)]
		offset := (piece.Row + row) * p.rowBytes
		if n, err := p.r.ReadAt(part, offset); n < len(part) {
			return fmt.Errorf("reading %d bytes at %d: %w", len(part), offset, err)
		}
		if dst, row = dst[len(part):], 0; len(dst) == 0 {
			return nil
		}
	}
	if len(dst) > 0 {
		return fmt.Errorf("reading %d bytes beyond the last row: %w", len(dst), io.ErrUnexpectedEOF)
	}
	return nil
}

// Words for [Tensor.Transform] that several sources use.
const (
	PlusOne = "+1"        // see [OnePlus]
	Tied    = "tied copy" // the head is the embedding
)

// OnePlus reads the weight of a norm that is stored less one, in the given dtype,
// as F32: the sum is made in float32 so that it is rounded once, to the target's
// dtype.
func OnePlus(rows RowReader, dtype string) RowReader { return &onePlus{rows, dtype} }

type onePlus struct {
	rows  RowReader
	dtype string
}

// ReadRows implements [RowReader].
func (o *onePlus) ReadRows(dst []byte, row int64) error {
	values := make([]float32, len(dst)/4)
	stored := make([]byte, len(values)*floatformat.Size(o.dtype))
	if err := o.rows.ReadRows(stored, row); err != nil {
		return err
	}
	floatformat.Decode(values, stored, o.dtype)
	for i := range values {
		values[i]++
	}
	floatformat.Encode(dst, values, "F32")
	return nil
}
