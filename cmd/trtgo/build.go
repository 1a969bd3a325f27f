package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build"
)

// buildUpstreamFlags are trtllm-build's flags that need Python.
var buildUpstreamFlags = []upstreamFlag{
	{name: "model-config", kind: valueFlag, refuse: true, why: "the checkpoint has its configuration"},
	{name: "build-config", kind: valueFlag, refuse: true, why: "give the limits as flags"},
	{name: "model-cls-file", kind: valueFlag, refuse: true, why: "there is no Python"},
	{name: "model-cls-name", kind: valueFlag, refuse: true, why: "there is no Python"},
}

func buildCommand() *cli.Command {
	flags := append(buildSizeFlags(), buildTensorRTFlags()...)
	flags = append(flags, buildRecordedFlags()...)
	flags = append(flags, buildPluginFlags()...)
	return &cli.Command{
		Name:  "build",
		Usage: "TensorRT-LLM checkpoint → engine",
		Description: "Flags are trtllm-build's and mean the same. --backend cpu obeys the size flags, and checks and records the others: it has\n" +
			"no plugins. --backend tensorrt-llm obeys them all, or refuses by name what it has not; it needs TensorRT-LLM's libraries,\n" +
			"except for --network-only. --backend tensorrt-rtx builds without plugins, for GeForce RTX cards, on a machine that needs no\n" +
			"GPU; its engines have not yet been run on a GPU. The output directory appears only when it is complete.",
		Flags:  append(flags, cliFlags(buildUpstreamFlags)...),
		Action: runBuild,
	}
}

func buildSizeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "checkpoint-dir", Usage: "checkpoint that export wrote (required)"},
		&cli.StringFlag{Name: "output-dir", Aliases: []string{"o"}, Value: "engine_outputs", Usage: "directory to write"},
		&cli.StringFlag{Name: "backend", Value: build.BackendCPU, Usage: "cpu, tensorrt-llm or tensorrt-rtx (not yet run on a GPU)"},
		&cli.IntFlag{Name: "max-batch-size", DefaultText: "2048; tensorrt-rtx: 8", Usage: "sequences in one step"},
		&cli.IntFlag{Name: "max-input-len", Value: 1024, Usage: "tokens of a prompt; tensorrt-rtx: of a sequence in one step"},
		&cli.IntFlag{Name: "max-seq-len", Aliases: []string{"max-decoder-seq-len"}, DefaultText: "from the model", Usage: "tokens of prompt and output together"},
		&cli.IntFlag{Name: "max-beam-width", Value: 1, Usage: "beams of a request; cpu: recorded, it takes up to max-batch-size; tensorrt-rtx: only 1"},
		&cli.IntFlag{Name: "max-num-tokens", DefaultText: "8192", Usage: "tokens in one step, over all sequences; not with tensorrt-rtx"},
		&cli.IntFlag{Name: "opt-num-tokens", DefaultText: "max-batch-size · max-beam-width", Usage: "tokens in the step that tensorrt-llm tunes for; cpu: recorded"},
		&cli.IntFlag{Name: "max-prompt-embedding-table-size", Aliases: []string{"max-multimodal-len"}, Usage: "only 0, prompt tuning is not supported; goes to --builder trtllm-build"},
		&cli.StringFlag{Name: "kv-cache-type", DefaultText: "paged; tensorrt-rtx: continuous", Usage: "paged or continuous; cpu: recorded; tensorrt-llm: only paged; disabled is refused"},
		&cli.StringFlag{Name: "paged-kv-cache", Usage: "enable or disable; deprecated, must agree with --kv-cache-type"},
		&cli.StringFlag{Name: "lm-head-dtype", DefaultText: "the checkpoint's", Usage: "cpu: int8 rounds lm_head's weights, with a scale for each token: much of what a step reads where the vocabulary is large; others: refused"},
		&cli.StringFlag{Name: "logits-dtype", DefaultText: "the checkpoint's", Usage: "float16 or float32; cpu: recorded, it computes float32"},
		&cli.BoolFlag{Name: "gather-context-logits", Usage: "logits of every prompt position; with a cpu engine, run --output_logits_npy writes them without being told"},
		&cli.BoolFlag{Name: "gather-all-token-logits", Usage: "--gather_context_logits and --gather_generation_logits"},
		&cli.IntFlag{Name: "workers", DefaultText: "cpu: the CPUs; tensorrt-llm: 1", Usage: "cpu: goroutines that read and pack weights; tensorrt-llm: processes that build a rank each"},
		&cli.BoolFlag{Name: "dry-run", Usage: "check everything, write nothing"},
		&cli.BoolFlag{Name: "explain", Usage: "print where memory goes for each limit, and write nothing; cpu only"},
		&cli.BoolFlag{Name: "json", Usage: "one JSON object on stdout: what was built, or with --explain where memory goes"},
	}
}

