package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// Formats of engine directories in a source.Description.
const (
	FormatCPUEngine = "cpu-engine"
	FormatEngine    = "trtllm-engine" // built for TensorRT-LLM
)

// Inspect tells what an engine directory holds: its config, the sections of a
// CPU engine as tensors, and what is wrong with it. check also reads the weights
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
	for rank := range c.Pretrained.Mapping.TPSize * c.Pretrained.Mapping.PPSize {
		path := filepath.Join(dir, engineconfig.EngineName(rank))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			d.Problems = append(d.Problems, fmt.Sprintf("%s is missing", path))
			break // one is enough to know
		}
	}
	d.Notes = append(d.Notes, fmt.Sprintf("a TensorRT engine for TensorRT-LLM %s; the CPU backend cannot run it", c.Version))
	return d, nil
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
