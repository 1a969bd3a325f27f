//go:build linux

// Command benchpeers measures the CPU engine beside llama.cpp and transformers: one
// model with weights of equal precision, equal prompts, contexts and threads, every
// contestant in a process of its own, in turns. The table goes into docs/benchmarks.md.
// llama.cpp is built, transformers installed and all models are made under PEERS_DIR;
// what a former run left there is used again.
//
//	PEERS_ROUNDS   how often each measurement is taken; default 5
//	PEERS_THREADS  numbers of threads; default 1,2
//	PEERS_TRIES    how often at most, where other programs are busy meanwhile; default 3
//	PEERS_DIR      where everything is kept; default out/peers
//	PEERS_PYTHON   a Python that has torch, transformers and gguf; by default they are installed, 7 GB
//	               where only the torch with CUDA's libraries is to be had
//	PEERS_JOBS     processes that compile; default: the CPUs
//	PEERS_MEASURE  no: only build and make the models
//	PEERS_TRTGO    the command; default out/bin/trtgo
//	PEERS_GGUF     the model as it was shipped; default models/SmolLM2-135M-Instruct.Q4_1.gguf
//	BENCH_OUTPUT   the file to put the table into; default docs/benchmarks.md
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

// What every contestant does: prompts one after the other, and tokens one after the
// other whose contexts are decodeContext in the mean.
const (
	promptTokens  = 512
	prompts       = 5
	decodedTokens = 64
	decodeContext = 128
	decodeBegin   = decodeContext - decodedTokens/2
)

// settings are what the environment says.
type settings struct {
	dir, python, gguf, trtgo, output string
	rounds, tries, jobs              int
	threads                          []int
	measure                          bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "benchpeers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, err := read(os.Getenv)
	if err != nil {
		return err
	}
	groups, details, err := s.prepare(ctx)
	if err != nil || !s.measure {
		return err
	}
	c := contest{rounds: s.rounds, threads: s.threads, groups: groups, quiet: benchrun.Quiet{Tries: s.tries, Say: say}}
	began, load := time.Now(), benchdoc.BeginLoad()
	if err := c.run(ctx); err != nil {
		return err
	}
	c.others = load.Others()
	text := c.section(began, benchdoc.Machine(), details)
	fmt.Print("\n", text)
	return benchdoc.Update(s.output, "bench-peers", text)
}

// read reads the settings.
func read(getenv func(string) string) (settings, error) {
	e := benchrun.Environment{Getenv: getenv, Prefix: "PEERS_"}
	s := settings{
		dir: e.Text("DIR", "out/peers"), python: e.Text("PYTHON", ""), gguf: e.Text("GGUF", "models/SmolLM2-135M-Instruct.Q4_1.gguf"), trtgo: e.Text("TRTGO", "out/bin/trtgo"),
		rounds: int(e.Number("ROUNDS", 5)), tries: int(e.Number("TRIES", 3)), jobs: int(e.Number("JOBS", int64(runtime.NumCPU()))), threads: e.Numbers("THREADS", "1,2"), measure: e.Text("MEASURE", "yes") != "no",
		output: "docs/benchmarks.md",
	}
	if path := getenv("BENCH_OUTPUT"); path != "" {
		s.output = path
	}
	for _, n := range s.threads {
		if n > runtime.NumCPU() {
			e.Fail(fmt.Errorf("PEERS_THREADS: %d threads on %d CPUs say nothing about a program", n, runtime.NumCPU()))
		}
	}
	return s, e.Err()
}

// prepare builds and makes what is measured, and tells how.
func (s *settings) prepare(ctx context.Context) (groups []*group, details []string, err error) {
	dir, err := filepath.Abs(s.dir) // cmake's and Python's caches hold for one place only
	if err != nil {
		return nil, nil, err
	}
	own := &benchrun.Trtgo{Path: s.trtgo, GGUF: s.gguf, Dir: dir}
	llama := &llamaCpp{dir: dir, jobs: s.jobs}
	torch := &transformers{dir: dir, python: s.python}
	for _, step := range []func(context.Context) error{
		llama.build, torch.install,
		func(ctx context.Context) error { return llama.models(ctx, s.gguf) },
		func(ctx context.Context) error { return torch.model(ctx, s.gguf) },
	} {
		if err := step(ctx); err != nil {
			return nil, nil, err
		}
	}
	if groups, err = contestants(ctx, own, llama, torch, s.gguf); err != nil {
		return nil, nil, err
	}
	for _, version := range []func(context.Context) (string, error){benchrun.Version, llama.version, torch.version} {
		text, err := version(ctx)
		if err != nil {
			return nil, nil, err
		}
		details = append(details, text)
	}
	return groups, details, nil
}

func say(format string, a ...any) { fmt.Fprintf(os.Stderr, "bench-peers: "+format+"\n", a...) }
