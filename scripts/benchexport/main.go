//go:build linux

// Command benchexport measures `trtgo export` against cp: a checkpoint with the
// shape of Minitron-8B is made in each form, copied and exported in turn, source
// out of the page cache, fsync included. The table goes into docs/benchmarks.md.
// It ends with status 1 when an export is wrong, slower than 0.7 of cp's speed in
// the median, or takes more than 600 MB of its own memory.
//
//	BENCH_SCALE    8 is an eighth of the 16.5 GB; default 1
//	BENCH_FORMS    some of safetensors,bin,zarr,torch_dist; default all
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
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/bigmodel"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

// settings are what the environment says.
type settings struct {
	scale, repeats, tensorParallel int64
	forms                          []bigmodel.Form
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
	s, err := read(os.Getenv)
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
	err = benchdoc.Update(s.output, mark(s.scale), table)
	return errors.Join(failed, err)
}

// read reads the settings.
func read(getenv func(string) string) (settings, error) {
	e := benchrun.Environment{Getenv: getenv, Prefix: "BENCH_"}
	s := settings{
		scale: e.Number("SCALE", 1), repeats: e.Number("REPEATS", 3), tensorParallel: e.Number("TP", 8),
		dir: e.Text("DIR", "out/bench"), trtgo: e.Text("TRTGO", "out/bin/trtgo"), output: e.Text("OUTPUT", "docs/benchmarks.md"),
	}
	names := map[string]bigmodel.Form{}
	var all []string
	for _, f := range bigmodel.Forms() {
		names[string(f)] = f
		all = append(all, string(f))
	}
	for name := range strings.SplitSeq(e.Text("FORMS", strings.Join(all, ",")), ",") {
		if names[name] == "" {
			e.Fail(fmt.Errorf("BENCH_FORMS: %q is none of %s", name, strings.Join(all, ", ")))
		}
		s.forms = append(s.forms, names[name])
	}
	return s, e.Err()
}

// measure makes a checkpoint, runs all pairs on it, and removes it.
func (s settings) measure(ctx context.Context, form bigmodel.Form) (r result, err error) {
	shape := bigmodel.Minitron8B().Scaled(s.scale)
	r = result{form: form, bytes: shape.Bytes()}
	if err := enoughSpace(s.dir, 2*shape.Bytes()); err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp(s.dir, "bench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	start := time.Now()
	source, err := bigmodel.Write(dir, shape, form, bigmodel.Options{TensorParallel: int(s.tensorParallel)})
	if err != nil {
		return r, err
	}
	if err := flush(source); err != nil {
		return r, err
	}
	fmt.Printf("%s: made %.2f GB in %.1f s\n", form, float64(r.bytes)/1e9, time.Since(start).Seconds())
	out := filepath.Join(dir, "output")
	for i := range s.repeats {
		p, err := s.pair(ctx, source, out, i%2 == 0, func() error {
			if i > 0 {
				return nil
			}
			return bigmodel.Check(out, shape)
		})
		if err != nil {
			return r, err
		}
		fmt.Printf("%s: cp %.1f s, export %.1f s, ratio %.2f, RssAnon %.0f MB, RssFile %.0f MB\n", form,
			p.copying.Seconds(), p.exporting.Seconds(), p.ratio(), float64(p.anon)/1e6, float64(p.file)/1e6)
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
