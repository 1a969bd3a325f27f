package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/benchmark"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/outputfile"
)

// madeUpDtypes are the values of bench --dtype.
var madeUpDtypes = map[string]string{
	"float32": cpuengine.DtypeF32, "bfloat16": cpuengine.DtypeBF16, "float16": cpuengine.DtypeF16,
	"int8": cpuengine.DtypeInt8, "int4": cpuengine.DtypeInt4, "fp8": cpuengine.DtypeFP8,
}

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "speed of a CPU engine against the machine's limits",
		Description: "Runs prompts (prefill) and steps of generation (decode) without scheduling and sampling, in turns with loops that only\n" +
			"read memory or only compute, by as many threads of this process. \"of limit\" is the share of what those allow: of the\n" +
			"memory's or the arithmetic's speed, whichever bounds the step. Numbers are the median of the rounds, ranges least to greatest.\n" +
			"Weights are counted as they are stored, the keys and values of the context too. With --shape the weights are made up.",
		Flags: slices.Concat(
			inCategory("engine", []cli.Flag{
				&cli.StringFlag{Name: "engine-dir", Value: "engine_outputs", Usage: "directory that build wrote, for the CPU"},
				&cli.StringFlag{Name: "shape", DefaultText: "none", Usage: "measure made-up weights of this shape instead, written to the directory for temporary files: " + strings.Join(shapeNames(), ", ")},
				&cli.StringFlag{Name: "dtype", Value: "bfloat16", Usage: "of made-up weights: " + strings.Join(sorted(dtypeNames()), ", ")},
				&cli.IntFlag{Name: "group-size", DefaultText: "a scale for each output", Usage: "of made-up int4 weights: 32, 64 or 128"},
				&cli.IntFlag{Name: "layers", DefaultText: "the shape's", Usage: "of made-up weights"},
				&cli.StringFlag{Name: "precision", DefaultText: "fast, exact with float32 and float16 weights", Usage: "exact (float32 activations) or fast (bfloat16)"},
				&cli.StringFlag{Name: "load", Value: "mmap", Usage: "mmap or copy"},
			}),
			inCategory("cases", []cli.Flag{
				&cli.StringSliceFlag{Name: "threads", DefaultText: "1, and the CPUs this process may use", Usage: "thread counts, 1,2; all cases are measured with each"},
				&cli.StringSliceFlag{Name: "prefill", DefaultText: "128,512", Usage: "lengths of prompts; 0 is none"},
				&cli.StringSliceFlag{Name: "batch-size", DefaultText: "1,8", Usage: "sequences of a decode step, each with every --context; 0 is none"},
				&cli.StringSliceFlag{Name: "context", DefaultText: "128", Usage: "tokens before the decoded one"},
				&cli.IntFlag{Name: "rounds", Value: 11, Usage: "measured steps of each case"},
				&cli.DurationFlag{Name: "max-time", Value: 20 * time.Second, Usage: "for the rounds of a case, but there are three"},
			}),
			inCategory("output", []cli.Flag{
				&cli.BoolFlag{Name: "profile", Usage: "also print what each kind of operation takes, and each layer"},
				&cli.StringFlag{Name: "profile-trace", Usage: "file for a step of each case in the trace-event format, which chrome://tracing and ui.perfetto.dev open"},
				&cli.StringFlag{Name: "svg", Usage: "file for a picture of all cases against their limits"},
				&cli.BoolFlag{Name: "json", Usage: "one JSON object on stdout"},
			}),
		),
		Action: bench,
	}
}

func shapeNames() []string {
	var names []string
	for _, s := range benchmark.Shapes {
		names = append(names, s.Name)
	}
	return names
}

func dtypeNames() []string {
	var names []string
	for name := range madeUpDtypes {
		names = append(names, name)
	}
	return names
}

