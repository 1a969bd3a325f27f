package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
)

// ErrDifferent: a checkpoint is not what its source becomes.
var ErrDifferent = errors.New("checkpoint and source differ")

// VerifyOptions may be left empty.
type VerifyOptions struct {
	// Source says what the source may lack.
	Source SourceOptions
	// Workers is the number of goroutines; 0 chooses.
	Workers int
	// Progress, when not nil, hears of every block compared: bytes of the checkpoint
	// done and in all, and the tensor. Calls do not overlap.
	Progress func(done, total int64, tensor string)
}

// VerifyReport says what was compared and found to be right.
type VerifyReport struct {
	Tensors int   `json:"tensors"` // in all rank files together
	Bytes   int64 `json:"bytes"`   // of these tensors
	// Exact counts the tensors that lost nothing: every number is the source's.
	Exact int `json:"exact"`
	// Rounded are the others: each number is the nearest one that its dtype has, or,
	// of FP8 under another scale than the source's, at most half a step away.
	Rounded []TensorError `json:"rounded"`
	// Worst is the one of Rounded with the largest error, nil when there is none.
	Worst   *TensorError  `json:"worst,omitempty"`
	Files   []string      `json:"files"` // the tokenizer's, equal to the source's
	Elapsed time.Duration `json:"elapsed_ns"`
}

// TensorError is how much the numbers of a tensor lost to rounding. The relative
// error is that of a number that is not zero; it is 1 where a tiny one became zero.
type TensorError struct {
	Rank     int     `json:"rank"`
	Tensor   string  `json:"tensor"`
	Absolute float64 `json:"max_absolute_error"`
	Relative float64 `json:"max_relative_error"`
}

// Verify proves that the checkpoint in dir is what the model at path becomes: it
// reads both again and compares every number of every rank, the config and the
// tokenizer's files. The checkpoint says itself how the model was divided and
// which dtype it has, so that the pair may be an old one.
//
// Nothing of the way that wrote the checkpoint is used but the readers: which rows
// and columns of the source a tensor must have follows from its name, and rounding
// from the definition of the dtype. What the source's reader itself gets wrong is
// therefore not found. Weights that export rounded to groups of 4 bits are rounded again
// by the same functions.
//
// The first difference found is an error that wraps [ErrDifferent] and names rank,
// tensor, row, column and both values. A damaged checkpoint gives [ErrInvalid].
// Memory is bounded as that of Convert is.
func Verify(ctx context.Context, path, dir string, o VerifyOptions) (*VerifyReport, error) {
	m, err := Open(ctx, path, o.Source)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return VerifyModel(ctx, m, dir, o)
}

// VerifyModel is [Verify] for an open source, which stays open.
func VerifyModel(ctx context.Context, m source.Model, dir string, o VerifyOptions) (*VerifyReport, error) {
	start := time.Now()
	c, err := checkpoint.Open(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	report := &VerifyReport{Rounded: []TensorError{}}
	if err := sameConfig(m.Config(), c.Config()); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, checkpoint.ConfigName), err)
	}
	if report.Files, err = sameFiles(m, dir); err != nil {
		return nil, err
	}
	forget(dir, c.Config().Mapping.WorldSize)
	tensors, shards, err := comparisons(inGroups(m, c.Config()), c)
	if err != nil {
		return nil, err
	}
	if err := compareAll(ctx, shards, o); err != nil {
		return nil, err
	}
	for _, t := range tensors {
		report.Tensors++
		report.Bytes += t.have.Size()
		if t.lost.Absolute == 0 {
			report.Exact++
			continue
		}
		report.Rounded = append(report.Rounded, t.lost)
	}
	for i := range report.Rounded {
		if report.Worst == nil || report.Rounded[i].Absolute > report.Worst.Absolute {
			report.Worst = &report.Rounded[i]
		}
	}
	report.Elapsed = time.Since(start)
	return report, nil
}

