//go:build linux

package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/doctor"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

const (
	packages = "usr/local/lib/python3.12/dist-packages/"
	llmLibs  = packages + "tensorrt_llm/libs/"
)

// machine is a directory that stands for one, and what its programs answer.
type machine struct {
	t       testing.TB
	root    string
	env     map[string]string
	smi     string
	options doctor.Options
}

var template string // a healthy machine that is copied: compiling one takes a while

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "doctor-")
	if err != nil {
		panic(err)
	}
	template = filepath.Join(dir, "machine")
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// healthy has all that TensorRT-LLM 1.2.1 and TensorRT-RTX need, where NVIDIA's image and pip put it.
func healthy(t testing.TB) *machine {
	t.Helper()
	if _, err := os.Stat(template); err != nil {
		furnish(&machine{t: t, root: template})
	}
	m := &machine{t: t, root: t.TempDir(), env: map[string]string{}, smi: "NVIDIA H100 80GB HBM3, 9.0, 81559\nNVIDIA L4, 8.9, 23034\n"}
	require.NoError(t, os.CopyFS(m.root, os.DirFS(template)))
	m.env["TRTGO_TENSORRT_RTX_LIB"] = "/" + packages + "tensorrt_rtx_libs/libtensorrt_rtx.so.1"
	return m
}

func furnish(m *machine) {
	m.write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder)\nGCC version:  gcc 12\n")
	m.write("etc/ld.so.conf", "/usr/local/tensorrt/lib\n/opt/hpcx/ompi/lib\n"+"/"+llmLibs+"\n/app/tensorrt_llm/lib\n")
	m.library("usr/lib/libcuda.so.580.95.05", "libcuda.so.1", "int cuInit(void) { return 0; }")
	m.link("libcuda.so.580.95.05", "usr/lib/libcuda.so.1")
	m.library("usr/local/cuda/lib64/libcudart.so.13.0.96", "libcudart.so.13", "int cudaMalloc(void) { return 0; }")
	m.link("libcudart.so.13.0.96", "usr/local/cuda/lib64/libcudart.so.13")
	const tensorrt = "int getInferLibVersion(void) { return 0; } int createInferBuilder_INTERNAL(void) { return 0; } int getPluginRegistry(void) { return 0; }"
	m.library("usr/local/tensorrt/lib/libnvinfer.so.10.14.1", "libnvinfer.so.10", tensorrt)
	m.link("libnvinfer.so.10.14.1", "usr/local/tensorrt/lib/libnvinfer.so.10")
	m.library("opt/hpcx/ompi/lib/libmpi.so.40.30.7", "libmpi.so.40", "int MPI_Init(void) { return 0; }")
	m.link("libmpi.so.40.30.7", "opt/hpcx/ompi/lib/libmpi.so.40")
	m.library(packages+"torch/lib/libtorch.so", "libtorch.so", "int torch(void) { return 0; }")
	m.write(packages+"torch-2.9.1.dist-info/METADATA", "")
	m.library(llmLibs+"libtensorrt_llm.so", "libtensorrt_llm.so",
		"int MPI_Init(void), torch(void), getPluginRegistry(void); int executor(void) { return MPI_Init() + torch() + getPluginRegistry(); }"+functions(native.ExecutorSymbols()),
		"opt/hpcx/ompi/lib/libmpi.so.40", packages+"torch/lib/libtorch.so", "usr/local/tensorrt/lib/libnvinfer.so.10", "-Wl,-rpath,$ORIGIN/../../torch/lib")
	m.library(llmLibs+"libnvinfer_plugin_tensorrt_llm.so", "", "int executor(void); int initTrtLlmPlugins(void) { return executor(); }", llmLibs+"libtensorrt_llm.so")
	m.write(packages+"tensorrt_llm-1.2.1.dist-info/METADATA", "")
	m.library("usr/lib/libtrtgo_tensorrt.so", "", "const int TRTGO_ABI_1 = 1; int executor(void); int trtgo_executor_open(void) { return executor(); }", llmLibs+"libtensorrt_llm.so")
	m.write(packages+"tensorrt_llm/bin/executorWorker", "")
	m.library("usr/lib/libtrtgo_rtx.so", "", "const int TRTGO_ABI_1 = 1;")
	m.library(packages+"tensorrt_rtx_libs/libtensorrt_rtx.so.1", "libtensorrt_rtx.so.1", tensorrt)
	m.write(packages+"tensorrt_rtx_cu13_libs-1.7.1.116.dist-info/METADATA", "")
}

