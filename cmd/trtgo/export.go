package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/export"
)

const (
	namesKnown   = "the names of NeMo's and Megatron's parameters are known without it"
	uncalibrated = "nothing is calibrated"
	inConfig     = "the source's configuration says it"
	noMedusa     = "speculative decoding is not supported"
	noModel      = "a checkpoint without a model's weights is not written"
)

// exportUpstreamFlags are flags of convert_checkpoint.py (gpt and llama),
// quantize.py and ModelOpt's hf_ptq.py that export has no use for.
var exportUpstreamFlags = []upstreamFlag{
	{name: "load-model-on-cpu", kind: switchFlag, why: "nothing is loaded on a GPU"},
	{name: "load-by-shard", kind: switchFlag, why: "tensors are always streamed"},
	{name: "gpt-variant", kind: valueFlag, why: inConfig},
	{name: "decoder-type", kind: valueFlag, why: inConfig},
	{name: "device", kind: valueFlag, why: "nothing runs on a GPU"},
	{name: "device-map", kind: valueFlag, why: "nothing runs on a GPU"},
	{name: "batch-size", kind: valueFlag, why: uncalibrated},
	{name: "dataset-cache-dir", kind: valueFlag, why: uncalibrated},
	{name: "calib-dataset", kind: valueFlag, why: uncalibrated},
	{name: "calib-size", kind: valueFlag, why: uncalibrated},
	{name: "calib-max-seq-length", kind: valueFlag, why: uncalibrated},
	{name: "calib-tp-size", kind: valueFlag, why: uncalibrated},
	{name: "calib-pp-size", kind: valueFlag, why: uncalibrated},
	{name: "tokenizer-max-seq-length", kind: valueFlag, why: uncalibrated},
	{name: "seed", kind: valueFlag, why: uncalibrated},
	{name: "disable-weight-only-quant-plugin", kind: switchFlag, why: "the builder chooses"},
	{name: "awq-block-size", kind: valueFlag, why: "groups are kept as the source has them"},
	{name: "moe-tp-size", kind: valueFlag, why: "the models read have no experts"},
	{name: "moe-ep-size", kind: valueFlag, why: "the models read have no experts"},
	{name: "export-fmt", kind: valueFlag, why: "the TensorRT-LLM checkpoint is the only format written"},

	{name: "cp-size", kind: valueFlag, refuse: true, why: "context parallelism is not supported"},
	{name: "meta-ckpt-dir", kind: valueFlag, refuse: true, why: "Meta's own checkpoints are not read; export the Hugging Face form of the model"},
	{name: "nemo-rename-key", kind: listFlag, refuse: true, why: namesKnown},
	{name: "smoothquant", aliases: []string{"sq"}, kind: valueFlag, refuse: true, why: calibratedLater},
	{name: "per-channel", kind: switchFlag, refuse: true, why: calibratedLater},
	{name: "per-token", kind: switchFlag, refuse: true, why: calibratedLater},
	{name: "per-group", kind: switchFlag, refuse: true, why: calibratedLater},
	{name: "use-qserve", kind: switchFlag, refuse: true, why: calibratedLater},
	{name: "quant-ckpt-path", kind: valueFlag, refuse: true, why: calibratedLater},
	{name: "use-fp8-rowwise", kind: switchFlag, refuse: true, why: calibratedLater},
	{name: "use-meta-fp8-rowwise-recipe", kind: switchFlag, refuse: true, why: calibratedLater},
	{name: "use-nvfp4", kind: switchFlag, refuse: true, why: calibratedLater},
	{name: "quantize-lm-head", kind: switchFlag, refuse: true, why: "a quantised lm_head is not supported"},
	{name: "autoq-format", kind: valueFlag, refuse: true, why: calibratedLater},
	{name: "auto-quantize-bits", kind: valueFlag, refuse: true, why: calibratedLater},
	{name: "remove-duplicated-kv-heads", kind: switchFlag, refuse: true, why: "key and value heads are kept as the source has them"},
	{name: "num-medusa-heads", kind: valueFlag, refuse: true, why: noMedusa},
	{name: "num-medusa-layers", kind: valueFlag, refuse: true, why: noMedusa},
	{name: "max-draft-len", kind: valueFlag, refuse: true, why: noMedusa},
	{name: "medusa-hidden-act", kind: valueFlag, refuse: true, why: noMedusa},
	{name: "medusa-model-dir", kind: valueFlag, refuse: true, why: noMedusa},
	{name: "quant-medusa-head", kind: switchFlag, refuse: true, why: noMedusa},
	{name: "save-config-only", kind: switchFlag, refuse: true, why: noModel},
	{name: "vocab-size", kind: valueFlag, refuse: true, why: noModel},
	{name: "n-positions", kind: valueFlag, refuse: true, why: noModel},
	{name: "n-layer", kind: valueFlag, refuse: true, why: noModel},
	{name: "n-head", kind: valueFlag, refuse: true, why: noModel},
	{name: "n-kv-head", kind: valueFlag, refuse: true, why: noModel},
	{name: "n-embd", kind: valueFlag, refuse: true, why: noModel},
	{name: "inter-size", kind: valueFlag, refuse: true, why: noModel},
	{name: "multiple-of", kind: valueFlag, refuse: true, why: noModel},
	{name: "ffn-dim-multiplier", kind: valueFlag, refuse: true, why: noModel},
	{name: "rms-norm-eps", kind: valueFlag, refuse: true, why: noModel},
	{name: "hidden-act", kind: valueFlag, refuse: true, why: noModel},
	{name: "rotary-base", kind: valueFlag, refuse: true, why: noModel},
	{name: "moe-num-experts", kind: valueFlag, refuse: true, why: noModel},
	{name: "moe-top-k", kind: valueFlag, refuse: true, why: noModel},
	{name: "moe-renorm-mode", kind: valueFlag, refuse: true, why: noModel},
}

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "source checkpoint → TensorRT-LLM checkpoint",
		ArgsUsage: "SOURCE",
		Description: "SOURCE (or --model_dir, or --nemo_ckpt_path) is " + sourceForms + " (to divide or convert it anew).\n" +
			"The output directory appears only when it is complete.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "model-dir", Aliases: []string{"pyt-ckpt-path", "nemo-ckpt-path"}, Usage: "the source, instead of an operand"},
			&cli.StringFlag{Name: "output-dir", Aliases: []string{"o", "export-path"}, Value: "tllm_checkpoint", Usage: "directory to write"},
			&cli.BoolFlag{Name: "verify", Usage: "when it is written, read source and checkpoint again and compare every number; a difference ends with status 1"},
			&cli.BoolFlag{Name: "json", Usage: "one JSON object on stdout that says what was written"},
		}, slices.Concat(targetFlags(), sourceFlags("beside the output"), cliFlags(exportUpstreamFlags))...),
		Action: runExport,
	}
}

