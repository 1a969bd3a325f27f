package export

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// job is one weight with its source and its places.
type job struct {
	checkpoint.Weight
	from source.Tensor
	cols int64 // values in a row
}

// plan finds every weight of the target in the source before anything is
// written.
func plan(m source.Model, c *checkpoint.Config) ([]job, error) {
	var jobs []job
	for _, w := range c.Weights() {
		t, err := m.Tensor(w.Name, w.Shape)
		if err != nil {
			return nil, err
		}
		if err := source.CheckShape(t.Origin, t.Shape, w.Shape); err != nil {
			return nil, err
		}
		if floatformat.Size(t.Dtype) == 0 {
			return nil, fmt.Errorf("tensor %s: dtype %s is %w: F32, F16 and BF16 are", t.Origin, t.Dtype, ErrUnsupported)
		}
		cols := int64(1)
		if len(w.Shape) == 2 {
			cols = w.Shape[1]
		}
		jobs = append(jobs, job{w, t, cols})
	}
	return jobs, nil
}

// blockBytes is how much of a tensor one worker holds at a time, in the wider of
// the two dtypes (or one row, where that is more). A worker has up to four
// buffers of this size.
const blockBytes = 2 << 20

// block is a range of rows of a job.
type block struct {
	*job
	row, rows int64
}

// stream copies all jobs into w.
func stream(ctx context.Context, w *checkpoint.Writer, jobs []job, dtype string, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &progress{report: o.Progress}
	size := int64(floatformat.Size(checkpoint.SafetensorsDtype(dtype)))
	for i := range jobs {
		for _, at := range jobs[i].Placements {
			p.total += at.Rows * at.Columns * size
		}
	}
	blocks := make(chan block)
	var workers sync.WaitGroup
	for range o.workers() {
		workers.Go(func() {
			c := &copier{w: w, dtype: checkpoint.SafetensorsDtype(dtype), name: dtype, progress: p}
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
	return context.Cause(ctx)
}

// cut sends the blocks of all jobs in order, until ctx ends.
func cut(ctx context.Context, jobs []job, blocks chan<- block) {
	for i := range jobs {
		j := &jobs[i]
		if j.from.Rows == nil {
			continue // zeros are there already
		}
		step := max(1, blockBytes/(j.cols*4))
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
	dtype    string // of the target, as safetensors spells it
	name     string // of the target, as config.json spells it
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
	n := b.rows * b.cols
	c.read = grow(c.read, n*int64(floatformat.Size(b.from.Dtype)))
	if err := b.from.Rows.ReadRows(c.read, b.row); err != nil {
		return fmt.Errorf("reading %s: %w", b.from.Origin, err)
	}
	data := c.read
	if b.from.Dtype != c.dtype {
		c.values = grow(c.values, n)
		c.converted = grow(c.converted, n*int64(floatformat.Size(c.dtype)))
		floatformat.Decode(c.values, c.read, b.from.Dtype)
		if floatformat.Encode(c.converted, c.values, c.dtype) {
			return c.overflow(b)
		}
		data = c.converted
	}
	written := int64(0)
	for _, p := range b.Placements {
		first, last := max(b.row, p.Row), min(b.row+b.rows, p.Row+p.Rows)
		if first >= last {
			continue
		}
		part := c.rectangle(data, b, p, first, last)
		width := p.Columns * int64(floatformat.Size(c.dtype))
		if err := c.w.WriteAt(p.Rank, p.Tensor, part, (p.At+first-p.Row)*width); err != nil {
			return err
		}
		written += int64(len(part))
	}
	c.progress.add(written, b.Name)
	return nil
}

// rectangle gives the placement's columns of the rows from first to last.
func (c *copier) rectangle(data []byte, b block, p checkpoint.Placement, first, last int64) []byte {
	size := int64(floatformat.Size(c.dtype))
	row := b.cols * size
	data = data[(first-b.row)*row : (last-b.row)*row]
	if p.Columns == b.cols {
		return data
	}
	width := p.Columns * size
	c.columns = grow(c.columns, (last-first)*width)
	for i := range last - first {
		copy(c.columns[i*width:(i+1)*width], data[i*row+p.Column*size:])
	}
	return c.columns
}

// overflow looks through the whole tensor, so that the message can give its
// largest value.
func (c *copier) overflow(b block) error {
	largest := float32(0)
	step := max(1, blockBytes/(b.cols*4))
	size := int64(floatformat.Size(b.from.Dtype))
	for row := int64(0); row < b.Shape[0]; row += step {
		n := min(step, b.Shape[0]-row) * b.cols
		c.read, c.values = grow(c.read, n*size), grow(c.values, n)
		if err := b.from.Rows.ReadRows(c.read, row); err != nil {
			return fmt.Errorf("reading %s: %w", b.from.Origin, err)
		}
		floatformat.Decode(c.values, c.read, b.from.Dtype)
		for _, v := range c.values {
			if a := float32(math.Abs(float64(v))); a > largest && !math.IsInf(float64(a), 0) {
				largest = a
			}
		}
	}
	wider := "float32"
	if c.name == checkpoint.Float16 {
		wider = "bfloat16 or float32"
	}
	return fmt.Errorf("%w: tensor %s has values up to %g, which %s cannot hold: choose %s", ErrOverflow, b.from.Origin, largest, c.name, wider)
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