func bench(c *cli.Context) error {
	log := newLogger(c)
	if err := firstError(noOperands(c), checkBenchFlags(c)); err != nil {
		return err
	}
	options, err := benchOptions(c)
	if err != nil {
		return err
	}
	files, err := createBenchFiles(c)
	if err != nil {
		return err
	}
	defer discardBenchFiles(files)
	path, remove, err := benchEngine(c, &options, log)
	if err != nil {
		return err
	}
	bar := startProgress(c, "bench", log, true)
	options.Progress = func(done, total int64) { bar.set(done, total) }
	report, err := benchmark.Run(c.Context, path, options)
	bar.end()
	remove() // before anything is printed: a closed pipe ends the process
	if err != nil {
		return err
	}
	if err := commitBenchFiles(files, report); err != nil {
		return err
	}
	if report.Cached() {
		log.Warn(fmt.Sprintf("the engine has %s and the last-level cache %s: what stays there is read faster than memory allows", humanBytes(report.EngineBytes), humanBytes(report.LastLevelCache)))
	}
	if c.Bool("json") {
		return printJSON(c, newBenchJSON(report, c.Bool("profile")))
	}
	return printBench(c, report)
}

func checkBenchFlags(c *cli.Context) error {
	if c.String("shape") == "" {
		for _, name := range []string{"dtype", "group-size", "layers"} {
			if c.IsSet(name) {
				return usagef("--%s is of made-up weights: give their --shape, or leave it out", name)
			}
		}
	} else if c.IsSet("engine-dir") {
		return usagef("--shape and --engine_dir exclude each other")
	}
	if c.String("precision") != "" {
		if err := oneOf(c, "precision", "exact", "fast"); err != nil {
			return err
		}
	}
	if c.Duration("max-time") <= 0 {
		return usagef("--max_time is %v, must be positive", c.Duration("max-time"))
	}
	return firstError(oneOf(c, "load", "mmap", "copy"), oneOf(c, "shape", append(shapeNames(), "")...), oneOf(c, "dtype", dtypeNames()...),
		atLeast(c, "rounds", 3), atLeast(c, "layers", 0), atLeast(c, "group-size", 0))
}

func benchOptions(c *cli.Context) (benchmark.Options, error) {
	o := benchmark.Options{
		Name: filepath.Base(filepath.Clean(c.String("engine-dir"))), Precision: c.String("precision"), Load: c.String("load"), Rounds: c.Int("rounds"), MaxTime: c.Duration("max-time"),
		Operations: c.Bool("profile") || c.String("profile-trace") != "",
	}
	cpus := cpu.AvailableCPUs()
	threads := []int{1, cpus}
	for _, list := range []struct {
		name     string
		least    int
		standard []int
		to       *[]int
	}{
		{"threads", 1, slices.Compact(threads), &o.Threads},
		{"prefill", 0, []int{128, 512}, &o.Prefill},
		{"batch-size", 0, []int{1, 8}, &o.BatchSizes},
		{"context", 0, []int{128}, &o.Contexts},
	} {
		*list.to = list.standard
		if !c.IsSet(list.name) {
			continue
		}
		*list.to = nil
		for _, text := range commaValues(c, list.name) {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil || n < list.least || n > cpuengine.MaxStepSize {
				return o, usagef("--%s: %q is no whole number from %d to %d", list.name, text, list.least, cpuengine.MaxStepSize)
			}
			if n > 0 || list.name == "context" {
				*list.to = append(*list.to, n)
			}
		}
	}
	for _, n := range o.Threads {
		if n > cpus {
			return o, usagef("--threads %d: this process may use %s; what more threads do says nothing about the engine", n, cpusText(cpus))
		}
	}
	if len(o.Prefill) == 0 && len(o.BatchSizes)*len(o.Contexts) == 0 {
		return o, usagef("--prefill 0 and --batch_size 0 leave nothing to measure")
	}
	return o, nil
}

func cpusText(n int) string {
	if n == 1 {
		return "1 CPU"
	}
	return fmt.Sprintf("%d CPUs", n)
}

