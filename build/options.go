package build

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/outputdir"
)

var (
	// ErrOption is wrapped by errors about an option whose value is illegal, or
	// that contradicts another option or the model.
	ErrOption = errors.New("illegal option")
	// ErrUnsupported is wrapped by errors about an option that asks for what the
	// backend does not have.
	ErrUnsupported = errors.New("not supported")
	// ErrExists is wrapped when the output directory holds something that is not
	// an engine of this project, or cannot be replaced itself.
	ErrExists = outputdir.ErrRefused
)

// Options are trtllm-build's flags by the same names. Zero values are upstream's
// defaults, which are given where they are not zero.
type Options struct {
	CheckpointDir string
	OutputDir     string // required unless DryRun
	Backend       string // "cpu", the default, "tensorrt-llm" or "tensorrt-rtx"
	// Builder is "trtgo", the default, or "trtllm-build": upstream's program, found on
	// PATH, builds the engine for tensorrt-llm from the checkpoint. Its own rules hold then.
	Builder string

	// TargetVersion is the release of TensorRT-LLM that an engine for tensorrt-llm is for: 1.2, the default, or 1.1.
	TargetVersion string

	MaxBatchSize int // 2048; 8 for tensorrt-rtx, which keeps a row of cache for each
	MaxInputLen  int // 1024; cut to max_seq_len
	MaxSeqLen    int // from the model: max_position_embeddings, times the factor of linear rope scaling
	MaxBeamWidth int // 1
	MaxNumTokens int // 8192; cut to MaxSeqLen·MaxBatchSize; not for tensorrt-rtx
	OptNumTokens int // MaxBatchSize·MaxBeamWidth, cut to MaxNumTokens

	MaxEncoderInputLen          int    // 1024, recorded
	MaxPromptEmbeddingTableSize int    // only 0
	KVCacheType                 string // paged; continuous is recorded, disabled refused; any case
	PagedKVCache                string // "", enable or disable; must agree with KVCacheType
	LogitsDtype                 string // float32 or float16; from the checkpoint
	GatherContextLogits         bool
	GatherGenerationLogits      bool
	GatherAllTokenLogits        bool // both of the above

	LoraDir                 []string // refused
	LoraCkptSource          string   // hf or nemo; hf
	LoraTargetModules       []string // refused
	MaxLoraRank             int      // 64, recorded
	SpeculativeDecodingMode string   // refused
	MaxDraftLen             int      // only 0

	TokensPerBlock int // 32; a power of two
	// Plugins are the plugin flags by name, e.g. "gemm_plugin": see [PluginFlags].
	Plugins map[string]string

	// HeadDtype is what the CPU backend makes of lm_head's weights: "int8", or "" for what the
	// checkpoint has. With a large vocabulary the head is much of what a step reads.
	HeadDtype string

	// These are TensorRT's: the CPU backend checks legal values and records them.
	ProfilingVerbosity string // layer_names_only, detailed or none
	// InputTimingCache is read where it exists. OutputTimingCache, model.cache in the
	// working directory by default, is written when the engine is there.
	InputTimingCache, OutputTimingCache        string
	StripPlan, WeightSparsity, WeightStreaming bool
	FastBuild                                  bool // weights are inputs of the engine and stand in a file beside it
	EnableDebugOutput, MonitorMemory           bool
	VisualizeNetwork                           string // a directory for a drawing of each rank's network, rank0.dot …
	// ComputeCapabilities are the GPUs that an engine for tensorrt-rtx is for, e.g. "8.6"
	// or "86"; by default the GeForce RTX cards that have the checkpoint's types. For tensorrt-llm
	// it is at most one, that of the GPU of the machine, which is also the default when an engine is
	// built: weights of 8 and 4 bits are ordered for it, and trtllm.Open compares it.
	ComputeCapabilities []string

	DryRun bool // check everything, write nothing
	// Workers are goroutines that read and pack weights for the CPU, GOMAXPROCS by
	// default. For tensorrt-llm they are processes that build a rank each: with 0 or 1, ranks are
	// built one after another in this process. More need WorkerCommand; where there are GPUs, each has one.
	Workers int
	// WorkerCommand starts a worker: a program with arguments that calls [ServeWorker]
	// on its standard input and output, and nothing else. The plugins of TensorRT-LLM print to
	// file descriptor 1: the program makes that its standard error before, and answers on a copy.
	WorkerCommand []string
	Version       string // of the program, recorded as producer; "devel"

	// Progress, when not nil, hears of every block of weights that was written for the CPU:
	// bytes done and in all, and the name of the section. One goroutine calls it.
	Progress func(done, total int64, section string) `json:"-"`
	// Phases, when not nil, hears how far the engines for TensorRT are. It is called by one goroutine at a time.
	Phases func(Phase) `json:"-"`
	// Messages, when not nil, gets what TensorRT says while it builds, of all but the severity
	// verbose. It is called by one goroutine at a time, the one of Phases.
	Messages func(Message) `json:"-"`
	LogLevel string        // of trtllm-build, e.g. verbose; only with Builder "trtllm-build"
	// UpstreamOutput gets what trtllm-build prints; nil drops it. Only with Builder "trtllm-build".
	UpstreamOutput io.Writer `json:"-"`
}