const tensorrtCategory = "TensorRT"

// buildTensorRTFlags are those of the TensorRT backends that are this project's own, and upstream's about TensorRT that change
// what is built. The CPU backend records the latter.
func buildTensorRTFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "builder", Value: build.BuilderTrtgo, Usage: "trtgo, or trtllm-build: upstream's program, found on PATH, builds the engine for tensorrt-llm by its own rules, LoRA and all", Category: tensorrtCategory},
		&cli.StringFlag{Name: "target-version", DefaultText: "1.2", Usage: "release of TensorRT-LLM that a tensorrt-llm engine is for, 1.1 or 1.2; its libraries must be those", Category: tensorrtCategory},
		&cli.StringFlag{Name: "network-only", Usage: "write the TensorRT network as JSON to `FILE` (- is stdout) instead of building; needs no library. Several ranks are a JSON array", Category: tensorrtCategory},
		&cli.StringSliceFlag{Name: "compute-capability", DefaultText: "tensorrt-rtx: of 8.6 8.9 12.0 those that have the checkpoint's types", Usage: "GPUs of a tensorrt-rtx engine, several or with commas between: 7.5, 8.0, 8.6, 8.9, 12.0, 12.1; for tensorrt-llm the GPU of this machine, which is the default where CUDA shows one", Category: tensorrtCategory},
		&cli.IntFlag{Name: "tokens-per-block", Value: 32, Usage: "tokens in a block of the KV cache, a power of two; cpu: recorded, its blocks are its own", Category: tensorrtCategory},
	}
}

// buildRecordedFlags are trtllm-build's flags about TensorRT's own matters. The CPU backend checks them and
// records them in the engine's config.json where upstream does so.
func buildRecordedFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "max-encoder-input-len", Value: 1024, Usage: "recorded", Category: upstreamCategory},
		&cli.StringFlag{Name: "profiling-verbosity", Usage: "layer_names_only, detailed or none: what the plan tells of its layers; cpu: recorded", Category: tensorrtCategory},
		&cli.StringFlag{Name: "input-timing-cache", Usage: "`FILE` of an earlier build, whose kernels are not timed again; cpu: recorded; tensorrt-rtx: refused", Category: tensorrtCategory},
		&cli.StringFlag{Name: "output-timing-cache", DefaultText: "model.cache", Usage: "`FILE` to keep the timing of kernels in; cpu: recorded; tensorrt-rtx: refused", Category: tensorrtCategory},
		&cli.BoolFlag{Name: "strip-plan", Usage: "a plan without weights, to be refitted; cpu: recorded", Category: tensorrtCategory},
		&cli.BoolFlag{Name: "weight-sparsity", Usage: "use sparse kernels where weights are sparse; cpu: recorded", Category: tensorrtCategory},
		&cli.BoolFlag{Name: "weight-streaming", Usage: "a plan whose weights may stay in host memory; cpu: recorded", Category: tensorrtCategory},
		&cli.BoolFlag{Name: "fast-build", Usage: "weights beside the plan, as its inputs: built in seconds, runs a little slower; cpu: recorded; tensorrt-rtx: always so", Category: tensorrtCategory},
		&cli.BoolFlag{Name: "enable-debug-output", Usage: "cpu: recorded; refused for TensorRT: see --network-only", Category: upstreamCategory},
		&cli.BoolFlag{Name: "monitor-memory", Usage: "TensorRT tells its memory while building; cpu: recorded, see --explain", Category: tensorrtCategory},
		&cli.StringFlag{Name: "visualize-network", Usage: "write a drawing of each rank's network into `DIR`, rank0.dot …, for Graphviz; cpu: refused, see --explain", Category: tensorrtCategory},
		&cli.BoolFlag{Name: "gather-generation-logits", Usage: "recorded; it is a choice of run now", Category: upstreamCategory},
		&cli.StringSliceFlag{Name: "lora-dir", Usage: "refused, LoRA is not supported yet; goes to --builder trtllm-build", Category: upstreamCategory},
		&cli.StringFlag{Name: "lora-ckpt-source", Value: "hf", Usage: "hf or nemo", Category: upstreamCategory},
		&cli.StringSliceFlag{Name: "lora-target-modules", Usage: "refused, LoRA is not supported yet; goes to --builder trtllm-build", Category: upstreamCategory},
		&cli.IntFlag{Name: "max-lora-rank", Value: 64, Usage: "recorded", Category: upstreamCategory},
		&cli.StringFlag{Name: "speculative-decoding-mode", Usage: "refused, speculative decoding is not supported; goes to --builder trtllm-build", Category: upstreamCategory},
		&cli.IntFlag{Name: "max-draft-len", Usage: "only 0; goes to --builder trtllm-build", Category: upstreamCategory},
	}
}