// benchEngine gives the engine file, and removes what was made for it.
func benchEngine(c *cli.Context, o *benchmark.Options, log *slog.Logger) (path string, remove func(), err error) {
	if c.String("shape") != "" {
		return madeUpEngine(c, o, log)
	}
	dir := c.String("engine-dir")
	config, err := engineconfig.Read(dir)
	if err != nil {
		return "", nil, notEngine(c, err)
	}
	switch backend := config.Backend(); backend {
	case engineconfig.BackendCPU:
	case engineconfig.BackendTensorRTLLM:
		return "", nil, fmt.Errorf("%s is an engine for TensorRT-LLM, and bench compares CPU engines with this machine's memory and arithmetic; TensorRT-LLM's own trtllm-bench measures it on its GPU", dir)
	default:
		return "", nil, fmt.Errorf("%s is an engine for %s, and bench measures CPU engines: build one by `trtgo build --backend cpu`", dir, backend)
	}
	return filepath.Join(dir, engineconfig.EngineName(0)), func() {}, nil
}

// madeUpEngine writes an engine of made-up weights.
func madeUpEngine(c *cli.Context, o *benchmark.Options, log *slog.Logger) (path string, remove func(), err error) {
	shape := benchmark.Shapes[slices.Index(shapeNames(), c.String("shape"))]
	if n := c.Int("layers"); n > 0 {
		shape.NumLayers = n
	}
	weights := benchmark.Weights{Dtype: madeUpDtypes[c.String("dtype")], Group: c.Int("group-size")}
	o.Name = benchName(c, shape)
	size, err := benchmark.MadeUpBytes(shape, weights)
	if err != nil {
		return "", nil, &usageError{err}
	}
	dir, err := os.MkdirTemp("", "trtgo-bench-")
	if err != nil {
		return "", nil, err
	}
	remove = func() {
		if err := os.RemoveAll(dir); err != nil {
			log.Warn(err.Error())
		}
	}
	path = filepath.Join(dir, engineconfig.EngineName(0))
	bar := newProgress(c, "bench: making up weights", log)
	err = benchmark.WriteMadeUp(c.Context, path, shape, weights, bar.set)
	bar.end()
	if err != nil {
		remove()
		if c.Context.Err() != nil {
			return "", nil, c.Context.Err()
		}
		return "", nil, fmt.Errorf("%s of made-up weights cannot be written; TMPDIR names another place, --layers makes it less: %w", humanBytes(size), err)
	}
	return path, remove, nil
}

// benchName is what reports call made-up weights.
func benchName(c *cli.Context, shape benchmark.Shape) string {
	name := shape.Name + "-shaped " + c.String("dtype")
	if n := c.Int("group-size"); n > 0 {
		name += fmt.Sprintf(" g%d", n)
	}
	if c.Int("layers") > 0 {
		name += fmt.Sprintf(", %d layers", shape.NumLayers)
	}
	return name
}

// A benchFile is written when all was measured.
type benchFile struct {
	*outputfile.File
	flag  string
	write func(io.Writer, *benchmark.Report) error
}

// createBenchFiles begins the files of --profile_trace and --svg: what is wrong with
// their paths is told before anything is measured.
func createBenchFiles(c *cli.Context) (files []benchFile, err error) {
	for _, f := range []benchFile{
		{flag: "profile-trace", write: benchmark.WriteTrace},
		{flag: "svg", write: func(w io.Writer, r *benchmark.Report) error { return benchmark.WriteSVG(w, []*benchmark.Report{r}) }},
	} {
		if path := c.String(f.flag); path != "" {
			if f.File, err = outputfile.Create(path); err != nil {
				discardBenchFiles(files)
				return nil, fmt.Errorf("--%s: %w", f.flag, err)
			}
			files = append(files, f)
		}
	}
	return files, nil
}

func discardBenchFiles(files []benchFile) {
	for _, f := range files {
		f.Discard()
	}
}

func commitBenchFiles(files []benchFile, r *benchmark.Report) error {
	for _, f := range files {
		if err := errors.Join(f.write(f, r), f.Commit()); err != nil {
			return fmt.Errorf("--%s: %w", f.flag, err)
		}
	}
	return nil
}