func runExport(c *cli.Context) error {
	log := newLogger(c)
	if err := checkUpstreamFlags(c, exportUpstreamFlags, log); err != nil {
		return err
	}
	source, err := exportSource(c)
	if err != nil {
		return err
	}
	options, err := targetOptions(c)
	if err != nil {
		return err
	}
	options.OutputDir = c.String("output-dir")
	var inflated func()
	options.Source, inflated = sourceOptions(c, source, besideOutput(options.OutputDir), log)
	bars := &progresses{c: c, log: log}
	options.Progress = bars.show("export")
	if c.Bool("verify") {
		options.Verify = &export.VerifyOptions{Workers: options.Workers, Progress: bars.show("verify")}
	}
	report, err := export.Convert(c.Context, source, options)
	inflated()
	bars.end()
	if err != nil {
		return err
	}
	for _, note := range report.Notes {
		log.Warn(note)
	}
	form := report.Dtype
	if report.QuantAlgo != "" {
		form += " and " + report.QuantAlgo
	}
	log.Info(fmt.Sprintf("exported %s as %s, %s in %.1f s: %s", report.Architecture, form,
		humanBytes(report.Bytes), report.Elapsed.Seconds(), report.OutputDir))
	if v := report.Verified; v != nil {
		log.Info(verdict(v))
	}
	if c.Bool("json") {
		return printJSON(c, report)
	}
	return nil
}

// verdict says in a line what was found to be right.
func verdict(v *export.VerifyReport) string {
	line := fmt.Sprintf("verified %d tensors, %s: %d are the source's number for number", v.Tensors, humanBytes(v.Bytes), v.Exact)
	if v.Worst != nil {
		line += fmt.Sprintf(", %d are rounded by half a step at most; the worst is rank %d, %s, off by %.3g (relative %.3g)",
			len(v.Rounded), v.Worst.Rank, v.Worst.Tensor, v.Worst.Absolute, v.Worst.Relative)
	}
	return line
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
		return "", usagef("export needs a source: a Hugging Face directory, a GGUF file, a .nemo or a distributed checkpoint")
	}
}
