package gguf

import (
	"fmt"
	"io"

	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// rows reads rows of a tensor; quantised ones become float32.
type rows struct {
	r    io.ReaderAt
	t    *tensorInfo
	kind blockType
}

// ReadRows implements [source.RowReader].
func (r *rows) ReadRows(dst []byte, row int64) error {
	n := int64(len(dst) / floatformat.Size(r.kind.dtype)) // values
	columns := int64(1)
	if len(r.t.shape) > 1 {
		columns = r.t.shape[1]
	}
	raw := dst
	if r.kind.dequantise != nil {
		raw = make([]byte, n/r.kind.values*r.kind.bytes)
	}
	offset := r.t.offset + row*columns/r.kind.values*r.kind.bytes
	if got, err := r.r.ReadAt(raw, offset); got < len(raw) {
		return fmt.Errorf("tensor %s: reading %d bytes at %d: %w", r.t.name, len(raw), offset, err)
	}
	if r.kind.dequantise != nil {
		values := make([]float32, n)
		r.kind.dequantise(values, raw)
		floatformat.Encode(dst, values, "F32")
	}
	return nil
}

// pairedRows undoes the permutation of attn_q and attn_k. In the file, row 2j+i of
// a head is row i·d/2+j of the model's (llama.cpp, LlamaModel.permute).
type pairedRows struct {
	rows     source.RowReader
	head     int64 // rows of one head
	rowBytes int64
}

// ReadRows implements [source.RowReader].
func (p *pairedRows) ReadRows(dst []byte, row int64) error {
	whole := make([]byte, p.head*p.rowBytes)
	for len(dst) > 0 {
		first := row % p.head
		if err := p.rows.ReadRows(whole, row-first); err != nil {
			return err
		}
		n := min(p.head-first, int64(len(dst))/p.rowBytes)
		for k := first; k < first+n; k++ {
			from := 2*(k%(p.head/2)) + k/(p.head/2)
			copy(dst[(k-first)*p.rowBytes:][:p.rowBytes], whole[from*p.rowBytes:])
		}
		dst, row = dst[n*p.rowBytes:], row+n
	}
	return nil
}
