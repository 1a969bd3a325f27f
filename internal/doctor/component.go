package doctor

import (
	"strings"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// component is a library that backends use: how it is found and what it must have.
type component struct {
	name     string
	backends []string
	needed   bool     // without it the backends cannot build; the others are needed only where a library asks for them
	files    []string // its names, the usual one first
	variable string   // names its file
	flavour  native.Flavour
	places   []string // where else it lies: directories as patterns, {python} is each directory of Python packages
	first    bool     // those are asked before the loader
	beside   string   // or beside this library, where trtgo's own finds that
	byName   bool     // the loader is asked for it by its name, unless the variable is set
	packages []string // the Python packages that have it, as patterns, whose version is its own
	symbols  []string // that it must define
	remedy   string   // when it is not there
}

var (
	llm  = []string{engineconfig.BackendTensorRTLLM}
	rtx  = []string{engineconfig.BackendTensorRTRTX}
	both = []string{engineconfig.BackendTensorRTLLM, engineconfig.BackendTensorRTRTX}
)

// cudaPlaces are those of NVIDIA's installers and of pip's packages of CUDA 12 and 13.
var cudaPlaces = []string{
	"/usr/local/cuda/lib64", "/usr/local/cuda/targets/*-linux/lib", "/usr/local/cuda-*/lib64", "{python}/nvidia/cu1*/lib", "{python}/nvidia/*/lib",
}

const useImage = "use NVIDIA's image nvcr.io/nvidia/tensorrt-llm/release:" + engineconfig.RuntimeVersion

// components are all of them; what needs another one comes after it.
var components = []*component{
	{
		name: "NVIDIA driver library", backends: llm, needed: true, files: []string{"libcuda.so.1"}, byName: true, symbols: []string{"cuInit"},
		places: []string{"/usr/lib/wsl/lib", "/usr/local/cuda/compat"},
		remedy: "install NVIDIA's driver; in a container, start it with --gpus all and the NVIDIA Container Toolkit",
	},
	{
		name: "CUDA runtime", backends: llm, files: []string{"libcudart.so.13", "libcudart.so.12"}, places: cudaPlaces,
		remedy: "install the CUDA toolkit, or " + useImage,
	},
	{
		name: "TensorRT", backends: llm, needed: true, files: []string{"libnvinfer.so.10", "libnvinfer.so.11"}, variable: "TRTGO_TENSORRT_LIB", byName: true,
		places:   []string{"/usr/local/tensorrt/lib", "{python}/tensorrt_libs"},
		packages: []string{"tensorrt_cu*_libs", "tensorrt_libs"},
		symbols:  []string{"getInferLibVersion", "createInferBuilder_INTERNAL", "getPluginRegistry"},
		remedy:   useImage + ", or name the library in TRTGO_TENSORRT_LIB",
	},
	{
		name: "MPI", backends: llm, files: []string{"libmpi.so.40", "libmpi.so.12"},
		places: []string{"/opt/hpcx/ompi/lib", "/usr/local/mpi/lib", "/usr/lib/*-linux-gnu/openmpi/lib", "/usr/lib64/openmpi/lib", "/opt/amazon/openmpi/lib"},
		remedy: "install Open MPI (on Ubuntu: apt-get install libopenmpi3), or " + useImage,
	},
	{
		name: "libtorch", backends: llm, files: []string{"libtorch.so"}, places: []string{"{python}/torch/lib"}, packages: []string{"torch"},
		remedy: "install PyTorch 2.9 or 2.10 (pip install torch), or " + useImage,
	},
	{
		name: "TensorRT-LLM", backends: llm, needed: true, files: []string{"libtensorrt_llm.so"},
		places: []string{"{python}/tensorrt_llm/libs", "/app/tensorrt_llm/lib"}, beside: executorLibrary, packages: []string{"tensorrt_llm"}, remedy: useImage,
	},
	{
		name: "TensorRT-LLM plugins", backends: llm, needed: true, files: []string{"libnvinfer_plugin_tensorrt_llm.so"}, variable: "TRTGO_TENSORRT_LLM_PLUGINS",
		places: []string{"{python}/tensorrt_llm/libs"}, first: true, beside: executorLibrary, packages: []string{"tensorrt_llm"}, symbols: []string{"initTrtLlmPlugins"},
		remedy: useImage + ", or name the library in TRTGO_TENSORRT_LLM_PLUGINS",
	},
	{
		name: "trtgo's library for TensorRT", backends: llm, needed: true, files: []string{"libtrtgo_tensorrt.so"}, variable: "TRTGO_NATIVE_LIB",
		flavour: native.TensorRT, symbols: []string{"TRTGO_ABI_1"},
		remedy: "build it (cmake, in TensorRT-LLM's image without options, else with -DTRTLLM_ROOT=DIRECTORY -DTENSORRT_ROOT=DIRECTORY) and put it beside the program, or name it in TRTGO_NATIVE_LIB",
	},
	{
		name: "TensorRT-RTX", backends: rtx, needed: true, files: []string{"libtensorrt_rtx.so.1"}, variable: "TRTGO_TENSORRT_RTX_LIB", byName: true,
		places: []string{"{python}/tensorrt_rtx_libs"}, packages: []string{"tensorrt_rtx_cu*_libs"},
		symbols: []string{"getInferLibVersion", "createInferBuilder_INTERNAL", "getPluginRegistry"},
		remedy:  "install the Python package tensorrt_rtx_cu13_libs and name its libtensorrt_rtx.so.1 in TRTGO_TENSORRT_RTX_LIB",
	},
	{
		name: "trtgo's library for TensorRT-RTX", backends: rtx, needed: true, files: []string{"libtrtgo_rtx.so"}, variable: "TRTGO_NATIVE_LIB_RTX",
		flavour: native.TensorRTRTX, symbols: []string{"TRTGO_ABI_1"},
		remedy: "build it (cmake -DTENSORRT_RTX_ROOT=HEADERS) and put it beside the program, or name it in TRTGO_NATIVE_LIB_RTX",
	},
}

// pythonPlaces are where Python packages lie, behind those of a virtual environment.
var pythonPlaces = []string{
	"/usr/local/lib/python3*/dist-packages", "/usr/lib/python3*/dist-packages", "/usr/local/lib/python3*/site-packages",
	"/usr/lib/python3*/site-packages", "/opt/venv/lib/python3*/site-packages",
}

// suppliers tell by the beginning of a library's name what brings it.
var suppliers = []struct{ prefix, remedy string }{
	{"libcuda.so", "install NVIDIA's driver; in a container, start it with --gpus all and the NVIDIA Container Toolkit"},
	{"libnvidia-ml.so", "install NVIDIA's driver; in a container, start it with --gpus all and the NVIDIA Container Toolkit"},
	{"libcu", "install the CUDA toolkit of the release"}, {"libnvrtc", "install the CUDA toolkit of the release"}, {"libnvJitLink", "install the CUDA toolkit of the release"},
	{"libnccl", "install NCCL (apt-get install libnccl2)"},
	{"libnvinfer_plugin_tensorrt_llm", useImage}, {"libtensorrt_llm", useImage}, {"libpg_utils", useImage},
	{"libnvinfer", "install TensorRT of the release"},
	{"libmpi", "install Open MPI (on Ubuntu: apt-get install libopenmpi3)"}, {"libopen-", "install Open MPI (on Ubuntu: apt-get install libopenmpi3)"},
	{"libtorch", "install PyTorch 2.9 or 2.10 (pip install torch)"}, {"libc10", "install PyTorch 2.9 or 2.10 (pip install torch)"},
	{"libnuma", "install libnuma (apt-get install libnuma1)"},
	{"libstdc++", "install the C++ run-time library (apt-get install libstdc++6)"}, {"libgcc_s", "install libgcc (apt-get install libgcc-s1)"},
}

// supplier says how to come by a library.
func supplier(name string) string {
	for _, s := range suppliers {
		if strings.HasPrefix(name, s.prefix) {
			return s.remedy
		}
	}
	return "install the package that has it, or add its directory to LD_LIBRARY_PATH"
}
