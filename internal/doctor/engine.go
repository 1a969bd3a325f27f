package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// minDriver is the least driver of CUDA 13, with which TensorRT-LLM 1.2 and its image are built.
const minDriver = 580

// checkVersions compares what belongs together.
func (e *examination) checkVersions() {
	l := e.library("NVIDIA driver library")
	compat := strings.Contains(l.Resolved+l.Path, "/compat")
	if e.Driver != "" && e.Driver != "unknown" && strings.Contains(l.Version, ".") && l.Version != e.Driver && !compat {
		e.problem(l, fmt.Sprintf("the driver's kernel module is %s and its library %s is %s", e.Driver, l.Path, l.Version),
			"load the module of the library (restart the machine), or install the library of the module")
	}
	version := e.Driver
	if compat {
		version = l.Version
	}
	if major := numbers(version); len(major) > 1 && major[0] < minDriver {
		e.problem(l, fmt.Sprintf("the driver is %s, and CUDA 13, which TensorRT-LLM %s uses, needs %d or later", version, engineconfig.RuntimeVersion, minDriver),
			"update the driver, or on a data-centre GPU install cuda-compat-13-0 and add its directory to LD_LIBRARY_PATH")
	}
	if l := e.library("TensorRT"); l.Version != "" && !agree(l.Version, e.tensorrt) {
		e.problem(l, fmt.Sprintf("TensorRT at %s is %s, and TensorRT-LLM %s needs %s", l.Path, l.Version, engineconfig.RuntimeVersion, e.tensorrt),
			"install that version, or "+useImage)
	}
	for _, name := range []string{"TensorRT-LLM", "TensorRT-LLM plugins"} {
		if l := e.library(name); l.Version != "" && !agree(l.Version, engineconfig.RuntimeVersion) {
			e.problem(l, fmt.Sprintf("%s at %s is %s, and this release builds for %s", name, l.Path, l.Version, engineconfig.RuntimeVersion),
				useImage+", or build with --target_version where that release is known")
		}
	}
}

// numbers are those of a version, up to the first that is none.
func numbers(version string) []int {
	var list []int
	for _, part := range strings.Split(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		list = append(list, n)
	}
	return list
}

// agree tells whether two versions are equal as far as both are known, to three numbers.
func agree(a, b string) bool {
	x, y := numbers(a), numbers(b)
	n := min(len(x), len(y), 3)
	return slices.Equal(x[:n], y[:n])
}

// examineEngine compares an engine with what was found.
func (e *examination) examineEngine(dir string) {
	c, err := engineconfig.Read(dir)
	if err != nil {
		e.Engine = &Engine{Dir: dir}
		e.engineProblem(fmt.Sprintf("%s holds no engine that can be read (%v)", dir, err), "name the directory that trtgo build or trtllm-build wrote")
		return
	}
	e.Engine = &Engine{Dir: dir, Backend: c.Backend(), Version: c.Version, Ranks: max(c.Pretrained.Mapping.WorldSize, 1)}
	if c.Trtgo != nil {
		e.Engine.TensorRT, e.Engine.ComputeCapabilities = c.Trtgo.TensorRT, c.Trtgo.ComputeCapabilities
	}
	rebuild := "build it again here with trtgo build --backend " + e.Engine.Backend
	for rank := range e.Engine.Ranks {
		names := []string{engineconfig.EngineName(rank)}
		if c.Build.Plugins.ManageWeights {
			names = append(names, engineconfig.ManagedWeightsName(rank))
		}
		for _, name := range names {
			file := filepath.Join(dir, name)
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				e.engineProblem(fmt.Sprintf("%s is not there, and config.json has world_size %d", file, e.Engine.Ranks), "copy the whole directory, or "+rebuild)
				return
			}
		}
	}
	switch e.Engine.Backend {
	case engineconfig.BackendCPU:
		if _, err := cpuengine.Open(filepath.Join(dir, engineconfig.EngineName(0))); err != nil {
			e.engineProblem(fmt.Sprintf("the engine cannot be opened (%v)", err), rebuild)
		}
	case engineconfig.BackendTensorRTLLM:
		e.compareEngine("TensorRT", e.Engine.TensorRT, rebuild)
		e.compareEngine("TensorRT-LLM", e.Engine.Version, rebuild)
		if n := len(e.GPUs); n > 0 && n < e.Engine.Ranks {
			e.engineProblem(fmt.Sprintf("the engine has %d ranks, each of which wants a GPU, and there are %d", e.Engine.Ranks, n),
				"use more GPUs, or export the checkpoint with a smaller --tp_size and build again")
		}
		e.compareGPUs(rebuild)
	case engineconfig.BackendTensorRTRTX:
		e.compareEngine("TensorRT-RTX", e.Engine.TensorRT, rebuild)
		e.compareGPUs(rebuild)
	}
}

func (e *examination) engineProblem(text, remedy string) {
	var backends []string
	if e.Engine.Backend != "" {
		backends = []string{e.Engine.Backend}
	}
	e.Problems = append(e.Problems, Problem{backends, text, remedy})
	e.engineBroken = true
}

// compareEngine compares the version of a library that the engine was built with, where both are known.
func (e *examination) compareEngine(name, want, rebuild string) {
	if l := e.library(name); want != "" && l.Version != "" && !agree(l.Version, want) {
		e.engineProblem(fmt.Sprintf("the engine was built with %s %s, and that at %s is %s", name, want, l.Path, l.Version), rebuild+", or install the other version")
	}
}

// compareGPUs compares compute capabilities, where they are known. An engine for several runs on each of them.
func (e *examination) compareGPUs(rebuild string) {
	for _, g := range e.GPUs {
		if want := e.Engine.ComputeCapabilities; len(want) > 0 && g.ComputeCapability != "" && !slices.Contains(want, g.ComputeCapability) {
			e.engineProblem(fmt.Sprintf("the engine was built for compute capability %s, and %s has %s", strings.Join(want, ", "), g.Name, g.ComputeCapability),
				rebuild+" --compute_capability "+g.ComputeCapability)
			return
		}
	}
}