// buildPluginFlags are a string flag for each plugin; the empty value is upstream's default.
func buildPluginFlags() []cli.Flag {
	var flags []cli.Flag
	for _, p := range build.PluginFlags() {
		flags = append(flags, &cli.StringFlag{Name: dashed(p.Flag), Usage: p.Usage, Category: "plugins"})
	}
	return flags
}

// dashed is the form of a flag's name that help shows.
func dashed(name string) string { return strings.ReplaceAll(name, "_", "-") }

func runBuild(c *cli.Context) error {
	log := newLogger(c)
	if err := firstError(noOperands(c), checkUpstreamFlags(c, buildUpstreamFlags, log)); err != nil {
		return err
	}
	if err := checkBuildFlags(c); err != nil {
		return err
	}
	options, err := buildOptions(c)
	if err != nil {
		return err
	}
	switch {
	case c.String("network-only") != "":
		return writeNetworks(c, options, log)
	case !c.Bool("explain"):
		return buildEngine(c, options, log)
	}
	memory, err := build.Explain(c.Context, options)
	switch {
	case err != nil:
		return notCheckpoint(c, err)
	case c.Bool("json"):
		return printJSON(c, memory)
	}
	return printf(c, "%v", memory)
}

// checkBuildFlags refuses what build.Options could not tell from a flag that was
// left out.
func checkBuildFlags(c *cli.Context) error {
	if c.String("checkpoint-dir") == "" {
		return usagef("--checkpoint_dir is required")
	}
	if err := oneOf(c, "backend", build.BackendCPU, build.BackendTensorRTLLM, build.BackendTensorRTRTX); err != nil {
		return err
	}
	if c.String("backend") == build.BackendCPU {
		if c.IsSet("network-only") {
			return usagef("--network-only needs --backend %s or %s", build.BackendTensorRTLLM, build.BackendTensorRTRTX)
		}
	}
	upstream := c.String("builder") == build.BuilderTRTLLMBuild
	switch network := c.String("network-only") != ""; {
	case c.Bool("explain") && network:
		return usagef("give one of --explain and --network-only")
	case c.Bool("explain") && upstream:
		return usagef("give one of --explain and --builder %s", build.BuilderTRTLLMBuild)
	case network && c.Bool("dry-run"):
		return usagef("give one of --dry-run and --network-only")
	case c.String("network-only") == "-" && c.Bool("json"):
		return usagef("--network-only - has stdout for the network: leave --json out, or write the network to a file")
	case network && upstream:
		return usagef("--network-only writes trtgo's own network: leave --builder out")
	}
	for _, f := range buildSizeFlags() {
		if f, isNumber := f.(*cli.IntFlag); isNumber && c.IsSet(f.Name) {
			least := 1
			if f.Name == "max-prompt-embedding-table-size" || f.Name == "workers" {
				least = 0
			}
			if err := atLeast(c, f.Name, least); err != nil {
				return err
			}
		}
	}
	return firstError(atLeast(c, "tokens-per-block", 1), atLeast(c, "max-lora-rank", 1))
}

