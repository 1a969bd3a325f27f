//go:build linux

// Command benchexport measures `trtgo export`, or with the argument build `trtgo
// build`, against cp: a checkpoint with the shape of Minitron-8B is made in each
// form, copied and converted in turn, source out of the page cache, fsync included.
// The table goes into docs/benchmarks.md. It ends with status 1 when an output is
// wrong, or a conversion misses what its stage asks of its speed and its memory.
//
//	BENCH_SCALE    8 is an eighth of the 16.5 GB; default 1
//	BENCH_FORMS    some of safetensors,bin,zarr,torch_dist, or for build of
//	               bfloat16,int8_wo,int4_wo; default all
//	BENCH_DIR      where checkpoints are made and removed; default out/bench
//	BENCH_REPEATS  pairs of a copy and an export; default 3
//	BENCH_TP       ranks that "saved" the .nemo; default 8
//	BENCH_TRTGO    the command; default out/bin/trtgo
//	BENCH_OUTPUT   the file to put the table into; default docs/benchmarks.md
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/bigmodel"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

// settings are what the arguments and the environment say.
type settings struct {
	stage                          stage
	scale, repeats, tensorParallel int64
	forms                          []string
	dir, trtgo, output             string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "benchexport:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, err := read(os.Args[1:], os.Getenv)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	var results []result
	var failed error
	for _, form := range s.forms {
		r, err := s.measure(ctx, form)
		if err != nil {
			return fmt.Errorf("%s: %w", form, err)
		}
		fmt.Println(r.row())
		results = append(results, r)
		failed = errors.Join(failed, r.verdict())
	}
	table := section(s, results, benchdoc.Machine(), time.Now())
	fmt.Print("\n", table)
	err = benchdoc.Update(s.output, s.mark(), table)
	return errors.Join(failed, err)
}

// read reads the settings.
func read(args []string, getenv func(string) string) (settings, error) {
	e := benchrun.Environment{Getenv: getenv, Prefix: "BENCH_"}
	s := settings{
		scale: e.Number("SCALE", 1), repeats: e.Number("REPEATS", 3), tensorParallel: e.Number("TP", 8),
		dir: e.Text("DIR", "out/bench"), trtgo: e.Text("TRTGO", "out/bin/trtgo"), output: e.Text("OUTPUT", "docs/benchmarks.md"),
	}
	switch strings.Join(args, " ") {
	case "", "export":
		s.stage = exporting
	case "build":
		s.stage = building
	default:
		e.Fail(fmt.Errorf("the argument is export or build, not %q", args))
	}
	for name := range strings.SplitSeq(e.Text("FORMS", strings.Join(s.stage.forms, ",")), ",") {
		if !slices.Contains(s.stage.forms, name) {
			e.Fail(fmt.Errorf("BENCH_FORMS: %q is none of %s", name, strings.Join(s.stage.forms, ", ")))
		}
		s.forms = append(s.forms, name)
	}
	return s, e.Err()
}

// measure makes a checkpoint, runs all pairs on it, and removes it.
func (s settings) measure(ctx context.Context, form string) (r result, err error) {
	shape := bigmodel.Minitron8B().Scaled(s.scale)
	r = result{form: form, stage: s.stage}
	if err := enoughSpace(s.dir, 2*shape.Bytes()); err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp(s.dir, "bench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	start := time.Now()
	source, err := s.stage.source(ctx, s, dir, shape, form)
	if err != nil {
		return r, err
	}
	if r.bytes, err = flush(source); err != nil {
		return r, err
	}
	fmt.Printf("%s: made %.2f GB in %.1f s\n", form, float64(r.bytes)/1e9, time.Since(start).Seconds())
	out := filepath.Join(dir, "output")
	for i := range s.repeats {
		p, err := s.pair(ctx, source, out, i%2 == 0, func() error {
			if i > 0 {
				return nil
			}
			return s.stage.check(ctx, s, out, shape)
		})
		if err != nil {
			return r, err
		}
		fmt.Printf("%s: cp %.1f s, %s %.1f s, ratio %.2f, RssAnon %.0f MB, RssFile %.0f MB\n", form,
			p.copying.Seconds(), s.stage.verb, p.converting.Seconds(), p.ratio(), float64(p.anon)/1e6, float64(p.file)/1e6)
		r.pairs = append(r.pairs, p)
	}
	return r, nil
}

// enoughSpace leaves a tenth and a gigabyte of room.
func enoughSpace(dir string, need int64) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	free := int64(stat.Bavail) * int64(stat.Bsize)
	if need += need/10 + 1<<30; free < need {
		return fmt.Errorf("%s has %.1f GB free, and %.1f GB are needed: choose another BENCH_DIR or a greater BENCH_SCALE", dir, float64(free)/1e9, float64(need)/1e9)
	}
	return nil
}
