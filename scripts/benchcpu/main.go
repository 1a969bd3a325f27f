//go:build linux

// Command benchcpu measures the CPU engine against the machine's limits: SmolLM2-135M
// with three kinds of weights, and weights made up in the shape of Minitron-4B. The
// tables and the verdicts on the aims go into docs/benchmarks.md, a picture beside it.
//
//	BENCH_ROUNDS    steps of each case that are measured, three at least; default 15
//	BENCH_MAX_TIME  for the rounds of a case, but there are three; default 5s
//	BENCH_TRIES     how often SmolLM2 is measured at most, where other programs are busy meanwhile; default 3
//	BENCH_THREADS   numbers of threads; default 1,2
//	BENCH_LAYERS    of the shape; default all 32, 8.4 GB in the directory for temporary files
//	BENCH_DIR       where engines are kept; default out/bench
//	BENCH_TRTGO     the command; default out/bin/trtgo
//	BENCH_GGUF      the model; default models/SmolLM2-135M-Instruct.Q4_1.gguf
//	BENCH_OUTPUT    the file to put the tables into; default docs/benchmarks.md
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/benchmark"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

const (
	promptTokens = 512
	context128   = 128
	longContext  = 8192
	largeBatch   = 8
	shape        = "minitron-4b"
	shapeLayers  = 32
	picture      = "cpu-engine.svg"
)

// settings are what the environment says.
type settings struct {
	rounds, tries, layers    int
	maxTime                  time.Duration
	threads                  []int
	dir, trtgo, gguf, output string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "benchcpu:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, err := read(os.Getenv)
	if err != nil {
		return err
	}
	version, err := benchrun.Version(ctx)
	if err != nil {
		return err
	}
	began, load, quiet := time.Now(), benchdoc.BeginLoad(), &benchrun.Quiet{Tries: s.tries, Say: say}
	m, err := s.measure(ctx, quiet)
	if err != nil {
		return err
	}
	text, err := m.section(fmt.Sprintf("`make bench`, %s, %s, %s (%s), of which other programs took %.1f meanwhile; with SmolLM2 %s.",
		began.Format(time.DateOnly), version, benchdoc.Machine(), benchdoc.Extensions(), load.Others(), quiet.Text()))
	if err != nil {
		return err
	}
	fmt.Print("\n", text)
	var svg bytes.Buffer
	if err := benchmark.WriteSVG(&svg, m.pictured()); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.output), picture), svg.Bytes(), 0o644); err != nil {
		return err
	}
	return benchdoc.Update(s.output, "bench-cpu", text)
}

// read reads the settings.
func read(getenv func(string) string) (settings, error) {
	e := benchrun.Environment{Getenv: getenv, Prefix: "BENCH_"}
	s := settings{
		rounds: int(e.Number("ROUNDS", 15)), tries: int(e.Number("TRIES", 3)), layers: int(e.Number("LAYERS", shapeLayers)), maxTime: e.Duration("MAX_TIME", 5*time.Second), threads: e.Numbers("THREADS", "1,2"),
		dir: e.Text("DIR", "out/bench"), trtgo: e.Text("TRTGO", "out/bin/trtgo"), gguf: e.Text("GGUF", "models/SmolLM2-135M-Instruct.Q4_1.gguf"), output: e.Text("OUTPUT", "docs/benchmarks.md"),
	}
	return s, e.Err()
}

func say(format string, a ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", a...) }

// measure runs `trtgo bench` for every engine. SmolLM2's take seconds, and again where
// other programs were busy.
func (s *settings) measure(ctx context.Context, quiet *benchrun.Quiet) (*measured, error) {
	trtgo := &benchrun.Trtgo{Path: s.trtgo, GGUF: s.gguf, Dir: s.dir}
	m := &measured{threads: s.threads, layers: s.layers}
	common := []string{"--threads", numbers(s.threads), "--rounds", strconv.Itoa(s.rounds), "--max_time", s.maxTime.String(), "--prefill", strconv.Itoa(promptTokens), "--batch_size", numbers([]int{1, largeBatch})}
	for _, w := range []benchrun.Weights{benchrun.BFloat16, benchrun.Int8, benchrun.Int4} {
		say("SmolLM2-135M, %s", w.Title)
		dir, err := trtgo.Engine(ctx, w)
		if err != nil {
			return nil, err
		}
		r, err := benchrun.Quietly(quiet, w.Title, func() (*benchmark.Report, error) {
			return trtgo.Bench(ctx, "smollm2-"+w.Name, append([]string{"--engine_dir", dir, "--context", strconv.Itoa(context128)}, common...)...)
		})
		if err != nil {
			return nil, err
		}
		m.small = append(m.small, &column{title: w.Title, Report: r})
	}
	for _, w := range []struct {
		name, title string
		args        []string
	}{
		{"bf16", "bfloat16", []string{"--dtype", "bfloat16"}},
		{"int4", "int4, groups of 128", []string{"--dtype", "int4", "--group_size", "128"}},
	} {
		say("%s, %s", shape, w.title)
		args := append([]string{"--shape", shape, "--context", numbers([]int{context128, longContext})}, w.args...)
		if s.layers != shapeLayers {
			args = append(args, "--layers", strconv.Itoa(s.layers))
		}
		r, err := trtgo.Bench(ctx, shape+"-"+w.name, append(args, common...)...)
		if err != nil {
			return nil, err
		}
		m.large = append(m.large, &column{title: w.title, Report: r})
	}
	return m, nil
}

// numbers are a flag's value.
func numbers(list []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]")
}
