package trtllm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// healthyPreflight is an engine of two ranks in front of what it was built for.
func healthyPreflight(t *testing.T) *preflight {
	t.Helper()
	p := &preflight{
		dir: t.TempDir(), config: &engineconfig.Config{Version: "1.2.1"}, options: &options{}, library: "/lib/libtrtgo_tensorrt.so",
		versions: native.Versions{Flavour: native.TensorRT, Headers: 101401, TensorRT: 101401, ExecutorHeaders: "1.2.1", Executor: "1.2.1"},
		devices: func() ([]native.Device, error) {
			return []native.Device{{Name: "L4", Capability: 89}, {Name: "L4", Capability: 89}}, nil
		},
		launch: launch{variable: "OMPI_COMM_WORLD_SIZE", size: 2, rank: 1, local: 2},
	}
	p.config.Trtgo = &engineconfig.Trtgo{Backend: engineconfig.BackendTensorRTLLM, TensorRT: "10.14.1", ComputeCapabilities: []string{"8.9"}}
	m := &p.config.Pretrained.Mapping
	m.TPSize, m.PPSize, m.CPSize = 2, 1, 1
	p.config.Build.Plugins.UsePagedContextFMHA = true
	for _, name := range []string{"rank0.engine", "rank1.engine"} {
		require.NoError(t, os.WriteFile(filepath.Join(p.dir, name), []byte("plan"), 0o600))
	}
	return p
}

