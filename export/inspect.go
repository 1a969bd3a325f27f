package export

import (
	"context"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/gguf"
	"github.com/trtgo/trtgo/export/hf"
	"github.com/trtgo/trtgo/export/nemo"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/export/trtllm"
)

// Description is what Inspect tells; it marshals to the JSON of `trtgo inspect`.
type Description = source.Description

// Inspect tells what a source or a TensorRT-LLM checkpoint holds. What export or
// build would refuse is listed in Problems; an error means that not even the format
// could be told, or its header read. ctx bounds the inflating of a compressed
// archive.
func Inspect(ctx context.Context, path string, o SourceOptions) (*Description, error) {
	format, err := detect(path)
	if err != nil {
		return nil, err
	}
	switch format {
	case FormatHF:
		return hf.Describe(path)
	case FormatGGUF:
		return gguf.Describe(path)
	case FormatNemo:
		return nemo.Describe(ctx, path, nemo.Options(o))
	case FormatDCP:
		return hf.DescribeDistributed(path, o.Config)
	case FormatQnemo:
		return trtllm.DescribeArchive(ctx, path, trtllm.Options{TempDir: o.TempDir, Inflating: o.Inflating})
	}
	c, err := checkpoint.Describe(path)
	if err != nil {
		return nil, err
	}
	d := &Description{
		Format: FormatCheckpoint, Architecture: c.Architecture, Config: c.Config,
		Tensors: []source.Info{}, Problems: append([]string{}, c.Problems...),
	}
	for _, t := range c.Tensors {
		d.Tensors = append(d.Tensors, source.Info{Name: t.Name, Dtype: t.Dtype, Shape: t.Shape, Bytes: t.Bytes, File: t.File})
	}
	return d, nil
}
