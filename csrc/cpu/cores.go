//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/trtgo/trtgo/internal/executor"
)

// cores lends the CPUs of the process to steps, so that the steps of two runners do
// not slow each other down by more than they must: a step's threads wait for each
// other many times, and one that has no CPU holds up all.
type cores struct {
	count int64
	free  *semaphore.Weighted
}

func newCores(n int) *cores { return &cores{count: int64(n), free: semaphore.NewWeighted(int64(n))} }

// processCores are the CPUs that all runners of this process share.
var processCores = sync.OnceValue(func() *cores { return newCores(availableCPUs()) })

// take waits until so many CPUs are free and gives their number, for give. Those who
// wait are served in order. More threads than there are CPUs take all of them. When
// ctx ends first the error is executor.ErrAborted.
func (c *cores) take(ctx context.Context, threads int) (int64, error) {
	n := min(int64(threads), c.count)
	if c.free.Acquire(ctx, n) != nil {
		return 0, executor.ErrAborted
	}
	return n, nil
}

// give frees CPUs that take has given.
func (c *cores) give(n int64) { c.free.Release(n) }