// Each mismatch is one sentence with both sides and the command that repairs it.
func TestPreflight(t *testing.T) {
	require.NoError(t, healthyPreflight(t).check())
	program := filepath.Base(os.Args[0])
	for name, c := range map[string]struct {
		change func(p *preflight)
		is     error
		want   string // @ is the engine's directory
	}{
		"library without TensorRT-LLM": {func(p *preflight) { p.versions.ExecutorHeaders, p.versions.Executor = "", "" }, ErrNoBackend,
			"no backend for this engine here: /lib/libtrtgo_tensorrt.so was built without TensorRT-LLM's headers, so that it builds engines and cannot run them: build it on this machine (cmake -DTRTLLM_ROOT=DIRECTORY, with the headers of the TensorRT-LLM that is installed)"},
		"a library that tells no release": {func(p *preflight) { p.versions.Executor = "" }, ErrNoBackend, "the TensorRT-LLM that is loaded tells no version, and /lib/libtrtgo_tensorrt.so was built with the headers of 1.2.1"},
		"headers of another release": {func(p *preflight) { p.versions.ExecutorHeaders = "1.2.0" }, ErrNoBackend,
			"no backend for this engine here: /lib/libtrtgo_tensorrt.so was built with the headers of TensorRT-LLM 1.2.0, and 1.2.1 is loaded: build it again with those of 1.2.1 (cmake -DTRTLLM_ROOT=DIRECTORY -DTRTLLM_VERSION=1.2.1), or use the libraries of 1.2.0"},
		"engine of another release": {func(p *preflight) { p.config.Version = "1.2.0" }, ErrNoBackend,
			"no backend for this engine here: the engine was built for TensorRT-LLM 1.2.0, and 1.2.1 is loaded: build it again with trtgo build --backend tensorrt-llm --checkpoint_dir CHECKPOINT --output_dir @, or use the image of TensorRT-LLM 1.2.0"},
		"engine of a release candidate": {func(p *preflight) { p.config.Version = "1.2.1rc3" }, ErrNoBackend, "built for TensorRT-LLM 1.2.1rc3, and 1.2.1 is loaded"},
		"engine of trtllm-build, of another release": {func(p *preflight) { p.config.Version, p.config.Trtgo = "1.0.0", nil }, ErrNoBackend,
			"build it again with trtgo build --backend tensorrt-llm --checkpoint_dir CHECKPOINT --output_dir @ --builder trtllm-build, or use"},
		"engine of another TensorRT": {func(p *preflight) { p.config.Trtgo.TensorRT = "10.13.3" }, ErrNoBackend,
			"the engine was built with TensorRT 10.13.3, and 10.14.1 is loaded, which reads plans of its own version only: build it again with trtgo build --backend tensorrt-llm --checkpoint_dir CHECKPOINT --output_dir @"},
		"no driver": {func(p *preflight) {
			p.devices = func() ([]native.Device, error) {
				return nil, &native.Error{Status: native.StatusNotFound, Operation: "dlopen", Text: "libcuda.so.1: cannot open shared object file"}
			}
		}, ErrNoBackend,
			"no backend for this engine here: libcuda.so.1: cannot open shared object file; trtgo doctor --backend tensorrt-llm tells what is missing here"},
		"no GPU": {func(p *preflight) { p.devices = func() ([]native.Device, error) { return nil, nil } }, ErrNoBackend,
			"CUDA's driver shows no GPU: in a container, start it with --gpus all"},
		"one GPU for two ranks": {func(p *preflight) {
			p.devices = func() ([]native.Device, error) { return []native.Device{{Capability: 89}}, nil }
		}, ErrNoBackend,
			"2 ranks run on this machine, each of which wants a GPU, and CUDA shows 1: use fewer ranks on a machine"},
		"one GPU for two ranks of an orchestrator": {func(p *preflight) {
			p.devices = func() ([]native.Device, error) { return []native.Device{{Capability: 89}}, nil }
			p.launch, p.options.orchestrator = launch{size: 1, local: 1}, true
		}, ErrNoBackend, "2 ranks run on this machine"},
		"a GPU of another kind": {func(p *preflight) {
			p.devices = func() ([]native.Device, error) {
				return []native.Device{{Name: "L4", Capability: 89}, {Name: "H100", Capability: 90}}, nil
			}
		}, ErrNoBackend,
			"the engine was built for compute capability 8.9, and GPU 1 (H100) has 9.0: build it again on this machine with trtgo build"},
		"a GPU that is not there":     {func(p *preflight) { p.options.deviceIDs = []int{1, 2} }, ErrInvalidOption, "device ids are [1 2], and CUDA shows 2 GPUs, 0 to 1"},
		"no file of this rank":        {func(p *preflight) { p.remove(t, "rank1.engine") }, ErrNotAnEngine, "of its 2 ranks rank 1 has no rank1.engine (stat @/rank1.engine: no such file or directory): copy the whole directory, or build it again with trtgo build"},
		"an empty file":               {func(p *preflight) { p.write(t, "rank1.engine", "") }, ErrNotAnEngine, "@/rank1.engine is empty or no file: copy it again"},
		"no weights beside the plan":  {func(p *preflight) { p.config.Build.Plugins.ManageWeights = true }, ErrNotAnEngine, "rank 1 has no rank1_managed_weights.safetensors"},
		"started alone":               {func(p *preflight) { p.launch = launch{size: 1, local: 1} }, ErrInvalidOption, "the engine has tp_size 2 and pp_size 1, so that 2 processes run it together, and this one was started alone: start it by mpirun -n 2 " + program + " …, or let it start the others as an orchestrator (--orchestrator)"},
		"a rank that there is not":    {func(p *preflight) { p.launch.rank = 5 }, ErrInvalidOption, "this process is rank 5 of 2 (OMPI_COMM_WORLD_SIZE): ranks begin at 0, start all of them by mpirun -n 2 " + program},
		"three of mpirun":             {func(p *preflight) { p.launch.size = 3 }, ErrInvalidOption, "and OMPI_COMM_WORLD_SIZE is 3: start it by mpirun -n 2 " + program + " …"},
		"orchestrator under mpirun":   {func(p *preflight) { p.options.orchestrator = true }, ErrInvalidOption, "an orchestrator starts the engine's processes itself, and OMPI_COMM_WORLD_SIZE is 2: start it without mpirun"},
		"one device id for two ranks": {func(p *preflight) { p.options.deviceIDs = []int{1} }, ErrInvalidOption, "device ids are [1], and the engine has 2 ranks, 2 of them on this machine: one GPU for each of these is wanted"},
		"no device ids":               {func(p *preflight) { p.options.deviceIDs = []int{} }, ErrInvalidOption, "device ids are []"},
		"chunks without paged attention": {func(p *preflight) {
			p.config.Build.Plugins.UsePagedContextFMHA = false
			p.options.chunkedContext = new(bool)
			*p.options.chunkedContext = true
		}, ErrInvalidOption, "chunked context is on, and the engine was built with use_paged_context_fmha off, which it needs"},
		"weights that cannot be streamed": {func(p *preflight) {
			p.options.gpuWeightsPercent = new(float64)
		}, ErrInvalidOption, "GPU weights percent is 0, and the engine was built without weight_streaming"},
	} {
		t.Run(name, func(t *testing.T) {
			p := healthyPreflight(t)
			c.change(p)
			err := p.check()
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, strings.ReplaceAll(c.want, "@", p.dir))
			require.True(t, strings.HasPrefix(err.Error(), p.dir+": "))
			require.NotContains(t, err.Error(), "\n")
		})
	}
	p := healthyPreflight(t)
	p.remove(t, "rank1.engine")
	require.ErrorIs(t, p.check(), fs.ErrNotExist)
}

func (p *preflight) remove(t *testing.T, name string) {
	require.NoError(t, os.Remove(filepath.Join(p.dir, name)))
}

func (p *preflight) write(t *testing.T, name, text string) {
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600))
}

