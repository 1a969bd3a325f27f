//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/internal/bigmodel"
)

// stage is a command that is measured, what it is given and what is asked of it.
type stage struct {
	verb, title string
	forms       []string
	leastRatio  float64 // of its speed to cp's, in the median
	mostAnon    float64 // bytes of memory that are not of files
	checked     string  // what check compares

	sources   func(s settings) string // what source makes
	source    func(ctx context.Context, s settings, dir string, shape bigmodel.Shape, form string) (string, error)
	arguments func(source, out string) []string
	check     func(ctx context.Context, s settings, out string, shape bigmodel.Shape) error
}

var exporting = stage{
	verb: "export", title: "Export", forms: formNames(), leastRatio: 0.7, mostAnon: 600e6,
	sources: func(s settings) string {
		return fmt.Sprintf("the .nemo forms as %d tensor-parallel ranks save them.", s.tensorParallel)
	},
	checked: "Every form's first export was compared with the weights bit for bit.",
	source: func(_ context.Context, s settings, dir string, shape bigmodel.Shape, form string) (string, error) {
		return bigmodel.Write(dir, shape, bigmodel.Form(form), bigmodel.Options{TensorParallel: int(s.tensorParallel)})
	},
	arguments: func(source, out string) []string { return []string{"export", source, "-o", out, "--quiet"} },
	check: func(_ context.Context, _ settings, out string, shape bigmodel.Shape) error {
		return bigmodel.Check(out, shape)
	},
}

// building reads checkpoints that export made of one safetensors file.
var building = stage{
	verb: "build", title: "Build", forms: []string{"bfloat16", "int8_wo", "int4_wo"}, leastRatio: 0.5, mostAnon: 1e9,
	sources: func(settings) string {
		return "the sources are what `trtgo export` makes of safetensors, as they are and quantised (`lm_head` keeps bfloat16)."
	},
	checked: "Every form's first engine was read as a whole by `trtgo inspect --check`.",
	source: func(ctx context.Context, s settings, dir string, shape bigmodel.Shape, form string) (string, error) {
		original, err := bigmodel.Write(dir, shape, bigmodel.Safetensors, bigmodel.Options{})
		if err != nil {
			return "", err
		}
		source := filepath.Join(dir, "checkpoint")
		args := []string{"export", original, "-o", source, "--quiet"}
		if form != "bfloat16" {
			args = append(args, "--qformat", form)
		}
		return source, errors.Join(command(ctx, s.trtgo, args...).Run(), os.RemoveAll(original))
	},
	arguments: func(source, out string) []string {
		return []string{"build", "--checkpoint-dir", source, "-o", out, "--quiet"}
	},
	check: func(ctx context.Context, s settings, out string, _ bigmodel.Shape) error {
		return command(ctx, s.trtgo, "inspect", "--check", out).Run()
	},
}

func formNames() []string {
	var names []string
	for _, f := range bigmodel.Forms() {
		names = append(names, string(f))
	}
	return names
}
