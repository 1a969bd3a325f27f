package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/doctor"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "what this machine can build and run, what is missing, and what to do about it",
		Description: "Looks for NVIDIA's driver and GPUs, the libraries of TensorRT, TensorRT-LLM and TensorRT-RTX and all that these need,\n" +
			"and tries the CPU backend. Libraries are read and not loaded, unless --load is given. The exit status is 0 if the\n" +
			"backend works here.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "backend", DefaultText: "the engine's, else cpu", Usage: "whether this one works: " + strings.Join(doctor.Backends, ", ")},
			&cli.StringFlag{Name: "engine-dir", Usage: "also compare an engine with what is here; the exit status is 0 if it can run"},
			&cli.BoolFlag{Name: "load", Usage: "also load TensorRT-LLM's libraries, in a process of their own, and compare their plugins with those of our networks"},
			&cli.StringFlag{Name: "root", Value: "/", Usage: "look for libraries and driver in this tree, such as an unpacked image; LD_LIBRARY_PATH and other variables name paths inside it"},
			&cli.BoolFlag{Name: "json", Usage: "one JSON object on stdout"},
		},
		Action: examine,
	}
}

func examine(c *cli.Context) error {
	if err := firstError(noOperands(c), oneOf(c, "backend", append([]string{""}, doctor.Backends...)...)); err != nil {
		return err
	}
	root, err := filepath.Abs(c.String("root"))
	if err != nil {
		return err
	}
	o := doctor.Options{
		Root: root, Getenv: os.Getenv, EngineDir: c.String("engine-dir"), Backend: c.String("backend"),
		TensorRT: tensorrt.Releases[0].TensorRT, ProbeCPU: doctor.ProbeCPU,
	}
	if root == "/" { // these know of this machine only
		o.NVIDIASMI, o.FindNative = doctor.AskNVIDIASMI, native.Find
	}
	if c.Bool("load") {
		if root != "/" {
			return usagef("--load loads this machine's libraries, and --root is %s: leave one of them out", root)
		}
		program, err := os.Executable()
		if err != nil {
			return fmt.Errorf("--load: %w", err)
		}
		o.Load = func(ctx context.Context) doctor.Loaded {
			return loadElsewhere(ctx, []string{program, doctorLoaderName}, loaderPatience)
		}
	}
	report, err := doctor.Examine(c.Context, o)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = printJSON(c, report)
	} else {
		err = printReport(c, report)
	}
	if err == nil && !report.OK {
		return errReported
	}
	return err
}

