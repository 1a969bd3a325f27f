package build

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/csrc/native"
)

// library is the TensorRT of csrc/native.
type library struct{ *native.Library }

// openLibrary loads the TensorRT of a backend.
func openLibrary(backend string, release *tensorrt.Release) (compiler, error) {
	o := native.Options{Flavour: native.TensorRTRTX, TensorRT: os.Getenv(native.TensorRTRTXVariable)}
	const alone = "the network alone is written by --network_only, and --backend cpu builds an engine for this machine"
	needs, instead := "TensorRT-RTX", "the Python package tensorrt_rtx_cu13_libs has libtensorrt_rtx.so.1, name that in "+native.TensorRTRTXVariable+"; "+alone
	if backend == BackendTensorRTLLM {
		o = native.Options{Flavour: native.TensorRT, TensorRT: os.Getenv(native.TensorRTVariable), Plugins: native.FindPlugins()}
		needs = "the libraries of TensorRT-LLM " + release.Version
		instead = "use NVIDIA's image of that release; " + alone
	}
	lib, err := native.Open(o)
	if errors.Is(err, native.ErrNotFound) || errors.Is(err, native.ErrUnavailable) || errors.Is(err, native.ErrVersion) {
		return nil, &missingError{fmt.Sprintf("--backend %s needs %s: %s; %s", backend, needs, sentence(err), instead), err}
	}
	if err != nil {
		return nil, err
	}
	return library{lib}, nil
}

// missingError says what to do without a library.
type missingError struct {
	text string
	err  error
}

func (e *missingError) Error() string { return e.text }
func (e *missingError) Unwrap() error { return e.err }

// sentence leaves the function out that failed.
func sentence(err error) string {
	var e *native.Error
	if errors.As(err, &e) {
		return e.Text
	}
	return err.Error()
}

func (l library) compile(ctx context.Context, net *graph.Network, source graph.Source, c compilation, f *os.File) (timingCache []byte, err error) {
	o := tensorrt.CompileOptions{
		Release: c.release, Flags: c.flags, ProfilingVerbosity: c.profilingVerbosity, Capabilities: c.computeCapabilities,
		UseTimingCache: c.useTimingCache, TimingCache: c.timingCache, KeepTimingCache: func(cache []byte) { timingCache = cache },
		Progress: func(p native.Progress) {
			l.tell(c)
			if p.Bytes > 0 {
				c.progress(Phase{Name: "writing the plan", Done: p.Bytes, Total: -1, Bytes: true})
			} else if p.Phase != "" {
				c.progress(Phase{Name: p.Phase, Done: int64(p.Done), Total: int64(p.Total)})
			}
		},
	}
	err = tensorrt.Compile(ctx, l.Library, net, source, o, f)
	l.tell(c)
	return timingCache, err
}

// severities are those that are passed on.
var severities = map[native.Severity]string{
	native.InternalError: "error", native.ErrorMessage: "error", native.Warning: "warning", native.Info: "info",
}

// tell passes on what TensorRT has said.
func (l library) tell(c compilation) {
	for _, m := range l.Messages() {
		if severity, ok := severities[m.Severity]; ok {
			c.message(Message{Severity: severity, Text: m.Text})
		}
	}
}

func (l library) version() string {
	v := l.Versions().TensorRT
	return fmt.Sprintf("%d.%d.%d", v/10000, v/100%100, v%100)
}

func (l library) close() { _ = l.Close() } // every network of it is closed
