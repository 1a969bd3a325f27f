package doctor

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

const (
	// executorLibrary is what trtgo's library needs to run engines, and not to build them.
	executorLibrary = "libtensorrt_llm.so"
	workerProgram   = "executorWorker"
)

// examineExecutor looks for what runs TensorRT-LLM's engines, beside what builds them.
func (e *examination) examineExecutor() {
	if l := e.library("trtgo's library for TensorRT"); l.Path != "" && !l.broken {
		if own, err := e.search.Load(l.Path); err == nil && !slices.Contains(own.Libraries[0].Needed, executorLibrary) {
			e.runProblem(l, fmt.Sprintf("%s was built without TensorRT-LLM's headers, so that it builds engines and runs none", l.Path),
				"build it again (cmake -DTRTLLM_ROOT=DIRECTORY) with the headers of the TensorRT-LLM that is installed, or use docker/Dockerfile.tensorrt-llm")
		}
	}
	e.ExecutorWorker = e.findWorker()
}

// checkExecutorSymbols compares TensorRT-LLM's functions with those that are called, before the loader does: its own
// message names one, and a program that loads them late ends.
func (e *examination) checkExecutorSymbols() {
	l := e.library("TensorRT-LLM")
	if l.Path == "" {
		return
	}
	load, err := e.search.Load(l.Path)
	if err != nil {
		return // that is a problem already
	}
	called := native.ExecutorSymbols()
	missing := slices.DeleteFunc(slices.Clone(called), func(name string) bool {
		_, ok := load.Libraries[0].Exports[name]
		return ok
	})
	if e.missingSymbols = missing; len(missing) == 0 {
		return
	}
	l.Symbols = append(l.Symbols, missing[:min(len(missing), maxListed)]...)
	version := ""
	if l.Version != "" {
		version = ", which is " + l.Version + ","
	}
	e.runProblem(l, fmt.Sprintf("TensorRT-LLM at %s%s lacks %d of the %d functions that run engines, %s among them: it is not release %s",
		l.Path, version, len(missing), len(called), strings.Join(missing[:min(len(missing), 3)], ", "), engineconfig.RuntimeVersion), useImage)
}

// runProblem is a problem of running engines, not of building them.
func (e *examination) runProblem(l *Library, text, remedy string) {
	was := l.broken
	e.problem(l, text, remedy)
	l.broken, e.runBroken = was, true
}

// findWorker finds TensorRT-LLM's program for one rank, which only an orchestrator starts.
func (e *examination) findWorker() string {
	var places []string
	if l := e.library("TensorRT-LLM"); l.Path != "" {
		for _, p := range []string{l.Path, l.Resolved} {
			if p != "" {
				places = append(places, path.Join(path.Dir(path.Dir(p)), "bin"))
			}
		}
	}
	places = append(places, e.expand([]string{"/app/tensorrt_llm/bin", "{python}/tensorrt_llm/bin"})...)
	places = append(places, strings.Split(e.variable("PATH"), ":")...)
	for _, d := range places {
		if candidate := path.Join(d, workerProgram); path.IsAbs(candidate) && e.search.Exists(candidate) {
			return candidate
		}
	}
	return ""
}

// examineLoaded asks another process to load the libraries, where that is wanted.
func (e *examination) examineLoaded(o Options) {
	if o.Load == nil {
		return
	}
	loaded := o.Load(e.ctx)
	e.Loaded = &loaded
	for name, version := range map[string]string{"TensorRT": loaded.TensorRT, "TensorRT-LLM": loaded.TensorRTLLM} {
		if l := e.library(name); l.Version == "" {
			l.Version = version
		}
	}
	l := e.library("trtgo's library for TensorRT")
	const again = "look at what trtgo doctor says of the libraries, and run it with --load again"
	switch {
	case loaded.Crash != "":
		e.problem(l, "a process that loads TensorRT-LLM's libraries does not come to an end by itself ("+loaded.Crash+")", again)
		return
	case loaded.Error != "":
		e.problem(l, "TensorRT-LLM's libraries cannot be loaded ("+loaded.Error+")", again)
		return
	}
	if len(e.GPUs) == 0 && len(loaded.GPUs) > 0 { // nvidia-smi is not everywhere
		e.GPUs = loaded.GPUs
	}
	if n := len(loaded.PluginDifferences); n > 0 {
		e.problem(e.library("TensorRT-LLM plugins"), fmt.Sprintf("%d plugins are not as release %s has them: %s", n, engineconfig.RuntimeVersion,
			strings.Join(loaded.PluginDifferences[:min(n, 3)], "; ")), useImage)
	}
	if loaded.TensorRTLLM != loaded.TensorRTLLMHeaders {
		e.runProblem(l, fmt.Sprintf("%s was built with the headers of TensorRT-LLM %s, and %s is loaded", loaded.Library, loaded.TensorRTLLMHeaders, loaded.TensorRTLLM),
			"build it again with the headers of the TensorRT-LLM that is installed")
	}
}