// functions defines functions in C.
func functions(names []string) string {
	var text strings.Builder
	for _, name := range names {
		text.WriteString("int " + name + "(void) { return 0; }\n")
	}
	return text.String()
}

func (m *machine) path(name string) string { return filepath.Join(m.root, name) }

func (m *machine) write(name, text string) {
	require.NoError(m.t, os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	require.NoError(m.t, os.WriteFile(m.path(name), []byte(text), 0o644))
}

func (m *machine) link(target, name string) { require.NoError(m.t, os.Symlink(target, m.path(name))) }

func (m *machine) remove(name string) { require.NoError(m.t, os.RemoveAll(m.path(name))) }

func (m *machine) rename(from, to string) {
	require.NoError(m.t, os.MkdirAll(filepath.Dir(m.path(to)), 0o755))
	require.NoError(m.t, os.Rename(m.path(from), m.path(to)))
}

// library compiles one. An argument that is no flag is a library of the machine that it is linked with.
func (m *machine) library(name, soname, text string, args ...string) {
	m.t.Helper()
	m.write(name, "")
	source := filepath.Join(m.t.TempDir(), "source.c")
	require.NoError(m.t, os.WriteFile(source, []byte(text), 0o644))
	compiler := strings.Fields(os.Getenv("CC"))
	if len(compiler) == 0 {
		compiler = []string{"cc"}
	}
	command := append(compiler[1:], "-shared", "-fPIC", "-nostdlib", "-Wl,--allow-shlib-undefined", "-o", m.path(name), source)
	if soname != "" {
		command = append(command, "-Wl,-soname,"+soname)
	}
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			a = m.path(a)
		}
		command = append(command, a)
	}
	out, err := exec.Command(compiler[0], command...).CombinedOutput()
	require.NoError(m.t, err, "%s", out)
}

func working(context.Context) doctor.CPU { return doctor.CPU{ISA: "avx2", Threads: 2} }

func (m *machine) examine() *doctor.Report {
	m.t.Helper()
	o := m.options
	o.Root, o.Getenv, o.TensorRT = m.root, func(name string) string { return m.env[name] }, "10.14.1"
	if o.ProbeCPU == nil {
		o.ProbeCPU = working
	}
	if o.NVIDIASMI == nil && m.smi != "" {
		o.NVIDIASMI = func(context.Context) ([]byte, error) { return []byte(m.smi), nil }
	}
	report, err := doctor.Examine(m.t.Context(), o)
	require.NoError(m.t, err)
	_, err = json.Marshal(report)
	require.NoError(m.t, err)
	return report
}

func problems(r *doctor.Report) string {
	var list []string
	for _, p := range r.Problems {
		list = append(list, strings.Join(p.Backends, ",")+": "+p.String())
	}
	return strings.Join(list, "\n")
}

func builds(r *doctor.Report) map[string]bool {
	list := map[string]bool{}
	for _, b := range r.Backends {
		list[b.Name] = b.Build
	}
	return list
}

// runs are the backends that run engines.
func runs(r *doctor.Report) []string {
	var list []string
	for _, b := range r.Backends {
		if b.Run {
			list = append(list, b.Name)
		}
	}
	return list
}

