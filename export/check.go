package export

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// CheckOptions may be left empty.
type CheckOptions struct {
	// Source says what the source may lack.
	Source SourceOptions
	// Dtype is float16, bfloat16 or float32: values that it cannot hold are problems
	// too. "" asks for none.
	Dtype string
	// Workers is the number of goroutines; 0 chooses.
	Workers int
	// Progress, when not nil, hears of every block read: bytes done and in all, and
	// the tensor. Calls do not overlap.
	Progress func(done, total int64, tensor string)
}

// Check reads every weight of a source or a TensorRT-LLM checkpoint once and
// returns sentences about those that have NaN or infinite values, values that
// Dtype cannot hold, or that cannot be read. An error means that it is not even a
// model that export or build takes, or that ctx ended.
func Check(ctx context.Context, path string, o CheckOptions) ([]string, error) {
	if o.Dtype != "" && checkpoint.SafetensorsDtype(o.Dtype) == "" {
		return nil, fmt.Errorf("%w: dtype %q is none of float16, bfloat16, float32", ErrOption, o.Dtype)
	}
	format, err := detect(path)
	if err != nil {
		return nil, err
	}
	if format == FormatCheckpoint {
		return checkCheckpoint(ctx, path, o)
	}
	m, err := Open(ctx, path, o.Source)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return CheckModel(ctx, m, o)
}

// CheckModel is [Check] for an open source, which stays open.
func CheckModel(ctx context.Context, m source.Model, o CheckOptions) ([]string, error) {
	var list []*examined
	embedding := ""
	for _, w := range m.Config().Weights() {
		if fromOthers(w.Name, m.Config().Quantization.QuantAlgo) {
			continue
		}
		t, err := m.Tensor(w.Name, w.Shape)
		if err != nil {
			return nil, err
		}
		if embedding == "" {
			embedding = t.Origin
		} else if w.Name == "lm_head.weight" && t.Origin == embedding {
			continue // it was read
		}
		list = append(list, &examined{name: t.Origin, from: t})
	}
	return examineAll(ctx, list, o)
}

func checkCheckpoint(ctx context.Context, dir string, o CheckOptions) ([]string, error) {
	c, err := checkpoint.Open(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var list []*examined
	for rank := range c.Config().Mapping.WorldSize {
		r, err := c.Rank(rank)
		if err != nil {
			return nil, err
		}
		for _, name := range r.Names() {
			t, _ := r.Tensor(name)
			from := source.Tensor{Origin: name, Dtype: t.Dtype, Shape: t.Shape, Rows: source.Rows(t, t.Size()/t.Shape[0])}
			if t.Dtype == floatformat.E4M3 {
				if from.Scale, err = storedScale(r, strings.TrimSuffix(name, ".weight")+checkpoint.WeightScale); err != nil {
					return nil, err
				}
			}
			list = append(list, &examined{name: filepath.Join(dir, checkpoint.RankName(rank)) + ": " + name, from: from})
		}
	}
	return examineAll(ctx, list, o)
}

// examined is a tensor and what was found in it.
type examined struct {
	name string
	from source.Tensor

	mu       sync.Mutex
	nan, inf found
	over     found
	largest  float64 // of over
	err      error
}

// found counts values of a kind; first is the place of the first, counted in
// values.
type found struct{ n, first int64 }

func (f *found) add(at int64) {
	if f.n == 0 || at < f.first {
		f.first = at
	}
	f.n++
}

func (f *found) join(other found) {
	if other.n > 0 {
		f.add(other.first)
		f.n += other.n - 1
	}
}

// columns are the values in a row.
func (e *examined) columns() int64 {
	if len(e.from.Shape) < 2 {
		return 1
	}
	return e.from.Shape[1]
}

// span is as much of a tensor as one worker reads at a time.
type span struct {
	*examined
	row, rows int64
}

func examineAll(ctx context.Context, list []*examined, o CheckOptions) ([]string, error) {
	limit := math.Inf(1)
	if f, ok := binaryFormats[checkpoint.SafetensorsDtype(o.Dtype)]; ok {
		limit = f.overflow()
	}
	p := &progress{report: o.Progress}
	for _, e := range list {
		if e.from.Rows != nil {
			p.total += e.from.Shape[0] * e.columns() * width(e.from.Dtype)
		}
	}
	work := make(chan span)
	var group sync.WaitGroup
	for range workersOf(o.Workers) {
		group.Go(func() {
			var x examiner
			for s := range work {
				if ctx.Err() == nil {
					x.examine(s, limit)
					p.add(s.rows*s.columns()*width(s.from.Dtype), s.name)
				}
			}
		})
	}
	spans(ctx, list, work)
	close(work)
	group.Wait()
	problems := []string{}
	for _, e := range list {
		problems = append(problems, e.problems(o.Dtype)...)
	}
	return problems, ctx.Err()
}

// spans sends all tensors in pieces, until ctx ends.
func spans(ctx context.Context, list []*examined, work chan<- span) {
	for _, e := range list {
		if e.from.Rows == nil {
			continue
		}
		step := max(1, blockBytes/(e.columns()*4))
		for row := int64(0); row < e.from.Shape[0]; row += step {
			select {
			case work <- span{e, row, min(step, e.from.Shape[0]-row)}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// examiner is one worker's state.
type examiner struct {
	raw    []byte
	values []float32
}

func (x *examiner) examine(s span, limit float64) {
	n := s.rows * s.columns()
	x.raw = grow(x.raw, n*width(s.from.Dtype))
	if err := s.from.Rows.ReadRows(x.raw, s.row); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = err
		return
	}
	switch {
	case floatformat.Size(s.from.Dtype) > 0:
		x.values = grow(x.values, n)
		floatformat.Decode(x.values, x.raw, s.from.Dtype)
	case s.from.Dtype == floatformat.E4M3:
		x.values = grow(x.values, n)
		for i, code := range x.raw {
			x.values[i] = floatformat.FromE4M3(code) * s.from.Scale
		}
	default:
		return // pairs of 4 bits are all numbers
	}
	var nan, inf, over found
	largest := 0.0
	for i, v := range x.values {
		at := s.row*s.columns() + int64(i)
		switch a := math.Abs(float64(v)); {
		case a < limit && a <= math.MaxFloat32:
		case math.IsNaN(a):
			nan.add(at)
		case math.IsInf(a, 0):
			inf.add(at)
		default:
			over.add(at)
			largest = max(largest, a)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nan.join(nan)
	s.inf.join(inf)
	s.over.join(over)
	s.largest = max(s.largest, largest)
}

// problems are sentences about what was found.
func (e *examined) problems(dtype string) []string {
	var list []string
	at := func(f found) string {
		return fmt.Sprintf("the first at row %d, column %d", f.first/e.columns(), f.first%e.columns())
	}
	if e.err != nil {
		list = append(list, fmt.Sprintf("tensor %s cannot be read: %v", e.name, e.err))
	}
	if e.nan.n > 0 {
		list = append(list, fmt.Sprintf("tensor %s: NaN in %d places, %s", e.name, e.nan.n, at(e.nan)))
	}
	if e.inf.n > 0 {
		list = append(list, fmt.Sprintf("tensor %s: infinity in %d places, %s", e.name, e.inf.n, at(e.inf)))
	}
	if e.over.n > 0 {
		wider := "float32"
		if dtype == checkpoint.Float16 {
			wider = "bfloat16 or float32"
		}
		list = append(list, fmt.Sprintf("tensor %s: %d values that %s cannot hold, the largest %g, %s: choose %s", e.name, e.over.n, dtype, e.largest, at(e.over), wider))
	}
	return list
}