func buildOptions(c *cli.Context) (build.Options, error) {
	o := build.Options{
		CheckpointDir: c.String("checkpoint-dir"), OutputDir: c.String("output-dir"), Backend: c.String("backend"), Builder: c.String("builder"),
		MaxBatchSize: setInt(c, "max-batch-size"), MaxInputLen: setInt(c, "max-input-len"), MaxSeqLen: setInt(c, "max-seq-len"),
		MaxBeamWidth: setInt(c, "max-beam-width"), MaxNumTokens: setInt(c, "max-num-tokens"), OptNumTokens: setInt(c, "opt-num-tokens"),
		MaxEncoderInputLen: setInt(c, "max-encoder-input-len"), MaxPromptEmbeddingTableSize: setInt(c, "max-prompt-embedding-table-size"),
		KVCacheType: c.String("kv-cache-type"), PagedKVCache: c.String("paged-kv-cache"), LogitsDtype: c.String("logits-dtype"),
		GatherContextLogits: c.Bool("gather-context-logits"), GatherGenerationLogits: c.Bool("gather-generation-logits"),
		GatherAllTokenLogits: c.Bool("gather-all-token-logits"),
		LoraDir:              listValues(c, "lora-dir"), LoraCkptSource: setString(c, "lora-ckpt-source"),
		LoraTargetModules: listValues(c, "lora-target-modules"), MaxLoraRank: setInt(c, "max-lora-rank"),
		SpeculativeDecodingMode: c.String("speculative-decoding-mode"), MaxDraftLen: setInt(c, "max-draft-len"),
		TokensPerBlock: setInt(c, "tokens-per-block"), ProfilingVerbosity: c.String("profiling-verbosity"),
		InputTimingCache: c.String("input-timing-cache"), OutputTimingCache: c.String("output-timing-cache"),
		StripPlan: c.Bool("strip-plan"), WeightSparsity: c.Bool("weight-sparsity"), WeightStreaming: c.Bool("weight-streaming"),
		FastBuild: c.Bool("fast-build"), EnableDebugOutput: c.Bool("enable-debug-output"), MonitorMemory: c.Bool("monitor-memory"),
		VisualizeNetwork: c.String("visualize-network"), HeadDtype: c.String("lm-head-dtype"), ComputeCapabilities: commaValues(c, "compute-capability"), TargetVersion: c.String("target-version"),
		DryRun: c.Bool("dry-run"), Workers: setInt(c, "workers"), Version: programVersion(), Plugins: map[string]string{},
	}
	for _, p := range build.PluginFlags() {
		if name := dashed(p.Flag); c.IsSet(name) {
			o.Plugins[p.Flag] = c.String(name)
		}
	}
	if o.Workers > 1 && o.Backend == build.BackendTensorRTLLM {
		program, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("--workers: %w", err)
		}
		o.WorkerCommand = []string{program, buildWorkerName}
	}
	return o, nil
}

// setInt and setString are 0 and "" for a flag that was left out, which is build's own default.
func setInt(c *cli.Context, name string) int {
	if !c.IsSet(name) {
		return 0
	}
	return c.Int(name)
}

func setString(c *cli.Context, name string) string {
	if !c.IsSet(name) {
		return ""
	}
	return c.String(name)
}

// buildWorkerName is the command that build starts for each rank; people do not.
const buildWorkerName = "build-worker"

func buildWorkerCommand() *cli.Command {
	return &cli.Command{
		Name: buildWorkerName, Usage: "build one rank for the build that started this", Hidden: true,
		Action: func(c *cli.Context) error {
			if err := ownStdout(c); err != nil {
				return err
			}
			return build.ServeWorker(c.Context, c.App.Reader, c.App.Writer)
		},
	}
}

