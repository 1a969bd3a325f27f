//go:build !cgo || !linux

package native

import (
	"context"
	"os"
	"time"
)

// Library cannot be had on this platform.
type Library struct{}

// Open returns ErrUnavailable.
func Open(Options) (*Library, error) { return nil, ErrUnavailable }

// Versions returns the zero Versions.
func (*Library) Versions() Versions { return Versions{} }

// PluginFields returns ErrUnavailable.
func (*Library) PluginFields(creator, version, namespace string) ([]PluginField, error) {
	return nil, ErrUnavailable
}

// Messages returns none.
func (*Library) Messages() []Message { return nil }

// NewNetwork returns ErrUnavailable.
func (*Library) NewNetwork(NetworkOptions) (*Network, error) { return nil, ErrUnavailable }

// Close does nothing.
func (*Library) Close() error { return nil }

// Network cannot be had on this platform.
type Network struct{}

// AddInput returns ErrUnavailable.
func (*Network) AddInput(Input) (Tensor, error) { return Tensor{}, ErrUnavailable }

// AddLayer returns ErrUnavailable.
func (*Network) AddLayer(Layer) ([]Tensor, error) { return nil, ErrUnavailable }

// MarkOutput returns ErrUnavailable.
func (*Network) MarkOutput(tensor int32, name string) error { return ErrUnavailable }

// AddProfile returns ErrUnavailable.
func (*Network) AddProfile([]Range) error { return ErrUnavailable }

// Build returns ErrUnavailable.
func (*Network) Build(context.Context, BuildOptions, *os.File) error { return ErrUnavailable }

// TimingCache returns ErrUnavailable.
func (*Network) TimingCache() ([]byte, error) { return nil, ErrUnavailable }

// Close does nothing.
func (*Network) Close() {}

// Executor cannot be had on this platform.
type Executor struct{}

// NewExecutor returns ErrUnavailable.
func (*Library) NewExecutor(ExecutorOptions) (*Executor, error) { return nil, ErrUnavailable }

// Leader tells nothing.
func (*Executor) Leader() bool { return false }

// Enqueue returns ErrUnavailable.
func (*Executor) Enqueue(Request) (id uint64, err error) { return 0, ErrUnavailable }

// Cancel returns ErrUnavailable.
func (*Executor) Cancel(id uint64) error { return ErrUnavailable }

// Await returns ErrUnavailable.
func (*Executor) Await(timeout time.Duration, each func(*Output)) error { return ErrUnavailable }

// IterationStats returns ErrUnavailable.
func (*Executor) IterationStats() ([]byte, error) { return nil, ErrUnavailable }

// RequestStats returns ErrUnavailable.
func (*Executor) RequestStats() ([]byte, error) { return nil, ErrUnavailable }

// Drain returns ErrUnavailable.
func (*Executor) Drain() error { return ErrUnavailable }

// Shutdown returns ErrUnavailable.
func (*Executor) Shutdown() error { return ErrUnavailable }

// Close does nothing.
func (*Executor) Close() {}

// Finalize does nothing.
func Finalize() error { return nil }

// Devices returns ErrUnavailable.
func Devices() ([]Device, error) { return nil, ErrUnavailable }
