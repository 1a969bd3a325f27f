package trtllm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// preflight compares an engine for TensorRT-LLM with what is to run it, before any of it is loaded: what TensorRT-LLM
// would say of a mismatch comes late, is long and names one of the two sides at most.
type preflight struct {
	dir     string
	config  *engineconfig.Config
	options *options

	library  string // path of libtrtgo_tensorrt.so
	versions native.Versions
	devices  func() ([]native.Device, error)
	launch   launch
}

// check returns the first mismatch, as one sentence with both sides and what to do.
func (p *preflight) check() error {
	for _, check := range []func() error{p.checkLibrary, p.checkVersions, p.checkDevices, p.checkLaunch, p.checkFiles, p.checkOptions} {
		if err := check(); err != nil {
			return fmt.Errorf("%s: %w", p.dir, err)
		}
	}
	return nil
}

func noBackend(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNoBackend, fmt.Sprintf(format, args...))
}

// release is a version without the name of a build of it, such as 1.2.1+cu130.
func release(version string) string {
	version, _, _ = strings.Cut(version, "+")
	return version
}

// checkLibrary compares trtgo's library with the TensorRT-LLM that it loaded.
func (p *preflight) checkLibrary() error {
	const build = "build it on this machine (cmake -DTRTLLM_ROOT=DIRECTORY, with the headers of the TensorRT-LLM that is installed)"
	v := &p.versions
	switch loaded := release(v.Executor); {
	case v.ExecutorHeaders == "":
		return noBackend("%s was built without TensorRT-LLM's headers, so that it builds engines and cannot run them: %s", p.library, build)
	case loaded == "":
		return noBackend("the TensorRT-LLM that is loaded tells no version, and %s was built with the headers of %s: use the libraries of that release", p.library, v.ExecutorHeaders)
	case release(v.ExecutorHeaders) != loaded:
		return noBackend("%s was built with the headers of TensorRT-LLM %s, and %s is loaded: build it again with those of %s (cmake -DTRTLLM_ROOT=DIRECTORY -DTRTLLM_VERSION=%s), or use the libraries of %s",
			p.library, v.ExecutorHeaders, v.Executor, loaded, loaded, v.ExecutorHeaders)
	}
	return nil
}

// checkVersions compares the engine with the libraries. TensorRT-LLM's own runtime only logs config.json's version, and
// goes on: TensorRT refuses plans of another TensorRT, but nothing compares what its plugins have written into them,
// which may be another thing in each release.
func (p *preflight) checkVersions() error {
	if release(p.config.Version) != release(p.versions.Executor) {
		return noBackend("the engine was built for TensorRT-LLM %s, and %s is loaded: build it again with %s, or use the image of TensorRT-LLM %s",
			p.config.Version, p.versions.Executor, p.rebuild(), p.config.Version)
	}
	if t := p.config.Trtgo; t != nil && t.TensorRT != "" && t.TensorRT != p.tensorrt() {
		return noBackend("the engine was built with TensorRT %s, and %s is loaded, which reads plans of its own version only: build it again with %s",
			t.TensorRT, p.tensorrt(), p.rebuild())
	}
	return nil
}

// tensorrt is the version that is loaded.
func (p *preflight) tensorrt() string {
	v := p.versions.TensorRT
	return fmt.Sprintf("%d.%d.%d", v/10000, v/100%100, v%100)
}

// rebuild is the command that builds the engine for this machine.
func (p *preflight) rebuild() string {
	command := "trtgo build --backend tensorrt-llm --checkpoint_dir CHECKPOINT --output_dir " + p.dir
	if t := p.config.Trtgo; t == nil || t.Builder != "" {
		command += " --builder trtllm-build"
	}
	return command
}

// checkDevices compares the GPUs with those that the engine was built for.
func (p *preflight) checkDevices() error {
	devices, err := p.devices()
	if err != nil {
		return noLibrary(err)
	}
	if len(devices) == 0 {
		return noBackend("CUDA's driver shows no GPU: in a container, start it with --gpus all; CUDA_VISIBLE_DEVICES may hide them")
	}
	used := p.options.deviceIDs
	if used == nil {
		for id := range p.localRanks() {
			used = append(used, id)
		}
	}
	for _, id := range used {
		if id < len(devices) {
			continue
		}
		if p.options.deviceIDs != nil {
			return invalidOption("device ids are %v, and CUDA shows %d GPUs, 0 to %d", used, len(devices), len(devices)-1)
		}
		return noBackend("%d ranks run on this machine, each of which wants a GPU, and CUDA shows %d: use fewer ranks on a machine, or export the checkpoint with a smaller --tp_size and --pp_size and build it again",
			len(used), len(devices))
	}
	t := p.config.Trtgo
	if t == nil || len(t.ComputeCapabilities) == 0 {
		return nil // TensorRT compares them itself
	}
	for _, id := range used {
		if d := devices[id]; !slices.Contains(t.ComputeCapabilities, capabilityName(d.Capability)) {
			return noBackend("the engine was built for compute capability %s, and GPU %d (%s) has %s: build it again on this machine with %s",
				strings.Join(t.ComputeCapabilities, ", "), id, d.Name, capabilityName(d.Capability), p.rebuild())
		}
	}
	return nil
}

// capabilityName is a compute capability, which is times ten, as engines have it: "8.9".
func capabilityName(n int) string { return fmt.Sprintf("%d.%d", n/10, n%10) }

// localRanks is how many ranks run on this machine, as far as it is known.
func (p *preflight) localRanks() int {
	switch {
	case p.options.orchestrator:
		return p.worldSize()
	case p.launch.local > 0:
		return p.launch.local
	}
	return 1
}