// Where all is well there is nothing to complain about.
func TestHealthy(t *testing.T) {
	m := healthy(t)
	r := m.examine()
	require.Empty(t, problems(r))
	require.Equal(t, map[string]bool{"cpu": true, "tensorrt-llm": true, "tensorrt-rtx": true}, builds(r))
	require.Equal(t, []string{"cpu", "tensorrt-llm"}, runs(r))
	require.Equal(t, "/"+packages+"tensorrt_llm/bin/executorWorker", r.ExecutorWorker)
	require.Nil(t, r.Loaded)
	require.True(t, r.OK)
	require.Equal(t, "cpu", r.Backend)
	require.Equal(t, "580.95.05", r.Driver)
	require.Equal(t, []doctor.GPU{
		{Name: "NVIDIA H100 80GB HBM3", ComputeCapability: "9.0", Memory: 81559 << 20}, {Name: "NVIDIA L4", ComputeCapability: "8.9", Memory: 23034 << 20},
	}, r.GPUs)
	versions := map[string]string{}
	for _, l := range r.Libraries {
		versions[l.Name] = l.Version
		require.NotEmpty(t, l.Path, l.Name)
		if l.Name == "TensorRT-LLM plugins" {
			require.Equal(t, 4, l.Dependencies)
		}
	}
	require.Equal(t, map[string]string{
		"NVIDIA driver library": "580.95.05", "CUDA runtime": "13.0.96", "TensorRT": "10.14.1", "MPI": "40.30.7", "libtorch": "2.9.1", "TensorRT-LLM": "1.2.1",
		"TensorRT-LLM plugins": "1.2.1", "TensorRT-RTX": "1.7.1.116", "trtgo's library for TensorRT": "", "trtgo's library for TensorRT-RTX": "",
	}, versions)
	for _, backend := range []string{"tensorrt-llm", "tensorrt-rtx"} {
		m.options.Backend = backend
		require.True(t, m.examine().OK)
	}
}

// A machine with nothing at all.
func TestEmpty(t *testing.T) {
	m := &machine{t: t, root: t.TempDir()}
	r := m.examine()
	require.True(t, r.OK)
	require.Equal(t, map[string]bool{"cpu": true, "tensorrt-llm": false, "tensorrt-rtx": false}, builds(r))
	require.Len(t, r.Problems, 8)
	for _, l := range r.Libraries {
		require.Empty(t, l.Path)
		if !strings.HasPrefix(l.Name, "trtgo's") { // those have no places of their own in a tree
			require.NotEmpty(t, l.Searched, l.Name)
		}
	}
	for _, backend := range []string{"tensorrt-llm", "tensorrt-rtx"} {
		m.options.Backend = backend
		require.False(t, m.examine().OK)
	}
	m.options = doctor.Options{ProbeCPU: func(context.Context) doctor.CPU { return doctor.CPU{Error: "no kernels"} }}
	r = m.examine()
	require.False(t, r.OK)
	require.Contains(t, problems(r), "cpu: the CPU backend does not work here (no kernels): use linux")
}