func printReport(c *cli.Context, r *doctor.Report) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "CPU backend\t%s\n", cpuText(r.CPU))
	driver := r.Driver
	if driver == "" {
		driver = "not loaded"
	}
	fmt.Fprintf(w, "NVIDIA driver\t%s\n", driver)
	for _, g := range r.GPUs {
		fmt.Fprintf(w, "GPU\t%s\n", gpuText(g))
	}
	if len(r.GPUs) == 0 {
		fmt.Fprintf(w, "GPU\tnone\n")
	}
	fmt.Fprintf(w, "loader's path\t%s\n", strings.Join(r.LoaderPath, ", "))
	for _, l := range r.Libraries {
		fmt.Fprintf(w, "%s\t%s\n", l.Name, libraryText(&l, r.LoaderPath))
	}
	if worker := r.ExecutorWorker; worker != "" {
		fmt.Fprintf(w, "executorWorker\t%s\n", worker)
	} else {
		fmt.Fprintf(w, "executorWorker\tnot found; only run --orchestrator needs it\n")
	}
	if l := r.Loaded; l != nil && l.Crash == "" && l.Error == "" {
		fmt.Fprintf(w, "loaded\t%s\n", loadedText(l))
	}
	if e := r.Engine; e != nil && e.Backend != "" {
		fmt.Fprintf(w, "engine\t%s\n", engineText(e))
	}
	fmt.Fprintf(w, "\nbackend\tbuild\trun\n")
	for _, b := range r.Backends {
		fmt.Fprintf(w, "%s\t%s\t%s", b.Name, yesNo(b.Build), yesNo(b.Run))
		if b.Note != "" {
			fmt.Fprintf(w, "\t%s", b.Note)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printProblems(c, r)
}

// printProblems begins with what concerns the backend that was asked about.
func printProblems(c *cli.Context, r *doctor.Report) error {
	problems := slices.Clone(r.Problems)
	slices.SortStableFunc(problems, func(a, b doctor.Problem) int {
		return boolInt(slices.Contains(b.Backends, r.Backend)) - boolInt(slices.Contains(a.Backends, r.Backend))
	})
	if len(problems) > 0 {
		fmt.Fprintln(c.App.Writer)
	}
	for _, p := range problems {
		about := "problem"
		if len(p.Backends) > 0 {
			about += " (" + strings.Join(p.Backends, ", ") + ")"
		}
		fmt.Fprintf(c.App.Writer, "%s: %s\n", about, p)
	}
	return printf(c, "\n%s %s\n", r.Backend, conclusion(r))
}

// conclusion says what the exit status does.
func conclusion(r *doctor.Report) string {
	switch {
	case r.Engine != nil && r.OK:
		return "runs this engine here"
	case r.Engine != nil:
		return "does not run this engine here"
	case !r.OK:
		return "does not work here"
	}
	for _, b := range r.Backends {
		if b.Name == r.Backend && !b.Run {
			return "builds here"
		}
	}
	return "builds and runs here"
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func cpuText(s doctor.CPU) string {
	if s.Error != "" {
		return "does not work: " + s.Error
	}
	text := fmt.Sprintf("works: %s kernels, %d threads", s.ISA, s.Threads)
	if s.AvailableMemory > 0 {
		text += ", " + humanBytes(s.AvailableMemory) + " of memory available"
	}
	return text
}

func gpuText(g doctor.GPU) string {
	text := g.Name
	if g.ComputeCapability != "" {
		text += ", compute capability " + g.ComputeCapability
	}
	if g.Memory > 0 {
		text += ", " + humanBytes(g.Memory)
	}
	return text
}

// libraryText names, of a library that was not found, the places beside the loader's.
func libraryText(l *doctor.Library, loaderPath []string) string {
	if l.Path == "" {
		others := slices.DeleteFunc(slices.Clone(l.Searched), func(d string) bool { return slices.Contains(loaderPath, d) })
		if len(others) == 0 {
			return "not found"
		}
		return "not found, nor in " + strings.Join(others, ", ")
	}
	text := l.Path
	if l.Version != "" {
		text = l.Version + ", " + text
	}
	if len(l.StaticTLS) > 0 {
		text += fmt.Sprintf(", %d bytes of static thread-local storage", l.StaticBytes)
	}
	if n := len(l.Missing); n > 0 {
		text += fmt.Sprintf(", lacks %d libraries", n)
	}
	return text
}

func engineText(e *doctor.Engine) string {
	text := fmt.Sprintf("%s, TensorRT-LLM %s", e.Backend, e.Version)
	if e.TensorRT != "" {
		text += ", TensorRT " + e.TensorRT
	}
	if len(e.ComputeCapabilities) > 0 {
		text += ", compute capability " + strings.Join(e.ComputeCapabilities, ", ")
	}
	if e.Ranks > 1 {
		text += fmt.Sprintf(", %d ranks: mpirun -n %d trtgo run …, or trtgo run --orchestrator …", e.Ranks, e.Ranks)
	}
	return text
}

func loadedText(l *doctor.Loaded) string {
	text := fmt.Sprintf("TensorRT %s", l.TensorRT)
	if l.TensorRTLLM != "" {
		text += ", TensorRT-LLM " + l.TensorRTLLM
	}
	if len(l.PluginDifferences) == 0 {
		text += ", plugins as they are wanted"
	}
	for _, g := range l.GPUs {
		text += ", " + gpuText(g)
	}
	return text
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