// worldSize is how many processes the engine runs in.
func (p *preflight) worldSize() int {
	m := p.config.Pretrained.Mapping
	return m.TPSize * m.PPSize * m.CPSize
}

// weights is the size of what is loaded here, in bytes.
func (p *preflight) weights() int64 {
	first, last := p.ranks()
	var bytes int64
	for rank := first; rank <= last; rank++ {
		for _, name := range p.names(rank) {
			if info, err := os.Stat(filepath.Join(p.dir, name)); err == nil {
				bytes += info.Size()
			}
		}
	}
	return bytes
}

// ranks are those whose files are loaded here: that of this process, or all where they are not those of mpirun.
func (p *preflight) ranks() (first, last int) {
	if n := p.launch.rank; p.launch.variable != "" && n >= 0 && n < p.worldSize() && !p.options.orchestrator {
		return n, n
	}
	return 0, p.worldSize() - 1
}

// names are the files of a rank.
func (p *preflight) names(rank int) []string {
	names := []string{engineconfig.EngineName(rank)}
	if p.config.Build.Plugins.ManageWeights {
		names = append(names, engineconfig.ManagedWeightsName(rank))
	}
	return names
}

// checkFiles looks for what will be loaded here.
func (p *preflight) checkFiles() error {
	first, last := p.ranks()
	for rank := first; rank <= last; rank++ {
		for _, name := range p.names(rank) {
			path := filepath.Join(p.dir, name)
			switch info, err := os.Stat(path); {
			case err != nil:
				return fmt.Errorf("%w: of its %d ranks rank %d has no %s (%w): copy the whole directory, or build it again with %s", ErrNotAnEngine, p.worldSize(), rank, name, err, p.rebuild())
			case !info.Mode().IsRegular() || info.Size() == 0:
				return fmt.Errorf("%w: %s is empty or no file: copy it again, or build the engine again with %s", ErrNotAnEngine, path, p.rebuild())
			}
		}
	}
	return nil
}

// checkLaunch compares the engine's ranks with the processes that were started.
func (p *preflight) checkLaunch() error {
	m, world, started := p.config.Pretrained.Mapping, p.worldSize(), p.launch
	start := fmt.Sprintf("mpirun -n %d %s …", world, filepath.Base(os.Args[0]))
	switch {
	case p.options.orchestrator && started.size > 1:
		return invalidOption("an orchestrator starts the engine's processes itself, and %s is %d: start it without mpirun, or leave the orchestrator out", started.variable, started.size)
	case started.rank >= started.size:
		return invalidOption("this process is rank %d of %d (%s): ranks begin at 0, start all of them by %s", started.rank, started.size, started.variable, start)
	case p.options.orchestrator || started.size == world:
		return nil
	case started.variable == "":
		return invalidOption("the engine has tp_size %d and pp_size %d, so that %d processes run it together, and this one was started alone: start it by %s, or let it start the others as an orchestrator (--orchestrator)",
			m.TPSize, m.PPSize, world, start)
	}
	return invalidOption("the engine has tp_size %d and pp_size %d, which takes as many processes as their product, %d, and %s is %d: start it by %s",
		m.TPSize, m.PPSize, world, started.variable, started.size, start)
}

// checkOptions refuses what this engine has not got.
func (p *preflight) checkOptions() error {
	o, plugins := p.options, &p.config.Build.Plugins
	if ids := o.deviceIDs; ids != nil {
		local := p.localRanks()
		known := o.orchestrator || p.launch.local > 0
		if len(ids) == 0 || known && len(ids) != local || p.worldSize()%len(ids) != 0 {
			return invalidOption("device ids are %v, and the engine has %d ranks, %d of them on this machine: one GPU for each of these is wanted", ids, p.worldSize(), local)
		}
	}
	switch {
	case o.chunkedContext != nil && *o.chunkedContext && !plugins.UsePagedContextFMHA:
		return invalidOption("chunked context is on, and the engine was built with use_paged_context_fmha off, which it needs: leave the option out, or build the engine with --use_paged_context_fmha enable")
	case o.gpuWeightsPercent != nil && *o.gpuWeightsPercent < 1 && !p.config.Build.WeightStreaming:
		return invalidOption("GPU weights percent is %v, and the engine was built without weight_streaming, which it needs: leave the option out, or build the engine with --weight_streaming", *o.gpuWeightsPercent)
	}
	return nil
}

// checkNative refuses what was asked for and no engine of TensorRT-LLM has.
func (o *options) checkNative() error {
	for _, option := range []struct {
		name string
		set  bool
	}{{"threads", o.threads > 0}, {"precision", o.precision != ""}, {"load", o.load != ""}} {
		if option.set {
			return invalidOption("%s is for engines of the CPU backend, this one is for tensorrt-llm: leave it out", option.name)
		}
	}
	if o.processor != nil {
		return fmt.Errorf("%w: a logits processor is given, and TensorRT-LLM's executor calls none of a Go program: leave it out, or build the model for the CPU backend", ErrUnsupported)
	}
	const gathered = "generation logits are gathered, which top log-probs, and log-probs with temperature, penalties, bias, bans or min_p, need too"
	switch {
	case o.generationLogits && o.orchestrator: // the last output of a cancelled request has a tensor that ends the process
		return invalidOption("%s, and an orchestrator's processes cannot carry them: leave these out, or start the engine by mpirun instead", gathered)
	case o.generationLogits && o.policy == MaxUtilization:
		return invalidOption("%s, and TensorRT-LLM mixes up those of a request that it has paused, as max utilization does: leave these out, or use guaranteed no evict", gathered)
	}
	return nil
}