// What may differ, and what is not this process's business.
func TestPreflightAccepts(t *testing.T) {
	for name, change := range map[string]func(p *preflight){
		"another build of the release":   func(p *preflight) { p.config.Version = "1.2.1+cu131" },
		"an engine of trtllm-build":      func(p *preflight) { p.config.Trtgo = nil },
		"another rank's file":            func(p *preflight) { p.remove(t, "rank0.engine") },
		"GPUs that no rank uses":         func(p *preflight) { p.devices = manyDevices(89, 89, 90) },
		"the GPUs that are chosen":       func(p *preflight) { p.devices, p.options.deviceIDs = manyDevices(90, 89, 90, 89), []int{3, 1} },
		"an orchestrator":                func(p *preflight) { p.launch, p.options.orchestrator = launch{size: 1, local: 1}, true },
		"an orchestrator, one of mpirun": func(p *preflight) { p.launch.size, p.launch.rank, p.options.orchestrator = 1, 0, true },
		"ranks of several machines":      func(p *preflight) { p.launch.local, p.devices = 1, manyDevices(89) },
		"a launcher that tells no more":  func(p *preflight) { p.launch.local, p.launch.rank = 0, -1 },
		"all of the weights on the GPU":  func(p *preflight) { p.options.gpuWeightsPercent = new(float64); *p.options.gpuWeightsPercent = 1 },
		"no chunks":                      func(p *preflight) { p.options.chunkedContext = new(bool) },
		"weights beside the plan": func(p *preflight) {
			p.config.Build.Plugins.ManageWeights = true
			p.write(t, "rank1_managed_weights.safetensors", "x")
		},
		"device ids on several machines": func(p *preflight) { p.launch.local, p.options.deviceIDs = 0, []int{1} },
	} {
		t.Run(name, func(t *testing.T) {
			p := healthyPreflight(t)
			change(p)
			require.NoError(t, p.check())
		})
	}
}

func manyDevices(capabilities ...int) func() ([]native.Device, error) {
	return func() ([]native.Device, error) {
		var list []native.Device
		for _, c := range capabilities {
			list = append(list, native.Device{Name: "GPU", Capability: c})
		}
		return list, nil
	}
}

// The variables of the programs that start MPI's processes.
func TestFindLaunch(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want launch
	}{
		"alone":    {nil, launch{size: 1, local: 1}},
		"Open MPI": {map[string]string{"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, launch{"OMPI_COMM_WORLD_SIZE", 4, 3, 2}},
		"MPICH":    {map[string]string{"PMI_SIZE": "2", "PMI_RANK": "0", "MPI_LOCALNRANKS": "2"}, launch{"PMI_SIZE", 2, 0, 2}},
		"srun":     {map[string]string{"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, launch{"SLURM_STEP_NUM_TASKS", 2, 1, 0}},
		"mpirun in a job of Slurm": {map[string]string{"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"},
			launch{"OMPI_COMM_WORLD_SIZE", 2, 1, 0}},
		"only an allocation": {map[string]string{"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, launch{size: 1, local: 1}},
		"nonsense":           {map[string]string{"OMPI_COMM_WORLD_SIZE": "many", "PMI_SIZE": "0"}, launch{size: 1, local: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, findLaunch(func(name string) string { return c.env[name] }))
		})
	}
}

// What one backend has not got is refused by name.
func TestOptionsOfOtherBackends(t *testing.T) {
	for want, option := range map[string]Option{
		"threads is for engines of the CPU backend":   WithThreads(2),
		"precision is for engines of the CPU backend": WithPrecision("exact"),
		"load is for engines of the CPU backend":      WithLoad("mmap"),
	} {
		err := optionsOf(option).checkNative()
		require.ErrorIs(t, err, ErrInvalidOption)
		require.EqualError(t, err, "invalid option: "+want+", this one is for tensorrt-llm: leave it out")
		require.NoError(t, optionsOf(option).checkCPU())
	}
	err := optionsOf(WithLogitsProcessor(func([]ProcessorRow) error { return errors.New("never") })).checkNative()
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "a logits processor is given")
	for want, option := range map[string]Option{
		"an orchestrator's processes cannot carry them":               WithOrchestrator(""),
		"TensorRT-LLM mixes up those of a request that it has paused": WithCapacityPolicy(MaxUtilization),
	} {
		err := optionsOf(option, WithGatherGenerationLogits(true)).checkNative()
		require.ErrorIs(t, err, ErrInvalidOption)
		require.ErrorContains(t, err, want)
		require.NoError(t, optionsOf(option).checkNative())
	}

	for want, option := range map[string]Option{
		"device ids":                          WithDeviceIDs(0),
		"orchestrator":                        WithOrchestrator(""),
		"GPU weights percent":                 WithGPUWeightsPercent(1),
		"host cache bytes":                    WithHostCacheBytes(1),
		"multi-block mode":                    WithMultiBlockMode(true),
		"CUDA graph mode":                     WithCUDAGraphMode(false),
		"context FMHA with FP32 accumulation": WithContextFMHAFP32Acc(true),
	} {
		err := optionsOf(option).checkCPU()
		require.ErrorIs(t, err, ErrInvalidOption)
		require.EqualError(t, err, "invalid option: "+want+" is for engines of the backend tensorrt-llm, this one is for cpu: leave it out")
		require.NoError(t, optionsOf(option).check())
		require.NoError(t, optionsOf(option).checkNative())
	}
	require.ErrorContains(t, optionsOf(WithChunkedContext(false)).checkCPU(), "chunked context is off")
	require.NoError(t, optionsOf(WithChunkedContext(true), WithGatherGenerationLogits(true)).checkCPU())
}