// Phase is how far the engine of a rank is.
type Phase struct {
	Rank  int    `json:"rank"`
	Name  string `json:"name"`  // TensorRT's, or "adding layers", "writing the plan", "writing weights"
	Done  int64  `json:"done"`  // steps, or bytes
	Total int64  `json:"total"` // -1 when it is not known
	Bytes bool   `json:"bytes,omitempty"`
}

// Message is what TensorRT says about the engine of a rank.
type Message struct {
	Rank     int    `json:"rank"`
	Severity string `json:"severity"` // "error", "warning" or "info"
	Text     string `json:"text"`
}

// withDefaults fills in upstream's defaults that do not depend on the model.
func (o Options) withDefaults() Options {
	batch, tokens := 2048, 8192
	if o.Backend == BackendTensorRTRTX {
		batch, tokens = rtxSlots, 0
	}
	for _, d := range []struct {
		value *int
		is    int
	}{
		{&o.MaxBatchSize, batch}, {&o.MaxInputLen, defaultMaxInputLen}, {&o.MaxBeamWidth, 1}, {&o.MaxNumTokens, tokens},
		{&o.MaxEncoderInputLen, defaultMaxEncoderInputLen}, {&o.MaxLoraRank, 64}, {&o.TokensPerBlock, defaultTokensPerBlock},
	} {
		if *d.value == 0 {
			*d.value = d.is
		}
	}
	for _, d := range []struct {
		value *string
		is    string
	}{
		{&o.Backend, BackendCPU}, {&o.Builder, BuilderTrtgo}, {&o.LoraCkptSource, "hf"}, {&o.ProfilingVerbosity, "layer_names_only"},
		{&o.OutputTimingCache, defaultOutputCache}, {&o.Version, "devel"},
	} {
		if *d.value == "" {
			*d.value = d.is
		}
	}
	if o.GatherAllTokenLogits {
		o.GatherContextLogits, o.GatherGenerationLogits = true, true
	}
	return o
}

// Values of [Options.Backend] and [Options.Builder].
const (
	BackendCPU                = engineconfig.BackendCPU
	BackendTensorRTLLM        = engineconfig.BackendTensorRTLLM
	BackendTensorRTRTX        = engineconfig.BackendTensorRTRTX
	BuilderTrtgo              = "trtgo"
	BuilderTRTLLMBuild        = "trtllm-build"
	defaultOutputCache        = "model.cache"
	defaultMaxInputLen        = 1024
	defaultMaxEncoderInputLen = 1024
	defaultTokensPerBlock     = 32
)

// maxLimit keeps products of limits inside 64 bits.
const maxLimit = 1 << 30

// check refuses values that are illegal whatever the model is. o has its defaults.
func (o *Options) check() error {
	if o.CheckpointDir == "" {
		return fmt.Errorf("%w: --checkpoint_dir is required", ErrOption)
	}
	if o.OutputDir == "" && !o.DryRun {
		return fmt.Errorf("%w: --output_dir is required", ErrOption)
	}
	if err := oneOf("backend", o.Backend, BackendCPU, BackendTensorRTLLM, BackendTensorRTRTX); err != nil {
		return err
	}
	if err := oneOf("builder", o.Builder, BuilderTrtgo, BuilderTRTLLMBuild); err != nil {
		return err
	}
	if _, err := o.release(); err != nil {
		return err
	}
	if o.Builder == BuilderTRTLLMBuild && o.Backend != BackendTensorRTLLM {
		return fmt.Errorf("%w: --builder %s builds for --backend %s, not %s", ErrOption, o.Builder, BackendTensorRTLLM, o.Backend)
	}
	for _, f := range []struct {
		flag       string
		value, min int
	}{
		{"max_batch_size", o.MaxBatchSize, 1}, {"max_input_len", o.MaxInputLen, 1}, {"max_seq_len", o.MaxSeqLen, 0}, {"max_beam_width", o.MaxBeamWidth, 1},
		{"max_num_tokens", o.MaxNumTokens, 0}, {"opt_num_tokens", o.OptNumTokens, 0}, {"max_encoder_input_len", o.MaxEncoderInputLen, 0},
		{"max_prompt_embedding_table_size", o.MaxPromptEmbeddingTableSize, 0}, {"max_lora_rank", o.MaxLoraRank, 1}, {"max_draft_len", o.MaxDraftLen, 0},
		{"tokens_per_block", o.TokensPerBlock, 1}, {"workers", o.Workers, 0},
	} {
		if f.value < f.min || f.value > maxLimit {
			return fmt.Errorf("%w: --%s is %d, want %d … %d", ErrOption, f.flag, f.value, f.min, maxLimit)
		}
	}
	if n := o.TokensPerBlock; n&(n-1) != 0 {
		return fmt.Errorf("%w: --tokens_per_block is %d, want a power of two", ErrOption, n)
	}
	if err := oneOf("logits_dtype", o.LogitsDtype, "", "float16", "float32"); err != nil {
		return err
	}
	if err := oneOf("lora_ckpt_source", o.LoraCkptSource, "hf", "nemo"); err != nil {
		return err
	}
	if err := oneOf("profiling_verbosity", o.ProfilingVerbosity, "layer_names_only", "detailed", "none"); err != nil {
		return err
	}
	return o.checkUnsupported()
}