// Each thing that goes wrong is told in one sentence with its remedy, and keeps the backends from building that need it.
func TestProblems(t *testing.T) {
	const llm, rtx = "tensorrt-llm", "tensorrt-rtx"
	for name, c := range map[string]struct {
		change func(m *machine)
		want   string
		broken []string
	}{
		"no driver library": {func(m *machine) { m.remove("usr/lib/libcuda.so.1") },
			"tensorrt-llm: NVIDIA driver library (libcuda.so.1) is not there: install NVIDIA's driver; in a container, start it with --gpus all", []string{llm}},
		"no GPU": {func(m *machine) { m.smi = "No devices were found\n" },
			"tensorrt-llm: there is no NVIDIA GPU that the driver shows", []string{llm}},
		"nvidia-smi fails": {func(m *machine) {
			m.options.NVIDIASMI = func(context.Context) ([]byte, error) { return nil, errors.New("exit status 9") }
		},
			"tensorrt-llm,tensorrt-rtx: NVIDIA's driver is loaded but nvidia-smi does not answer (exit status 9): run nvidia-smi by hand", []string{llm}},
		"module and library differ": {func(m *machine) {
			m.write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  590.44.01  Tue\n")
		},
			"the driver's kernel module is 590.44.01 and its library /usr/lib/libcuda.so.1 is 580.95.05: load the module", []string{llm}},
		"old driver": {func(m *machine) {
			m.write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Tue\n")
			m.remove("usr/lib/libcuda.so.1")
			m.rename("usr/lib/libcuda.so.580.95.05", "usr/lib/libcuda.so.535.183.01")
			m.link("libcuda.so.535.183.01", "usr/lib/libcuda.so.1")
		},
			"the driver is 535.183.01, and CUDA 13, which TensorRT-LLM 1.2.1 uses, needs 580 or later: update the driver", []string{llm}},
		"another TensorRT": {func(m *machine) {
			m.remove("usr/local/tensorrt/lib/libnvinfer.so.10")
			m.rename("usr/local/tensorrt/lib/libnvinfer.so.10.14.1", "usr/local/tensorrt/lib/libnvinfer.so.10.13.3")
			m.link("libnvinfer.so.10.13.3", "usr/local/tensorrt/lib/libnvinfer.so.10")
		},
			"TensorRT at /usr/local/tensorrt/lib/libnvinfer.so.10 is 10.13.3, and TensorRT-LLM 1.2.1 needs 10.14.1: install that version", []string{llm}},
		"another TensorRT-LLM": {func(m *machine) {
			m.rename(packages+"tensorrt_llm-1.2.1.dist-info", packages+"tensorrt_llm-1.3.0rc5.dist-info")
		},
			"TensorRT-LLM at /" + llmLibs + "libtensorrt_llm.so is 1.3.0rc5, and this release builds for 1.2.1", []string{llm}},
		"TensorRT beside the loader's path": {func(m *machine) { m.write("etc/ld.so.conf", "/opt/hpcx/ompi/lib\n/"+llmLibs+"\n") },
			"TensorRT is at /usr/local/tensorrt/lib/libnvinfer.so.10, where the system does not look for libraries: set TRTGO_TENSORRT_LIB=/usr/local/tensorrt/lib/libnvinfer.so.10, or add /usr/local/tensorrt/lib to LD_LIBRARY_PATH", []string{llm}},
		"MPI beside the loader's path": {func(m *machine) { m.write("etc/ld.so.conf", "/usr/local/tensorrt/lib\n/"+llmLibs+"\n") },
			"/" + llmLibs + "libtensorrt_llm.so needs libmpi.so.40, which is not where the system looks for it: add /opt/hpcx/ompi/lib to LD_LIBRARY_PATH", []string{llm}},
		"no MPI": {func(m *machine) { m.remove("opt/hpcx") },
			"libtensorrt_llm.so needs libmpi.so.40, which is not where the system looks for it: install Open MPI", []string{llm}},
		"damaged libtorch": {func(m *machine) { m.write(packages+"torch/lib/libtorch.so", "\x7fELF") },
			"libtensorrt_llm.so needs libtorch.so, which cannot be used (", []string{llm}},
		"libtorch of another release": {func(m *machine) { m.library(packages+"torch/lib/libtorch.so", "libtorch.so", "int other;") },
			"libtensorrt_llm.so needs the symbol torch, which nothing that it loads defines (1 such symbols in all): its libraries are of different releases", []string{llm}},
		"plugins that are none": {func(m *machine) { m.library(llmLibs+"libnvinfer_plugin_tensorrt_llm.so", "", "int x;") },
			"TensorRT-LLM plugins at /" + llmLibs + "libnvinfer_plugin_tensorrt_llm.so has no initTrtLlmPlugins", []string{llm}},
		"our library of another version": {func(m *machine) { m.library("usr/lib/libtrtgo_rtx.so", "", "int TRTGO_ABI_0;") },
			"tensorrt-rtx: trtgo's library for TensorRT-RTX at /usr/lib/libtrtgo_rtx.so has no TRTGO_ABI_1, so it is of another version", []string{rtx}},
		"static TLS": {func(m *machine) {
			m.library("usr/lib/libtrtgo_rtx.so", "", `static __thread char big[3000] __attribute__((tls_model("initial-exec"))); const int TRTGO_ABI_1 = 1; int f(void) { return big[0]++; }`)
		},
			"tensorrt-rtx: /usr/lib/libtrtgo_rtx.so and what it needs want 3000 bytes of static thread-local storage, where glibc keeps 512 for libraries that are loaded late: set GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096, or LD_PRELOAD=/usr/lib/libtrtgo_rtx.so", []string{rtx}},
		"variable of nothing": {func(m *machine) { m.env["TRTGO_TENSORRT_RTX_LIB"] = "/none" },
			"tensorrt-rtx: TRTGO_TENSORRT_RTX_LIB names /none, which is not there", []string{rtx}},
		"RTX only where pip put it": {func(m *machine) { delete(m.env, "TRTGO_TENSORRT_RTX_LIB") },
			"set TRTGO_TENSORRT_RTX_LIB=/" + packages + "tensorrt_rtx_libs/libtensorrt_rtx.so.1, or add", []string{rtx}},
	} {
		t.Run(name, func(t *testing.T) {
			m := healthy(t)
			c.change(m)
			r := m.examine()
			require.Contains(t, problems(r), c.want)
			for backend, ok := range builds(r) {
				require.Equal(t, !slices.Contains(c.broken, backend), ok, "%s\n%s", backend, problems(r))
			}
		})
	}
}