func buildEngine(c *cli.Context, options build.Options, log *slog.Logger) error {
	if options.Backend != build.BackendCPU {
		if err := ownStdout(c); err != nil {
			return err
		}
	}
	start := time.Now()
	bar, phases := newProgress(c, "build", log), phases{c: c, log: log}
	options.Progress = func(done, total int64, _ string) { bar.set(done, total) }
	options.Phases = phases.show
	options.Messages = tensorrtLog(c, log)
	options.UpstreamOutput, options.LogLevel = c.App.ErrWriter, setString(c, "log-level")
	report, err := build.Build(c.Context, options)
	bar.end()
	phases.end()
	if err != nil {
		return notCheckpoint(c, err)
	}
	for _, note := range report.Notes {
		log.Warn(note)
	}
	if c.Bool("dry-run") {
		log.Info("dry run: the engine can be built; nothing was written")
	} else {
		log.Info(fmt.Sprintf("built %s engine, %s in %.1f s: %s", report.WeightDtype, humanBytes(report.Bytes),
			time.Since(start).Seconds(), options.OutputDir))
	}
	if c.Bool("json") {
		return printJSON(c, newJSONEngine(c, report))
	}
	return nil
}

// commaValues returns the values of a list flag, which may also stand in one with commas between.
func commaValues(c *cli.Context, name string) []string {
	var values []string
	for _, value := range listValues(c, name) {
		values = append(values, strings.Split(value, ",")...)
	}
	return values
}

// tensorrtLog logs what TensorRT says: what is no warning shows with --log-level verbose only, but for the
// memory that --monitor-memory asks about. An error ends the build and is told then, with its context.
func tensorrtLog(c *cli.Context, log *slog.Logger) func(build.Message) {
	return func(m build.Message) {
		text := fmt.Sprintf("TensorRT, rank %d: %s", m.Rank, m.Text)
		switch memory := strings.Contains(m.Text, "[MemUsage"); {
		case m.Severity == "warning":
			log.Warn(text)
		case memory && c.Bool("monitor-memory"):
			log.Info(text)
		default:
			log.Debug(text)
		}
	}
}

// jsonEngine is the line of build --json.
type jsonEngine struct {
	OutputDir    string             `json:"output_dir"`
	Backend      string             `json:"backend"`
	WeightDtype  string             `json:"weight_dtype"`
	WeightBytes  int64              `json:"weight_bytes,omitempty"` // of a cpu engine, or of a network that was not built
	Bytes        int64              `json:"engine_bytes,omitempty"` // of plans and of the weights beside them
	MaxBatchSize int                `json:"max_batch_size"`         // these four as obeyed
	MaxInputLen  int                `json:"max_input_len"`
	MaxSeqLen    int                `json:"max_seq_len"`
	MaxNumTokens int                `json:"max_num_tokens"`
	TensorRT     string             `json:"tensorrt,omitempty"`
	Capabilities []string           `json:"compute_capabilities,omitempty"`
	Ranks        []build.RankReport `json:"ranks,omitempty"`
	DryRun       bool               `json:"dry_run,omitempty"`      // nothing was built
	NetworkOnly  string             `json:"network_only,omitempty"` // the file that was written instead of an engine
	Notes        []string           `json:"notes,omitempty"`
}

func newJSONEngine(c *cli.Context, r *build.Report) jsonEngine {
	j := jsonEngine{
		OutputDir: c.String("output-dir"), Backend: r.Backend, WeightDtype: r.WeightDtype, MaxBatchSize: r.MaxBatchSize, MaxInputLen: r.MaxInputLen,
		MaxSeqLen: r.MaxSeqLen, MaxNumTokens: r.MaxNumTokens, TensorRT: r.TensorRT, Capabilities: r.ComputeCapabilities, Ranks: r.Ranks,
		DryRun: c.Bool("dry-run"), NetworkOnly: c.String("network-only"), Notes: r.Notes,
	}
	if built := len(r.Ranks) > 0 && r.Ranks[0].Engine > 0; !built {
		j.WeightBytes = r.Bytes
	} else {
		j.Bytes = r.Bytes
	}
	return j
}