// release is that of TensorRT-LLM which the engine is for.
func (o *Options) release() (*tensorrt.Release, error) {
	var versions []string
	for _, r := range tensorrt.Releases {
		version := r.Version[:strings.LastIndexByte(r.Version, '.')]
		if o.TargetVersion == "" || o.TargetVersion == version {
			return r, nil
		}
		versions = append(versions, version)
	}
	return nil, fmt.Errorf("%w: --target_version is %q, want %s", ErrOption, o.TargetVersion, strings.Join(versions, ", "))
}

// unsupported is the error about a flag that the backend has not got.
func (o *Options) unsupported(flag, why string) error {
	name := "--backend " + o.Backend
	if o.Backend == BackendCPU {
		name = "the CPU backend"
	}
	return fmt.Errorf("--%s is %w by %s: %s", flag, ErrUnsupported, name, why)
}

// refusal is a flag that is refused when it is set.
type refusal struct {
	flag, why string
	set       bool
}

func (o *Options) refuse(list []refusal) error {
	for _, f := range list {
		if f.set {
			return o.unsupported(f.flag, f.why)
		}
	}
	return nil
}

// checkUnsupported refuses what the engine would have to do without, on every backend.
func (o *Options) checkUnsupported() error {
	if err := oneOf("speculative_decoding_mode", o.SpeculativeDecodingMode, "", "draft_tokens_external", "lookahead_decoding", "medusa", "explicit_draft_tokens", "eagle"); err != nil {
		return err
	}
	if err := oneOf("lm_head_dtype", o.HeadDtype, "", cpuengine.DtypeInt8); err != nil {
		return err
	}
	if o.MaxDraftLen > 0 && o.GatherContextLogits {
		return fmt.Errorf("%w: --gather_context_logits needs --max_draft_len 0, it is %d", ErrOption, o.MaxDraftLen)
	}
	const lora = "LoRA adapters cannot be run yet; merge the adapter into the model before export"
	return o.refuse([]refusal{
		{"lora_dir", lora, len(o.LoraDir) > 0},
		{"lora_target_modules", lora, len(o.LoraTargetModules) > 0},
		{"speculative_decoding_mode", "there is no speculative decoding", o.SpeculativeDecodingMode != ""},
		{"max_draft_len", "there is no speculative decoding", o.MaxDraftLen > 0},
		{"max_prompt_embedding_table_size", "there is no prompt tuning", o.MaxPromptEmbeddingTableSize > 0},
		{"visualize_network", "there is no TensorRT network to draw; --explain prints the engine", o.VisualizeNetwork != "" && o.Backend == BackendCPU},
		{"target_version", "its engines are not TensorRT-LLM's", o.TargetVersion != "" && o.Backend != BackendTensorRTLLM},
		{"lm_head_dtype", "TensorRT-LLM's head is the checkpoint's", o.HeadDtype != "" && o.Backend != BackendCPU},
		{"compute_capability", "its engines run on every x86-64 and AArch64 processor", len(o.ComputeCapabilities) > 0 && o.Backend == BackendCPU},
	})
}

// kvCacheType returns PAGED or CONTINUOUS, as build_config has it.
func (o *Options) kvCacheType() (string, error) {
	kind := strings.ToLower(o.KVCacheType)
	if err := oneOf("kv_cache_type", kind, "", "continuous", "paged", "disabled"); err != nil {
		return "", err
	}
	if err := oneOf("paged_kv_cache", o.PagedKVCache, "", "enable", "disable"); err != nil {
		return "", err
	}
	if o.PagedKVCache != "" {
		paged := o.PagedKVCache == "enable"
		if kind == "" {
			kind = map[bool]string{true: "paged", false: "continuous"}[paged]
		}
		if paged != (kind == "paged") {
			return "", fmt.Errorf("%w: --paged_kv_cache %s contradicts --kv_cache_type %s", ErrOption, o.PagedKVCache, kind)
		}
	}
	switch kind {
	case "disabled":
		return "", o.unsupported("kv_cache_type disabled", "generation needs the cache")
	case "continuous":
		return "CONTINUOUS", nil
	}
	return "PAGED", nil
}

// oneOf checks a flag with a list of legal values; "" among them is the default.
func oneOf(flag, value string, legal ...string) error {
	if slices.Contains(legal, value) {
		return nil
	}
	legal = slices.DeleteFunc(slices.Clone(legal), func(s string) bool { return s == "" })
	return fmt.Errorf("%w: --%s is %q, want %s", ErrOption, flag, value, strings.Join(legal, ", "))
}