// TensorRT-LLM may lie where only trtgo's own library looks, as cmake was told.
func TestTensorRTLLMElsewhere(t *testing.T) {
	m := healthy(t)
	m.rename(llmLibs, "opt/llm/lib")
	m.library("usr/lib/libtrtgo_tensorrt.so", "", "const int TRTGO_ABI_1 = 1; int executor(void); int trtgo_executor_open(void) { return executor(); }",
		"opt/llm/lib/libtensorrt_llm.so", "-Wl,-rpath,$ORIGIN/../../opt/llm/lib", "-Wl,--no-as-needed")
	m.write("etc/ld.so.conf", "/usr/local/tensorrt/lib\n/opt/hpcx/ompi/lib\n/"+packages+"torch/lib\n")
	r := m.examine()
	require.Equal(t, []string{"cpu"}, runs(r), "the plugins need it too, and do not find it")
	require.Contains(t, problems(r), "/opt/llm/lib/libnvinfer_plugin_tensorrt_llm.so needs libtensorrt_llm.so, which is not where the system looks for it")
	for _, l := range r.Libraries {
		if strings.HasPrefix(l.Name, "TensorRT-LLM") {
			require.Equal(t, "/opt/llm/lib", filepath.Dir(l.Path), l.Name)
		}
	}
	m.env["LD_LIBRARY_PATH"] = "/opt/llm/lib"
	r = m.examine()
	require.Empty(t, problems(r))
	require.Contains(t, runs(r), "tensorrt-llm")
}

// What runs engines may be missing where what builds them is there.
func TestRunProblems(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *machine)
		want   string
		builds bool
	}{
		"library without TensorRT-LLM": {func(m *machine) { m.library("usr/lib/libtrtgo_tensorrt.so", "", "const int TRTGO_ABI_1 = 1;") },
			"tensorrt-llm: /usr/lib/libtrtgo_tensorrt.so was built without TensorRT-LLM's headers, so that it builds engines and runs none: build it again (cmake -DTRTLLM_ROOT=DIRECTORY)", true},
		"TensorRT-LLM of another release": {func(m *machine) {
			m.library("usr/lib/libtrtgo_tensorrt.so", "", "const int TRTGO_ABI_1 = 1; int "+native.ExecutorSymbols()[0]+"(void); int f(void) { return "+native.ExecutorSymbols()[0]+"(); }", llmLibs+"libtensorrt_llm.so")
			m.library(llmLibs+"libtensorrt_llm.so", "libtensorrt_llm.so", "int executor(void) { return 0; }"+functions(native.ExecutorSymbols()[4:]))
		}, "tensorrt-llm: TensorRT-LLM at /" + llmLibs + "libtensorrt_llm.so, which is 1.2.1, lacks 4 of the " + strconv.Itoa(len(native.ExecutorSymbols())) + " functions that run engines, " +
			strings.Join(native.ExecutorSymbols()[:3], ", ") + " among them: it is not release 1.2.1: use NVIDIA's image", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := healthy(t)
			c.change(m)
			m.options.Backend = "tensorrt-llm"
			r := m.examine()
			require.Contains(t, problems(r), c.want)
			require.Len(t, r.Problems, 1)
			require.Equal(t, c.builds, builds(r)["tensorrt-llm"])
			require.Equal(t, []string{"cpu"}, runs(r))
			require.False(t, r.OK)
		})
	}
	m := healthy(t)
	m.remove(packages + "tensorrt_llm/bin")
	require.Empty(t, m.examine().ExecutorWorker)
	m.write("opt/bin/executorWorker", "")
	m.env["PATH"] = "/usr/bin:/opt/bin"
	require.Equal(t, "/opt/bin/executorWorker", m.examine().ExecutorWorker)
}

