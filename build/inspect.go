package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/regularfile"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// Formats of engine directories in a source.Description.
const (
	FormatCPUEngine = "cpu-engine"
	FormatEngine    = "trtllm-engine" // built for TensorRT-LLM
	FormatRTXEngine = "rtx-engine"    // built for TensorRT-RTX
)

// Inspect tells what an engine directory holds: its config, the sections of a
// CPU engine or the weights beside a plan as tensors, and what is wrong with it. check also reads the weights
// and compares their checksums, which takes as long as reading the file. An
// error means that dir is no engine, or ctx ended.
func Inspect(ctx context.Context, dir string, check bool) (*source.Description, error) {
	c, err := engineconfig.Read(dir)
	if errors.Is(err, engineconfig.ErrInvalid) && engineconfig.IsEngine(dir) {
		return &source.Description{Format: FormatEngine, Tensors: []source.Info{}, Problems: []string{err.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	d := &source.Description{Format: FormatEngine, Architecture: c.Pretrained.Architecture, Config: c, Tensors: []source.Info{}, Problems: []string{}}
	if c.Backend() == engineconfig.BackendCPU {
		d.Format = FormatCPUEngine
		return d, inspectCPU(ctx, d, c, filepath.Join(dir, engineconfig.EngineName(0)), check)
	}
	if c.Backend() == engineconfig.BackendTensorRTRTX {
		d.Format = FormatRTXEngine
	}
	inspectPlans(d, c, dir)
	d.Notes = append(d.Notes, builtFor(c))
	return d, nil
}

// builtFor says of an engine for TensorRT what can run it.
func builtFor(c *engineconfig.Config) string {
	t := c.Trtgo
	if t == nil {
		t = &engineconfig.Trtgo{}
	}
	with := ""
	if t.TensorRT != "" {
		with = " " + t.TensorRT
	}
	if c.Backend() == engineconfig.BackendTensorRTRTX {
		return fmt.Sprintf("an engine for TensorRT-RTX%s on GPUs of compute capability %s; %s, and this release of trtgo cannot run it", with,
			strings.Join(t.ComputeCapabilities, ", "), unverifiedRTX)
	}
	switch {
	case with != "":
		with = ", built with TensorRT" + with
	case t.Builder != "":
		with = ", built by " + t.Builder
	}
	return fmt.Sprintf("a TensorRT engine for TensorRT-LLM %s%s; it runs on a GPU with that release's libraries, which trtgo doctor --engine_dir looks at", c.Version, with)
}

// rtxMagic is what plans of TensorRT-RTX begin with.
const rtxMagic = "vtrt"

// inspectPlans looks for the plan of each rank, and the weights beside it. The first rank with a problem is enough to know.
func inspectPlans(d *source.Description, c *engineconfig.Config, dir string) {
	ranks := c.Pretrained.Mapping.TPSize * c.Pretrained.Mapping.PPSize
	for rank := range ranks {
		path := filepath.Join(dir, engineconfig.EngineName(rank))
		problem := planProblem(path, d.Format)
		if problem == "" && c.Build.Plugins.ManageWeights {
			prefix := ""
			if ranks > 1 {
				prefix = fmt.Sprintf("rank%d/", rank)
			}
			path = filepath.Join(dir, engineconfig.ManagedWeightsName(rank))
			problem = listWeights(d, path, prefix)
		}
		if problem != "" {
			d.Problems = append(d.Problems, problem)
			return
		}
	}
}

// planProblem is "" for a file that may be a plan.
func planProblem(path, format string) string {
	f, size, err := regularfile.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("%s is missing", path)
	}
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	magic := make([]byte, len(rtxMagic))
	switch _, err := io.ReadFull(f, magic); {
	case size == 0:
		return fmt.Sprintf("%s is empty", path)
	case format == FormatRTXEngine && (err != nil || string(magic) != rtxMagic):
		return fmt.Sprintf("%s is no plan of TensorRT-RTX: it begins with %q, not %q", path, magic, rtxMagic)
	}
	return ""
}

// listWeights adds the weights that stand beside a plan.
func listWeights(d *source.Description, path, prefix string) string {
	file, err := safetensors.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("%s is missing, and the plan has no weights in it", path)
	}
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	for _, t := range file.Header().Tensors {
		d.Tensors = append(d.Tensors, source.Info{Name: prefix + t.Name, Dtype: t.Dtype, Shape: t.Shape, Bytes: t.Size})
	}
	return ""
}

// inspectCPU adds what the engine file holds. The error is ctx's only.
func inspectCPU(ctx context.Context, d *source.Description, c *engineconfig.Config, path string, check bool) error {
	problem := func(format string, args ...any) { d.Problems = append(d.Problems, fmt.Sprintf(format, args...)) }
	f, err := cpuengine.Open(path)
	if err != nil {
		problem("%v", err)
		return nil
	}
	for _, s := range f.Sections {
		shape := []int64{int64(s.Rows), int64(s.Cols)}
		if s.Layout == cpuengine.LayoutRows && s.Rows == 1 {
			shape = shape[1:]
		}
		d.Tensors = append(d.Tensors, source.Info{Name: s.Name, Dtype: s.Dtype + " " + s.Layout, Shape: shape, Bytes: s.Size})
	}
	if err := c.Match(f.Program.NumLayers, f.Program.HiddenSize, f.Program.VocabSize); err != nil {
		problem("%s: %v", path, err)
	}
	if !check {
		return nil
	}
	if err := f.Verify(ctx, nil); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		problem("%v", err)
	}
	return nil
}
