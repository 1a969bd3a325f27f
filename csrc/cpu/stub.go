//go:build !cgo || !linux || !(amd64 || arm64)

package cpu

import (
	"context"
	"fmt"
	"runtime"

	"github.com/trtgo/trtgo/internal/executor"
)

// Runner cannot be had on this platform.
type Runner struct{ executor.Runner }

// Description tells what a runner was opened with.
type Description struct {
	ISA, Precision                        string
	Threads                               int
	WeightBytes, KVBytes, ActivationBytes int64
}

// Open returns executor.ErrNoBackend.
func Open(context.Context, string, Options) (*Runner, error) {
	return nil, fmt.Errorf("the CPU backend needs linux/amd64 or linux/arm64 and a program built with cgo; this is %s/%s: %w",
		runtime.GOOS, runtime.GOARCH, executor.ErrNoBackend)
}

// Describe returns the zero Description.
func (r *Runner) Describe() Description { return Description{} }

// StreamReadBandwidth returns 0: it cannot be measured on this platform.
func StreamReadBandwidth(int) float64 { return 0 }

func availableCPUs() int { return runtime.NumCPU() }