// What loading shows counts, whatever the files say.
func TestLoaded(t *testing.T) {
	well := doctor.Loaded{Library: "/usr/lib/libtrtgo_tensorrt.so", TensorRT: "10.14.1", TensorRTLLM: "1.2.1", TensorRTLLMHeaders: "1.2.1"}
	for name, c := range map[string]struct {
		change func(l *doctor.Loaded)
		want   string
		builds bool
		runs   bool
	}{
		"well":    {func(*doctor.Loaded) {}, "", true, true},
		"crash":   {func(l *doctor.Loaded) { l.Crash = "signal: aborted" }, "a process that loads TensorRT-LLM's libraries does not come to an end by itself (signal: aborted): look at", false, false},
		"refused": {func(l *doctor.Loaded) { l.Error = "libnvinfer.so.10 is version 10.9.0" }, "TensorRT-LLM's libraries cannot be loaded (libnvinfer.so.10 is version 10.9.0): look at", false, false},
		"plugins": {func(l *doctor.Loaded) { l.PluginDifferences = []string{"a has no b", "c is missing"} }, "2 plugins are not as release 1.2.1 has them: a has no b; c is missing: use NVIDIA's image", false, false},
		"headers": {func(l *doctor.Loaded) { l.TensorRTLLM = "1.2.0" }, "/usr/lib/libtrtgo_tensorrt.so was built with the headers of TensorRT-LLM 1.2.1, and 1.2.0 is loaded: build it again", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := healthy(t)
			l := well
			c.change(&l)
			m.options.Load = func(context.Context) doctor.Loaded { return l }
			r := m.examine()
			require.Contains(t, problems(r), c.want)
			require.Equal(t, &l, r.Loaded)
			require.Equal(t, c.builds, builds(r)["tensorrt-llm"])
			require.Equal(t, c.runs, slices.Contains(runs(r), "tensorrt-llm"))
		})
	}
}

// Where nvidia-smi is not there, and the driver's files neither, CUDA knows the GPUs.
func TestGPUsOfCUDA(t *testing.T) {
	m := healthy(t)
	m.smi = ""
	require.Contains(t, problems(m.examine()), "there is no NVIDIA GPU that the driver shows")
	gpus := []doctor.GPU{{Name: "L4", ComputeCapability: "8.9", Memory: 1 << 34}}
	m.options.Load = func(context.Context) doctor.Loaded { return doctor.Loaded{GPUs: gpus} }
	r := m.examine()
	require.Empty(t, problems(r))
	require.Equal(t, gpus, r.GPUs)
	require.Contains(t, runs(r), "tensorrt-llm")
}

// Without nvidia-smi the driver's files tell the names; what it does not know is in brackets.
func TestGPUs(t *testing.T) {
	m := healthy(t)
	m.smi = "Tesla \"X\", [N/A], [N/A]\na warning, with a comma\n"
	require.Equal(t, []doctor.GPU{{Name: `Tesla "X"`}}, m.examine().GPUs)
	m.smi = ""
	m.write("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA L40S\nIRQ:   \t\t 16\n")
	m.write("proc/driver/nvidia/gpus/0000:02:00.0/information", "")
	r := m.examine()
	require.Equal(t, []doctor.GPU{{Name: "NVIDIA L40S"}, {Name: "0000:02:00.0"}}, r.GPUs)
	require.True(t, builds(r)["tensorrt-llm"])
}

