package doctor

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/elfscan"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// Options say what is examined. What a function is left out for is taken to be absent.
type Options struct {
	Root      string              // the tree of files, "/" for this machine's
	Getenv    func(string) string // paths in the variables are those inside the tree
	EngineDir string              // an engine to compare with what is there, outside the tree; "" for none
	Backend   string              // that the question is about; "" is the engine's, else cpu
	TensorRT  string              // the version that TensorRT-LLM's engines are built with, e.g. "10.14.1"

	ProbeCPU   func(context.Context) CPU
	NVIDIASMI  func(context.Context) ([]byte, error) // its answer; see AskNVIDIASMI
	FindNative func(native.Flavour) (string, error)  // where trtgo's own libraries are, such as native.Find; nil looks in the tree
	Load       func(context.Context) Loaded          // loads TensorRT-LLM's libraries in another process, which they may end; nil does not
}

// examination is a report in the making.
type examination struct {
	Report
	ctx        context.Context
	search     *elfscan.Search
	variable   func(string) string
	findNative func(native.Flavour) (string, error)
	python     []string // patterns of directories of Python packages
	native     bool     // libraries must be for this processor
	tensorrt   string
	libraries  []*Library

	missingSymbols []string // of TensorRT-LLM
	engineBroken   bool
	runBroken      bool // TensorRT-LLM's engines cannot be run, even where they can be built
}

// Examine looks at everything. Errors are those of a root that is no directory and of ctx; whatever else is wrong is a problem of the report.
func Examine(ctx context.Context, o Options) (*Report, error) {
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(root); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", root)
	}
	getenv := func(name string) string {
		if name == "" || o.Getenv == nil {
			return ""
		}
		return o.Getenv(name)
	}
	e := &examination{
		ctx: ctx, search: elfscan.NewSearch(root, getenv("LD_LIBRARY_PATH")), variable: getenv, findNative: o.FindNative,
		native: root == "/", tensorrt: o.TensorRT,
		Report: Report{GPUs: []GPU{}, Problems: []Problem{}},
	}
	e.LoaderPath = slices.Concat([]string{}, e.search.LibraryPath, e.search.System)
	if venv := getenv("VIRTUAL_ENV"); venv != "" {
		e.python = append(e.python, path.Join(venv, "lib/python3*/site-packages"))
	}
	e.python = append(e.python, pythonPlaces...)

	e.examineCPU(o)
	e.examineDevices(o)
	for _, c := range components {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e.look(c)
		if c.name == "TensorRT-LLM" {
			e.checkExecutorSymbols()
		}
	}
	e.examineExecutor()
	e.checkVersions()
	e.examineLoaded(o)
	e.checkGPUs()
	if o.EngineDir != "" {
		e.examineEngine(o.EngineDir)
	}
	e.judge(o.Backend)
	for _, l := range e.libraries {
		e.Libraries = append(e.Libraries, *l)
	}
	return &e.Report, ctx.Err()
}

func (e *examination) examineCPU(o Options) {
	e.CPU.Error = "it was not tried"
	if o.ProbeCPU != nil {
		e.CPU = o.ProbeCPU(e.ctx)
	}
	if e.CPU.Error != "" {
		e.Problems = append(e.Problems, Problem{[]string{engineconfig.BackendCPU}, "the CPU backend does not work here (" + e.CPU.Error + ")",
			"use linux on amd64 or arm64, a program built with cgo (CGO_ENABLED=1 and a C++17 compiler), and leave TRTGO_CPU_ISA unset"})
	}
}

func (e *examination) examineDevices(o Options) {
	e.Driver = driver(e.search)
	var answer []byte
	if o.NVIDIASMI != nil {
		if text, err := o.NVIDIASMI(e.ctx); err == nil {
			answer = text
		} else if e.Driver != "" {
			e.Problems = append(e.Problems, Problem{both, "NVIDIA's driver is loaded but nvidia-smi does not answer (" + err.Error() + ")",
				"run nvidia-smi by hand and do what it says; in a container, start it with --gpus all"})
		}
	}
	e.GPUs = gpus(e.search, answer)
}

// checkGPUs reports that there is none.
func (e *examination) checkGPUs() {
	if len(e.GPUs) == 0 {
		e.Problems = append(e.Problems, Problem{llm, "there is no NVIDIA GPU that the driver shows, and TensorRT-LLM's engines are built and run on one",
			"use a machine with a GPU, and in a container start it with --gpus all"})
	}
}

// problem reports something about a library.
func (e *examination) problem(l *Library, text, remedy string) {
	l.broken = true
	p := Problem{l.Backends, text, remedy}
	if !slices.ContainsFunc(e.Problems, func(other Problem) bool { return other.Text == text }) { // several need what is missing
		e.Problems = append(e.Problems, p)
	}
}

// library finds what was found of a component.
func (e *examination) library(name string) *Library {
	for _, l := range e.libraries {
		if l.Name == name {
			return l
		}
	}
	return &Library{}
}
