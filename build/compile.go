package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// compiler is a loaded TensorRT.
type compiler interface {
	// compile writes the plan of a network to f and returns the timing cache after it.
	compile(ctx context.Context, net *graph.Network, source graph.Source, c compilation, f *os.File) (timingCache []byte, err error)
	// version is TensorRT's, e.g. "10.14.1".
	version() string
	close()
}

// compilation says how a network is compiled.
type compilation struct {
	release             *tensorrt.Release // of TensorRT-LLM
	flags               []string          // of the builder, by TensorRT's names
	profilingVerbosity  string
	computeCapabilities []int // times ten
	useTimingCache      bool
	timingCache         []byte        // of an earlier build; nil to begin with none
	progress            func(Phase)   // without the rank
	message             func(Message) // likewise
}

// openCompiler loads the TensorRT of a backend. Tests put another in its place.
var openCompiler = openLibrary

// compilation gives what the flags ask for.
func (s *settings) compilation(cache []byte, progress func(Phase), message func(Message)) compilation {
	c := compilation{release: s.release, profilingVerbosity: map[string]string{
		"layer_names_only": "LAYER_NAMES_ONLY", "detailed": "DETAILED", "none": "NONE",
	}[s.ProfilingVerbosity], progress: progress, message: message, useTimingCache: s.Backend == BackendTensorRTLLM, timingCache: cache}
	for _, f := range []struct {
		set   bool
		flags []string
	}{
		{s.StripPlan, []string{"STRIP_PLAN", "REFIT_INDIVIDUAL"}}, {s.WeightStreaming, []string{"WEIGHT_STREAMING"}},
		{s.WeightSparsity, []string{"SPARSE_WEIGHTS"}}, {s.MonitorMemory, []string{"MONITOR_MEMORY"}},
	} {
		if f.set {
			c.flags = append(c.flags, f.flags...)
		}
	}
	if s.Backend == BackendTensorRTRTX {
		for _, name := range s.ComputeCapabilities {
			n, _ := capabilityNumber(name) // rtxCapabilities has checked it
			c.computeCapabilities = append(c.computeCapabilities, n)
		}
	}
	return c
}

// compileRank writes the engine of a rank into dir, and its weights where they are
// inputs. It fills in built and cache.
func (p *rankPlan) compileRank(ctx context.Context, lib compiler, rank int, dir string) error {
	net, report := p.networks[rank], &p.built[rank]
	source, err := tensorrt.OpenSource(p.ckpt, rank)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // it was only read
	progress := func(phase Phase) {
		if phase.Rank = rank; p.s.Phases != nil {
			p.s.Phases(phase)
		}
	}
	message := func(m Message) {
		if m.Rank = rank; p.s.Messages != nil {
			p.s.Messages(m)
		}
	}
	path := filepath.Join(dir, engineconfig.EngineName(rank))
	err = createFile(path, func(f *os.File) error {
		var err error
		p.cache, err = lib.compile(ctx, net, source, p.s.compilation(p.cache, progress, message), f)
		return err
	})
	if errors.Is(err, tensorrt.ErrDiffers) {
		err = fmt.Errorf("%w; %s", err, p.s.expected())
	}
	if err != nil {
		return fmt.Errorf("rank %d: %w", rank, err)
	}
	if report.Engine, err = fileSize(path); err != nil {
		return err
	}
	if !managed(net) {
		return nil
	}
	path = filepath.Join(dir, engineconfig.ManagedWeightsName(rank))
	if err := tensorrt.WriteManagedWeights(ctx, net, source, path, func(done, total int64) {
		progress(Phase{Name: "writing weights", Done: done, Total: total, Bytes: true})
	}); err != nil {
		return fmt.Errorf("rank %d: %w", rank, err)
	}
	report.Managed, err = fileSize(path)
	return err
}

// expected says which libraries would see a network as it is meant.
func (s *settings) expected() string {
	if s.Backend == BackendTensorRTRTX {
		return "use TensorRT-RTX 1.7, or report it"
	}
	return fmt.Sprintf("use the libraries of TensorRT-LLM %s, or name their release by --target_version", s.release.Version)
}

func managed(net *graph.Network) bool {
	for _, in := range net.Inputs {
		if in.Weight != nil {
			return true
		}
	}
	return false
}

func fileSize(path string) (int64, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return stat.Size(), nil
}

// write builds the engines of all ranks into dir.
func (p *rankPlan) write(ctx context.Context, dir string) error {
	if err := p.readTimingCache(); err != nil {
		return err
	}
	if p.s.Workers > 1 && len(p.networks) > 1 {
		return p.writeParallel(ctx, dir)
	}
	lib, err := openCompiler(p.s.Backend, p.s.release)
	if err != nil {
		return err
	}
	defer lib.close()
	p.version = lib.version()
	for rank := range p.networks {
		if err := p.compileRank(ctx, lib, rank, dir); err != nil {
			return err
		}
	}
	p.noteVersion()
	return nil
}

// noteVersion tells of plans that the release of TensorRT-LLM will not load: a plan is for the TensorRT that built it.
func (p *rankPlan) noteVersion() {
	if release := p.s.release; p.s.Backend == BackendTensorRTLLM && p.version != release.TensorRT {
		p.s.note("built with TensorRT %s; TensorRT-LLM %s loads plans of %s only", p.version, release.Version, release.TensorRT)
	}
}
