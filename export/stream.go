package export

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// blockBytes is how much of a tensor one worker holds at a time, in the wider of
// the two dtypes (or one row, where that is more). A worker has up to four
// buffers of this size.
const blockBytes = 2 << 20

// block is a range of rows of a job.
type block struct {
	*job
	row, rows int64
}

// stream copies all jobs into w. It returns the bytes of all workers' buffers,
// which only grow.
func stream(ctx context.Context, w *checkpoint.Writer, jobs []job, o Options) (peak int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &progress{report: o.Progress}
	for i := range jobs {
		for _, at := range jobs[i].Placements {
			p.total += at.Rows * at.Columns * width(jobs[i].Dtype)
		}
	}
	blocks := make(chan block)
	var held atomic.Int64
	var workers sync.WaitGroup
	for range workersOf(o.Workers) {
		workers.Go(func() {
			c := &copier{w: w, progress: p}
			defer func() { held.Add(c.held()) }()
			for b := range blocks {
				if ctx.Err() != nil {
					continue
				}
				if err := c.copy(b); err != nil {
					cancel(err)
				}
			}
		})
	}
	cut(ctx, jobs, blocks)
	close(blocks)
	workers.Wait()
	return held.Load(), context.Cause(ctx)
}

// cut sends the blocks of all jobs in order, until ctx ends.
func cut(ctx context.Context, jobs []job, blocks chan<- block) {
	for i := range jobs {
		j := &jobs[i]
		if j.from.Rows == nil {
			continue // zeros are there already
		}
		step := j.blockRows()
		for row := int64(0); row < j.Shape[0]; row += step {
			select {
			case blocks <- block{j, row, min(step, j.Shape[0]-row)}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// copier is one worker's state. Its buffers are reused from block to block.
type copier struct {
	w        *checkpoint.Writer
	progress *progress

	read, converted, columns []byte
	values                   []float32
}

// grow returns a buffer of n values, the old one where it is large enough.
func grow[T any](buffer []T, n int64) []T {
	if int64(cap(buffer)) < n {
		return make([]T, n)
	}
	return buffer[:n]
}

// copy reads, converts and writes one block.
func (c *copier) copy(b block) error {
	c.read = grow(c.read, b.rows*b.cols*width(b.from.Dtype))
	if err := b.from.Rows.ReadRows(c.read, b.row); err != nil {
		return fmt.Errorf("reading %s: %w", b.from.Origin, err)
	}
	data, err := c.convert(b)
	if err != nil {
		return err
	}
	written := int64(0)
	for _, p := range b.Placements {
		first, last := max(b.row, p.Row), min(b.row+b.rows, p.Row+p.Rows)
		if first >= last {
			continue
		}
		part := c.rectangle(data, b, p, first, last)
		at := (p.At + first - p.Row) * p.Columns * width(b.Dtype)
		if err := c.w.WriteAt(p.Rank, p.Tensor, part, at); err != nil {
			return err
		}
		written += int64(len(part))
	}
	c.progress.add(written, b.Name)
	return nil
}

// convert turns the block's bytes in c.read into the target's dtype.
func (c *copier) convert(b block) ([]byte, error) {
	if b.from.Dtype == floatformat.E4M3 {
		if at := indexNaN(c.read); at >= 0 {
			return nil, fmt.Errorf("%w: tensor %s has NaN in row %d", ErrInvalid, b.from.Origin, b.row+int64(at)/b.cols)
		}
	}
	switch {
	case b.codes != nil:
		for i, code := range c.read {
			c.read[i] = b.codes[code]
		}
		return c.read, nil
	case b.from.Dtype == b.Dtype:
		return c.read, nil
	}
	c.decode(b, b.rows*b.cols)
	c.converted = grow(c.converted, b.rows*b.cols*width(b.Dtype))
	if floatformat.Encode(c.converted, c.values, b.Dtype) {
		return nil, c.overflow(b)
	}
	return c.converted, nil
}

// decode fills c.values with the n numbers that c.read stands for.
func (c *copier) decode(b block, n int64) {
	c.values = grow(c.values, n)
	if b.values == nil {
		floatformat.Decode(c.values, c.read, b.from.Dtype)
		return
	}
	for i, code := range c.read[:n] {
		c.values[i] = b.values[code]
	}
}

// indexNaN finds a code that is no number, or gives -1.
func indexNaN(codes []byte) int {
	const sign = 0x80
	positive, negative := bytes.IndexByte(codes, floatformat.E4M3NaN), bytes.IndexByte(codes, floatformat.E4M3NaN|sign)
	if positive < 0 {
		return negative
	}
	return positive
}

// rectangle gives the placement's columns of the rows from first to last.
func (c *copier) rectangle(data []byte, b block, p checkpoint.Placement, first, last int64) []byte {
	size := width(b.Dtype)
	row := b.cols * size
	data = data[(first-b.row)*row : (last-b.row)*row]
	if p.Columns == b.cols {
		return data
	}
	part := p.Columns * size
	c.columns = grow(c.columns, (last-first)*part)
	for i := range last - first {
		copy(c.columns[i*part:(i+1)*part], data[i*row+p.Column*size:])
	}
	return c.columns
}

// overflow looks through the whole tensor, so that the message can give its
// largest value.
func (c *copier) overflow(b block) error {
	largest := float32(0)
	step := max(1, blockBytes/(b.cols*4))
	for row := int64(0); row < b.Shape[0]; row += step {
		n := min(step, b.Shape[0]-row) * b.cols
		c.read = grow(c.read, n*width(b.from.Dtype))
		if err := b.from.Rows.ReadRows(c.read, row); err != nil {
			return fmt.Errorf("reading %s: %w", b.from.Origin, err)
		}
		c.decode(b, n)
		for _, v := range c.values {
			if a := float32(math.Abs(float64(v))); a > largest && !math.IsInf(float64(a), 0) {
				largest = a
			}
		}
	}
	name, wider := checkpoint.BFloat16, "float32"
	if b.Dtype == checkpoint.SafetensorsDtype(checkpoint.Float16) {
		name, wider = checkpoint.Float16, "bfloat16 or float32"
	}
	return fmt.Errorf("%w: tensor %s has values up to %g, which %s cannot hold: choose %s", ErrOverflow, b.from.Origin, largest, name, wider)
}

// progress counts bytes for all workers.
type progress struct {
	mu          sync.Mutex
	done, total int64
	report      func(done, total int64, tensor string)
}

func (p *progress) add(n int64, tensor string) {
	if p.report == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.report(p.done, p.total, tensor)
}
