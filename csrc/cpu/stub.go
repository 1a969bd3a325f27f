//go:build !cgo || !linux || !(amd64 || arm64)

package cpu

import (
	"context"
	"fmt"
	"runtime"
	"time"

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
	return nil, noBackend()
}

func noBackend() error {
	return fmt.Errorf("the CPU backend needs linux/amd64 or linux/arm64 and a program built with cgo; this is %s/%s: %w",
		runtime.GOOS, runtime.GOARCH, executor.ErrNoBackend)
}

// Describe returns the zero Description.
func (r *Runner) Describe() Description { return Description{} }

// Limits cannot be had on this platform.
type Limits struct{}

// OpenLimits returns executor.ErrNoBackend.
func OpenLimits(Options) (*Limits, error) {
	return nil, noBackend()
}

// Read reads nothing.
func (l *Limits) Read(context.Context, int64) (int64, time.Duration, error) {
	return 0, 0, noBackend()
}

// Multiply computes nothing.
func (l *Limits) Multiply(context.Context, Arithmetic, float64) (float64, time.Duration, error) {
	return 0, 0, noBackend()
}

// Close does nothing.
func (l *Limits) Close() {}

// AvailableCPUs is the number of CPUs of the machine.
func AvailableCPUs() int { return availableCPUs() }

func availableCPUs() int { return runtime.NumCPU() }
