package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/export"
)

// sourceForms is for help texts.
const sourceForms = "a Hugging Face directory (safetensors or pytorch_model.bin), a GGUF file, a .nemo archive or what was in one,\n" +
	"a NeMo 2 directory, a bare Megatron-core or PyTorch distributed checkpoint with --config, or a TensorRT-LLM checkpoint\n" +
	"or .qnemo"

// sourceFlags say what a source may lack.
func sourceFlags(tempDir string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "config of a bare distributed checkpoint: model_config.yaml, model.yaml or Hugging Face's config.json"},
		&cli.StringFlag{Name: "temp-dir", DefaultText: tempDir, Usage: "where a .nemo that was compressed by gzip is inflated, which takes the room of the model until the command ends"},
	}
}

// sourceOptions reads them. An archive that has to be inflated is announced, and
// its progress shown. done ends what is shown.
func sourceOptions(c *cli.Context, path, tempDir string, log *slog.Logger) (o export.SourceOptions, done func()) {
	o = export.SourceOptions{Config: c.String("config"), TempDir: c.String("temp-dir")}
	if o.TempDir != "" {
		tempDir = o.TempDir
	}
	var once sync.Once
	var bar *progress
	var size int64
	o.Inflating = func(done int64) {
		once.Do(func() {
			if stat, err := os.Stat(path); err == nil {
				size = stat.Size()
			}
			log.Info(fmt.Sprintf("%s (%s) is compressed by gzip: inflating it to a temporary file in %s", path, humanBytes(size), tempDir))
			bar = newProgress(c, "inflate", log)
		})
		bar.set(done, size)
		if done >= size {
			bar.end()
		}
	}
	return o, func() {
		if bar != nil {
			bar.end()
		}
	}
}

// targetFlags say how a checkpoint is written.
func targetFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "dtype", Value: "auto", Usage: "auto, float16, bfloat16 or float32; auto keeps the source's (float32 too, where upstream makes float16) and is bfloat16 for a quantised GGUF"},
		&cli.IntFlag{Name: "tp-size", Aliases: []string{"inference-tensor-parallel"}, Value: 1, Usage: "tensor-parallel ranks"},
		&cli.IntFlag{Name: "pp-size", Aliases: []string{"inference-pipeline-parallel"}, Value: 1, Usage: "pipeline-parallel ranks"},
		&cli.BoolFlag{Name: "use-parallel-embedding", Usage: "split the embedding over tensor-parallel ranks"},
		&cli.IntFlag{Name: "embedding-sharding-dim", Usage: "0 splits the vocabulary, 1 the hidden size"},
		&cli.IntFlag{Name: "workers", DefaultText: "the CPUs, up to 8", Usage: "parallel readers and writers"},
	}, quantiseFlags()...)
}

// targetOptions reads them.
func targetOptions(c *cli.Context) (export.Options, error) {
	if err := firstError(
		oneOf(c, "dtype", "auto", "float16", "bfloat16", "float32"),
		atLeast(c, "tp-size", 1), atLeast(c, "pp-size", 1), atLeast(c, "workers", 0),
	); err != nil {
		return export.Options{}, err
	}
	o := export.Options{
		Dtype:                c.String("dtype"),
		TPSize:               c.Int("tp-size"),
		PPSize:               c.Int("pp-size"),
		UseParallelEmbedding: c.Bool("use-parallel-embedding"),
		EmbeddingShardingDim: c.Int("embedding-sharding-dim"),
		Workers:              c.Int("workers"),
	}
	return o, quantiseOptions(c, &o)
}

// besideOutput is where an export inflates an archive unless told otherwise.
func besideOutput(output string) string { return filepath.Dir(filepath.Clean(output)) }
