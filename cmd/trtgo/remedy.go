package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/filetree"
)

// notCheckpoint says what to do when --checkpoint_dir is another thing that is
// known; err is why it was refused.
func notCheckpoint(c *cli.Context, err error) error {
	dir := c.String("checkpoint-dir")
	switch format := formatOf(c, dir); format {
	case "", export.FormatCheckpoint:
		return err
	case build.FormatEngine, build.FormatRTXEngine, build.FormatCPUEngine:
		return fmt.Errorf("%s is an engine already (%s), not a checkpoint to build one from", dir, format)
	default:
		return fmt.Errorf("%s is a source (%s), not a TensorRT-LLM checkpoint: make one by `trtgo export %s -o DIR` and build from DIR", dir, format, dir)
	}
}

// notEngine is the same for --engine_dir.
func notEngine(c *cli.Context, err error) error {
	dir := c.String("engine-dir")
	switch format := formatOf(c, dir); format {
	case "", build.FormatEngine, build.FormatRTXEngine, build.FormatCPUEngine:
		return err
	case export.FormatCheckpoint:
		return fmt.Errorf("%s is a TensorRT-LLM checkpoint, not an engine: build one by `trtgo build --checkpoint_dir %s --output_dir DIR`", dir, dir)
	default:
		return fmt.Errorf("%s is a source (%s), not an engine: make one by `trtgo export` and `trtgo build`", dir, format)
	}
}

// formatOf is "" for what is unknown, absent or was not looked at because of an interrupt.
func formatOf(c *cli.Context, path string) string {
	if c.Context.Err() != nil {
		return ""
	}
	if compressed, err := filetree.IsGzip(path); err == nil && compressed {
		return export.FormatNemo // inflating it takes long, for no more than a word
	}
	d, err := describe(c, path)
	if err != nil {
		return ""
	}
	return d.Format
}