// chosen are the fields of a checkpoint's config that whoever exports it chooses. Of
// an architecture's names, the class counts that they stand for.
var chosen = []string{"architecture", "dtype", "mapping", "use_parallel_embedding", "embedding_sharding_dim", "quantization", "producer", "logits_dtype"}

// sameConfig compares what the model is, leaving out how it was asked to be
// written.
func sameConfig(model, have *checkpoint.Config) error {
	if have.Family() != model.Family() {
		return fmt.Errorf("%w: architecture is %s, the source gives %s", ErrDifferent, have.Architecture, model.Architecture)
	}
	var fields [2]map[string]any
	for i, c := range []*checkpoint.Config{model, have} {
		text, err := c.Text()
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &fields[i]); err != nil {
			return err
		}
		for _, name := range chosen {
			delete(fields[i], name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields[0])) {
		want, err := json.Marshal(fields[0][name])
		if err != nil {
			return err
		}
		got, err := json.Marshal(fields[1][name])
		if err != nil {
			return err
		}
		if !bytes.Equal(want, got) {
			return fmt.Errorf("%w: %s is %s, the source gives %s", ErrDifferent, name, got, want)
		}
	}
	return nil
}

// sameFiles compares the files that travel along.
func sameFiles(m source.Model, dir string) ([]string, error) {
	files, err := m.Files()
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, f := range files {
		want := f.Data
		if f.Path != "" {
			if want, err = os.ReadFile(f.Path); err != nil {
				return nil, err
			}
		}
		path := filepath.Join(dir, f.Name)
		got, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(got, want) {
			return nil, fmt.Errorf("%s: %w: its %d bytes are not the %d of the source's file", path, ErrDifferent, len(got), len(want))
		}
		names = append(names, f.Name)
	}
	return names, nil
}

// comparison is one tensor of one rank and what was found of it.
type comparison struct {
	rank  int
	have  checkpoint.Tensor
	scale float32 // of its numbers, where they are FP8

	mu   sync.Mutex
	lost TensorError
}

// shard is a run of rows of a source's tensor with all its uses, so that it is read
// once though many ranks have columns of it, or a copy.
type shard struct {
	from      source.Tensor
	row, rows int64
	uses      []use
}

// use is a part of a rank's tensor: the rows from at equal the shard's, of which it
// has the columns from column.
type use struct {
	*comparison
	at              int64
	column, columns int64
}

// width is the values in a row of the source's tensor.
func (s *shard) width() int64 {
	if len(s.from.Shape) < 2 {
		return 1
	}
	return s.from.Shape[1]
}

// stretch is a few rows of a shard, as much as one worker compares at a time.
type stretch struct {
	*shard
	first, count int64 // first counts from the shard's first row
}

// compareAll compares everything, and stops at the first difference found.
func compareAll(ctx context.Context, list []*shard, o VerifyOptions) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &progress{report: o.Progress}
	for _, s := range list {
		for _, u := range s.uses {
			p.total += s.rows * u.columns * width(u.have.Dtype)
		}
	}
	work := make(chan stretch)
	var group sync.WaitGroup
	for range workersOf(o.Workers) {
		group.Go(func() {
			var c comparer
			for s := range work {
				if ctx.Err() != nil {
					continue
				}
				if err := c.compare(s, p); err != nil {
					cancel(err)
				}
			}
		})
	}
	divide(ctx, list, work)
	close(work)
	group.Wait()
	return context.Cause(ctx)
}

// divide sends the stretches of all shards in order, until ctx ends.
func divide(ctx context.Context, list []*shard, work chan<- stretch) {
	for _, s := range list {
		step := max(1, blockBytes/(s.width()*4))
		for first := int64(0); first < s.rows; first += step {
			select {
			case work <- stretch{s, first, min(step, s.rows-first)}:
			case <-ctx.Done():
				return
			}
		}
	}
}
