package build

import (
	"context"
	"os"
	"testing"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/csrc/native"
)

// FakeCompiler stands for TensorRT in tests.
type FakeCompiler struct {
	Compile func(ctx context.Context, c FakeCompilation, f *os.File) (timingCache []byte, err error)
	Version string
}

// FakeCompilation is what a compiler is told.
type FakeCompilation struct {
	Network             *graph.Network
	Source              graph.Source
	Flags               []string
	ProfilingVerbosity  string
	ComputeCapabilities []int
	TimingCache         []byte
	UseTimingCache      bool
	Progress            func(Phase)
	Message             func(Message)
}

type fake struct{ FakeCompiler }

func (f fake) compile(ctx context.Context, net *graph.Network, source graph.Source, c compilation, out *os.File) ([]byte, error) {
	return f.Compile(ctx, FakeCompilation{net, source, c.flags, c.profilingVerbosity, c.computeCapabilities, c.timingCache, c.useTimingCache, c.progress, c.message}, out)
}
func (f fake) version() string { return f.Version }
func (f fake) close()          {}

// UseCompiler puts a compiler in the place of TensorRT, in all of this process.
func UseCompiler(f FakeCompiler) (restore func()) {
	before := openCompiler
	openCompiler = func(string, *tensorrt.Release) (compiler, error) { return fake{f}, nil }
	return func() { openCompiler = before }
}

// SetDevices puts GPUs in the place of this machine's; nil is the error that there is none.
func SetDevices(list []native.Device) {
	devices = func() ([]native.Device, error) {
		if list == nil {
			return nil, native.ErrNotFound
		}
		return list, nil
	}
}

// SetCompiler is UseCompiler for one test.
func SetCompiler(t *testing.T, f FakeCompiler) { t.Cleanup(UseCompiler(f)) }