// nvidia-smi is asked with a limit of time.
func TestAskNVIDIASMI(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	script := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	script(`echo "$@"`)
	out, err := doctor.AskNVIDIASMI(t.Context())
	require.NoError(t, err)
	require.Equal(t, "--query-gpu=name,compute_cap,memory.total --format=csv,noheader,nounits\n", string(out))
	script("exit 9")
	_, err = doctor.AskNVIDIASMI(t.Context())
	require.EqualError(t, err, "exit status 9")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	script("exec sleep 1000")
	_, err = doctor.AskNVIDIASMI(ctx)
	require.Error(t, err)
	t.Setenv("PATH", t.TempDir())
	_, err = doctor.AskNVIDIASMI(t.Context())
	require.ErrorIs(t, err, exec.ErrNotFound)
}

// trtgo's own libraries are where their loader finds them, beside the program too.
func TestOwnLibraries(t *testing.T) {
	m := healthy(t)
	m.options.FindNative = func(f native.Flavour) (string, error) {
		if f == native.TensorRT {
			missing := &native.Error{Status: native.StatusNotFound, Operation: "Find", Text: "it is not there: build it; looked in /program, /lib"}
			return "", &native.MissingError{Err: missing, Searched: []string{"/program", "/lib"}}
		}
		return "/usr/lib/libtrtgo_rtx.so", nil
	}
	r := m.examine()
	require.Equal(t, map[string]bool{"cpu": true, "tensorrt-llm": false, "tensorrt-rtx": true}, builds(r))
	i := slices.IndexFunc(r.Libraries, func(l doctor.Library) bool { return l.Name == "trtgo's library for TensorRT" })
	require.Equal(t, []string{"/program", "/lib"}, r.Libraries[i].Searched)

	m.env["TRTGO_NATIVE_LIB"] = "elsewhere.so"
	m.options.FindNative = func(native.Flavour) (string, error) {
		return "", &native.Error{Status: native.StatusNotFound, Operation: "Find", Text: "TRTGO_NATIVE_LIB names a library that is not there"}
	}
	require.Contains(t, problems(m.examine()), "tensorrt-llm: TRTGO_NATIVE_LIB names a library that is not there: build it (cmake")
	delete(m.env, "TRTGO_NATIVE_LIB")

	// What the loader itself says.
	t.Setenv("TRTGO_NATIVE_LIB", "")
	t.Setenv("LD_LIBRARY_PATH", "/wherever")
	m.options.FindNative = native.Find
	l := m.examine().Libraries[i]
	require.True(t, l.Path != "" || slices.Contains(l.Searched, "/wherever"), "%+v", l)
}

// config of an engine; the Trtgo part is left out for "".
func (m *machine) engine(version, trtgo string, ranks int) string {
	dir := m.t.TempDir()
	text := `{"version": "` + version + `", "pretrained_config": {"architecture": "LlamaForCausalLM", "dtype": "bfloat16", "vocab_size": 8, "hidden_size": 8,
		"num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "head_size": 8, "intermediate_size": 8, "max_position_embeddings": 8,
		"mapping": {"world_size": ` + string(rune('0'+ranks)) + `, "tp_size": ` + string(rune('0'+ranks)) + `, "pp_size": 1}},
		"build_config": {"max_input_len": 4, "max_seq_len": 8, "max_batch_size": 1, "max_beam_width": 1, "max_num_tokens": 8, "kv_cache_type": "PAGED"}`
	if trtgo != "" {
		text += `, "trtgo": ` + trtgo
	}
	require.NoError(m.t, os.WriteFile(filepath.Join(dir, engineconfig.FileName), []byte(text+"}"), 0o644))
	for rank := range ranks {
		require.NoError(m.t, os.WriteFile(filepath.Join(dir, engineconfig.EngineName(rank)), []byte("plan"), 0o644))
	}
	return dir
}

