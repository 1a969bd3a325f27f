package main

import (
	"log/slog"

	"github.com/urfave/cli/v2"
)

// flagKind is how many values a flag of upstream's takes.
type flagKind int

const (
	switchFlag flagKind = iota
	valueFlag
	listFlag
)

// upstreamFlag is a flag that TensorRT-LLM's scripts have and that changes
// nothing here: it is taken and told about, or refused when doing without it
// would change what the user gets.
type upstreamFlag struct {
	name    string
	aliases []string
	kind    flagKind
	refuse  bool
	why     string
}

const upstreamCategory = "unused here: TensorRT-LLM's own" // the last in help

// sharedUpstreamFlags are upstream's add_common_args that no backend here has a use for.
var sharedUpstreamFlags = []upstreamFlag{
	{name: "beam-width-array", kind: valueFlag, refuse: true, why: "beam search keeps one width; use --num_beams"},
	{name: "sink-token-length", kind: valueFlag, refuse: true, why: "attention sinks left TensorRT-LLM in 1.2"},
	{name: "max-attention-window-size", kind: listFlag, refuse: true, why: "the window is the engine's own"},
	{name: "no-prompt-template", kind: switchFlag, why: "upstream's templates are for InternLM and Qwen; see --chat-template"},
	{name: "use-py-session", kind: switchFlag, why: "there is no Python session"},
	{name: "debug-mode", kind: switchFlag, why: "there is no Python session"},
	{name: "prompt-table-path", kind: valueFlag, refuse: true, why: "prompt tuning is not supported"},
	{name: "prompt-tasks", kind: valueFlag, refuse: true, why: "prompt tuning is not supported"},
	{name: "num-prepend-vtokens", kind: listFlag, refuse: true, why: "prompt tuning is not supported"},
	{name: "lora-dir", kind: listFlag, refuse: true, why: "LoRA is not supported yet"},
	{name: "lora-ckpt-source", kind: valueFlag, why: "LoRA is not supported yet"},
	{name: "lora-task-uids", kind: listFlag, refuse: true, why: "LoRA is not supported yet"},
	{name: "draft-target-model-config", kind: valueFlag, refuse: true, why: "speculative decoding is not supported"},
	{name: "ngram-config", kind: valueFlag, refuse: true, why: "speculative decoding is not supported"},
	{name: "prompt-lookup-config", kind: valueFlag, refuse: true, why: "speculative decoding is not supported"},
	{name: "lookahead-config", kind: valueFlag, refuse: true, why: "speculative decoding is not supported"},
	{name: "medusa-choices", kind: valueFlag, refuse: true, why: "speculative decoding is not supported"},
	{name: "eagle-choices", kind: valueFlag, refuse: true, why: "speculative decoding is not supported"},
	{name: "eagle-posterior-threshold", kind: valueFlag, why: "speculative decoding is not supported"},
	{name: "eagle-use-dynamic-tree", kind: switchFlag, why: "speculative decoding is not supported"},
	{name: "eagle-dynamic-tree-max-top-k", kind: valueFlag, why: "speculative decoding is not supported"},
	{name: "tokenizer-type", kind: valueFlag, why: "the files say which tokenizer it is"},
	{name: "cross-kv-cache-fraction", kind: valueFlag, why: "there are no encoder-decoder models"},
	{name: "hf-data-type", aliases: []string{"data-type"}, kind: valueFlag, why: "there is no Hugging Face run beside"},
	{name: "hf-device-map-auto", kind: switchFlag, why: "there is no Hugging Face run beside"},
	{name: "return-all-generated-tokens", kind: switchFlag, why: "chunks are always new tokens"},
	{name: "language-task-uids", kind: listFlag, refuse: true, why: "language adapters are not supported"},
	{name: "backend", kind: valueFlag, why: "the engine says its backend"},
}

// cliFlags turns a table into flags of the help's own category.
func cliFlags(table []upstreamFlag) []cli.Flag {
	var flags []cli.Flag
	for _, f := range table {
		usage := "taken, without effect: " + f.why
		if f.refuse {
			usage = "refused: " + f.why
		}
		switch f.kind {
		case switchFlag:
			flags = append(flags, &cli.BoolFlag{Name: f.name, Aliases: f.aliases, Usage: usage, Category: upstreamCategory})
		case valueFlag:
			flags = append(flags, &cli.StringFlag{Name: f.name, Aliases: f.aliases, Usage: usage, Category: upstreamCategory})
		case listFlag:
			flags = append(flags, &cli.StringSliceFlag{Name: f.name, Aliases: f.aliases, Usage: usage, Category: upstreamCategory})
		}
	}
	return flags
}

// checkUpstreamFlags refuses what cannot be done without and logs the rest.
func checkUpstreamFlags(c *cli.Context, table []upstreamFlag, log *slog.Logger) error {
	for _, f := range table {
		if !c.IsSet(f.name) {
			continue
		}
		if f.refuse {
			return usagef("--%s cannot be used here: %s", f.name, f.why)
		}
		log.Debug("--" + f.name + " has no effect here: " + f.why)
	}
	return nil
}

// goneFlags were removed from trtllm-build before 1.2; the value says
// what to use instead.
var goneFlags = map[string]string{
	"auto-parallel":                   "shard in the checkpoint, with export --tp_size and --pp_size",
	"gpus-per-node":                   "shard in the checkpoint, with export --tp_size and --pp_size",
	"cluster-key":                     "shard in the checkpoint, with export --tp_size and --pp_size",
	"multi-block-mode":                "it is a choice at run time; run takes it",
	"use-custom-all-reduce":           "it is chosen automatically",
	"builder-opt":                     "nothing took its place",
	"use-context-fmha-for-generation": "nothing took its place",
	"world-size":                      "the checkpoint says it",
	"max-output-len":                  "use --max_seq_len, which counts prompt and output",
	"tp-size":                         "the checkpoint says it",
	"pp-size":                         "the checkpoint says it",
	"weight-only-precision":           "say it when exporting the checkpoint",
}
