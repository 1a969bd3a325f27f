package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/export"
)

// exportUpstreamFlags are flags of convert_checkpoint.py and quantize.py that
// export has no use for.
var exportUpstreamFlags = []upstreamFlag{
	{name: "load-model-on-cpu", kind: switchFlag, why: "nothing is loaded on a GPU"},
	{name: "load-by-shard", kind: switchFlag, why: "tensors are always streamed"},
	{name: "gpt-variant", kind: valueFlag, why: "the configuration says it"},
	{name: "decoder-type", kind: valueFlag, why: "the configuration says it"},
	{name: "device", kind: valueFlag, why: "nothing runs on a GPU"},
	{name: "device-map", kind: valueFlag, why: "nothing runs on a GPU"},
	{name: "batch-size", kind: valueFlag, why: "nothing is calibrated"},
	{name: "dataset-cache-dir", kind: valueFlag, why: "nothing is calibrated"},
	{name: "calib-dataset", kind: valueFlag, why: "nothing is calibrated"},
	{name: "calib-size", kind: valueFlag, why: "nothing is calibrated"},
	{name: "calib-max-seq-length", kind: valueFlag, why: "nothing is calibrated"},
	{name: "seed", kind: valueFlag, why: "nothing is calibrated"},
	{name: "cp-size", kind: valueFlag, refuse: true, why: "context parallelism is not supported"},
	{name: "nemo-ckpt-path", kind: valueFlag, refuse: true, why: "NeMo archives are read by a later release; export the Hugging Face form of the model"},
	{name: "nemo-rename-key", kind: listFlag, refuse: true, why: "NeMo archives are read by a later release"},
	{name: "use-weight-only", kind: switchFlag, refuse: true, why: "quantised exports come with a later release"},
	{name: "weight-only-precision", kind: valueFlag, refuse: true, why: "quantised exports come with a later release"},
	{name: "kv-cache-dtype", kind: valueFlag, refuse: true, why: "quantised KV caches come with a later release"},
	{name: "int8-kv-cache", kind: switchFlag, refuse: true, why: "quantised KV caches come with a later release"},
	{name: "fp8-kv-cache", kind: switchFlag, refuse: true, why: "quantised KV caches come with a later release"},
	{name: "smoothquant", aliases: []string{"sq"}, kind: valueFlag, refuse: true, why: "quantised exports come with a later release"},
	{name: "use-fp8", kind: switchFlag, refuse: true, why: "quantised exports come with a later release"},
	{name: "use-fp8-rowwise", kind: switchFlag, refuse: true, why: "quantised exports come with a later release"},
}

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "source checkpoint → TensorRT-LLM checkpoint",
		ArgsUsage: "SOURCE",
		Description: "SOURCE (or --model_dir) is a Hugging Face directory with safetensors or a GGUF file. The output directory\n" +
			"appears only when it is complete.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "model-dir", Usage: "the source, instead of an operand"},
			&cli.StringFlag{Name: "output-dir", Aliases: []string{"o"}, Value: "tllm_checkpoint", Usage: "directory to write"},
			&cli.StringFlag{Name: "dtype", Value: "auto", Usage: "auto, float16, bfloat16 or float32; auto keeps the source's (float32 too, where upstream makes float16) and is bfloat16 for a quantised GGUF"},
			&cli.IntFlag{Name: "tp-size", Value: 1, Usage: "tensor-parallel ranks"},
			&cli.IntFlag{Name: "pp-size", Value: 1, Usage: "pipeline-parallel ranks"},
			&cli.BoolFlag{Name: "use-parallel-embedding", Usage: "split the embedding over tensor-parallel ranks"},
			&cli.IntFlag{Name: "embedding-sharding-dim", Usage: "0 splits the vocabulary, 1 the hidden size"},
			&cli.IntFlag{Name: "workers", Usage: "parallel writers (default: the CPUs)"},
			&cli.StringFlag{Name: "qformat", Value: "full_prec", Usage: "full_prec only; quantised formats come with a later release"},
		}, cliFlags(exportUpstreamFlags)...),
		Action: runExport,
	}
}

func runExport(c *cli.Context) error {
	log, err := newLogger(c)
	if err != nil {
		return err
	}
	if err := checkUpstreamFlags(c, exportUpstreamFlags, log); err != nil {
		return err
	}
	source, err := exportSource(c)
	if err != nil {
		return err
	}
	if err := firstError(
		oneOf(c, "dtype", "auto", "float16", "bfloat16", "float32"),
		oneOf(c, "qformat", "full_prec"),
		atLeast(c, "tp-size", 1), atLeast(c, "pp-size", 1), atLeast(c, "workers", 0),
	); err != nil {
		return err
	}
	start := time.Now()
	bar := newProgress(c, "export", log)
	report, err := export.Convert(c.Context, source, export.Options{
		OutputDir:            c.String("output-dir"),
		Dtype:                c.String("dtype"),
		TPSize:               c.Int("tp-size"),
		PPSize:               c.Int("pp-size"),
		UseParallelEmbedding: c.Bool("use-parallel-embedding"),
		EmbeddingShardingDim: c.Int("embedding-sharding-dim"),
		Workers:              c.Int("workers"),
		Progress:             func(done, total int64, _ string) { bar.set(done, total) },
	})
	bar.end()
	if err != nil {
		return err
	}
	for _, note := range report.Notes {
		log.Warn(note)
	}
	log.Info(fmt.Sprintf("exported %s as %s, %s in %.1f s: %s", report.Architecture, report.Dtype,
		humanBytes(report.Bytes), time.Since(start).Seconds(), report.OutputDir))
	return nil
}

func exportSource(c *cli.Context) (string, error) {
	flag := c.String("model-dir")
	switch {
	case c.Args().Len() > 1:
		return "", usagef("export takes one source; what is %q?", c.Args().Get(1))
	case flag != "" && c.Args().Present():
		return "", usagef("the source is given twice: --model_dir %s and %s", flag, c.Args().First())
	case flag != "":
		return flag, nil
	case c.Args().Present():
		return c.Args().First(), nil
	default:
		return "", usagef("export needs a source: a Hugging Face directory or a GGUF file")
	}
}