// An engine is compared with what is there.
func TestEngines(t *testing.T) {
	m := healthy(t)
	for name, c := range map[string]struct {
		version, trtgo string
		ranks          int
		backend, want  string
	}{
		"of another release":   {"1.1.0", "", 1, "tensorrt-llm", "the engine was built with TensorRT-LLM 1.1.0, and that at /" + llmLibs + "libtensorrt_llm.so is 1.2.1: build it again here with trtgo build --backend tensorrt-llm"},
		"of another TensorRT":  {"1.2.1", `{"backend": "tensorrt-llm", "tensorrt": "10.13.3"}`, 1, "tensorrt-llm", "the engine was built with TensorRT 10.13.3, and that at /usr/local/tensorrt/lib/libnvinfer.so.10 is 10.14.1"},
		"of more GPUs":         {"1.2.1", "", 4, "tensorrt-llm", "the engine has 4 ranks, each of which wants a GPU, and there are 2"},
		"for other GPUs":       {"1.2.1", `{"backend": "tensorrt-rtx", "tensorrt": "1.7.1", "compute_capabilities": ["8.6", "12.0"]}`, 1, "tensorrt-rtx", "the engine was built for compute capability 8.6, 12.0, and NVIDIA H100 80GB HBM3 has 9.0: build it again here with trtgo build --backend tensorrt-rtx --compute_capability 9.0"},
		"of another RTX":       {"1.2.1", `{"backend": "tensorrt-rtx", "tensorrt": "1.6.0"}`, 1, "tensorrt-rtx", "the engine was built with TensorRT-RTX 1.6.0, and that at /" + packages + "tensorrt_rtx_libs/libtensorrt_rtx.so.1 is 1.7.1.116"},
		"of a CPU, but is not": {"1.2.1", `{"backend": "cpu", "weight_dtype": "float32", "format_version": 2}`, 1, "cpu", "cpu: the engine cannot be opened ("},
	} {
		t.Run(name, func(t *testing.T) {
			m.options = doctor.Options{EngineDir: m.engine(c.version, c.trtgo, c.ranks)}
			r := m.examine()
			require.Equal(t, c.backend, r.Engine.Backend, problems(r))
			require.Equal(t, c.backend, r.Backend)
			require.Contains(t, problems(r), c.want)
			require.False(t, r.OK)
		})
	}
	m.options = doctor.Options{EngineDir: m.engine("1.2.1", "", 1)} // of trtllm-build
	r := m.examine()
	require.Empty(t, problems(r))
	require.True(t, r.OK)
	m.smi = "No devices were found\n"
	r = m.examine()
	require.Contains(t, problems(r), "tensorrt-llm: the engine is for tensorrt-llm, which cannot run here: build the model again with trtgo build --backend cpu")
	require.False(t, r.OK)

	dir := m.engine("1.2.1", "", 2)
	require.NoError(t, os.Remove(filepath.Join(dir, "rank1.engine")))
	m.options = doctor.Options{EngineDir: dir}
	require.Contains(t, problems(m.examine()), "rank1.engine is not there, and config.json has world_size 2: copy the whole directory")
	m.options.EngineDir = t.TempDir()
	r = m.examine()
	require.Contains(t, problems(r), m.options.EngineDir+" holds no engine that can be read (")
	require.False(t, r.OK)
}

// The root has to be a directory, and an interrupt ends the examination.
func TestExamineErrors(t *testing.T) {
	_, err := doctor.Examine(t.Context(), doctor.Options{Root: filepath.Join(t.TempDir(), "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err = doctor.Examine(t.Context(), doctor.Options{Root: file})
	require.EqualError(t, err, file+" is not a directory")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = doctor.Examine(ctx, doctor.Options{Root: t.TempDir()})
	require.ErrorIs(t, err, context.Canceled)
}
