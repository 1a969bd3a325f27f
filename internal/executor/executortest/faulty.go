package executortest

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// ErrFault is what the steps and copies of a [Faulty] fail with.
var ErrFault = errors.New("executortest: a fault")

// Faults are the chances, 0 to 1, that something goes wrong.
type Faults struct {
	Step  float64 // a step fails, before it or after it was done
	NaN   float64 // a row of a step's result is not numbers
	Copy  float64 // copying a block fails
	Slow  float64 // a step takes SlowBy longer, whatever its context says
	Panic float64 // a step panics
	Hang  float64 // a step does not return before Release, whatever its context says

	SlowBy time.Duration
}

// Faulty is a runner around a runner, with faults by chance of a seed. Release and
// Seen may be called by any goroutine.
type Faulty struct {
	executor.Runner
	faults   Faults
	random   *rand.Rand
	released chan struct{}
	release  sync.Once
	seen     atomic.Int64
}

// NewFaulty returns a runner with faults.
func NewFaulty(runner executor.Runner, faults Faults, seed uint64) *Faulty {
	return &Faulty{
		Runner: runner, faults: faults, random: rand.New(rand.NewPCG(seed, 13)),
		released: make(chan struct{}),
	}
}

// Release lets a step that hangs go on; it fails then. Nothing hangs afterwards.
func (f *Faulty) Release() { f.release.Do(func() { close(f.released) }) }

// Seen tells how many faults there were.
func (f *Faulty) Seen() int { return int(f.seen.Load()) }

// comes tells whether a fault comes now.
func (f *Faulty) comes(chance float64) bool {
	if chance == 0 || f.random.Float64() >= chance {
		return false
	}
	f.seen.Add(1)
	return true
}

// Step implements [executor.Runner].
func (f *Faulty) Step(ctx context.Context, batch []executor.Sequence, out *executor.StepResult) error {
	if f.comes(f.faults.Slow) {
		time.Sleep(f.faults.SlowBy)
	}
	if f.comes(f.faults.Hang) {
		<-f.released
		return ErrFault
	}
	if f.comes(f.faults.Panic) {
		panic(ErrFault)
	}
	failed := f.comes(f.faults.Step)
	if failed && f.random.IntN(2) == 0 {
		return ErrFault
	}
	if err := f.Runner.Step(ctx, batch, out); err != nil {
		return err
	}
	if failed {
		return ErrFault
	}
	if len(out.Rows) > 0 && f.comes(f.faults.NaN) {
		spoil(&out.Rows[f.random.IntN(len(out.Rows))])
	}
	return nil
}

// CopyBlock implements [executor.Runner].
func (f *Faulty) CopyBlock(src, dst, n int) error {
	if f.comes(f.faults.Copy) {
		return ErrFault
	}
	return f.Runner.CopyBlock(src, dst, n)
}

// spoil makes a row what a model gives whose logits are not numbers.
func spoil(row *executor.RowResult) {
	nan := float32(math.NaN())
	row.Max, row.LogSumExp, row.RawLogSumExp = nan, nan, nan
	for i := range row.Candidates {
		row.Candidates[i].Logit, row.Candidates[i].Raw = nan, nan
	}
	for i := range row.Logits {
		row.Logits[i] = nan
	}
	for i := range row.Targets {
		row.Targets[i] = nan
	}
}
