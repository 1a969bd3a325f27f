package build

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/outputdir"
)

var (
	// ErrOption is wrapped by errors about an option whose value is illegal, or
	// that contradicts another option or the model.
	ErrOption = errors.New("illegal option")
	// ErrUnsupported is wrapped by errors about an option that asks for what the
	// CPU backend does not have.
	ErrUnsupported = errors.New("not supported by the CPU backend")
	// ErrExists is wrapped when the output directory holds something that is not
	// an engine of this project, or cannot be replaced itself.
	ErrExists = outputdir.ErrRefused
)

// Options are trtllm-build's flags by the same names. Zero values are upstream's
// defaults, which are given where they are not zero.
type Options struct {
	CheckpointDir string
	OutputDir     string // required unless DryRun
	Backend       string // "cpu", the default

	MaxBatchSize int // 2048
	MaxInputLen  int // 1024; cut to max_seq_len
	MaxSeqLen    int // from the model: max_position_embeddings, times the factor of linear rope scaling
	MaxBeamWidth int // 1
	MaxNumTokens int // 8192; cut to MaxSeqLen·MaxBatchSize
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

	// These are TensorRT's: legal values are checked and recorded.
	ProfilingVerbosity                                    string // layer_names_only, detailed or none
	InputTimingCache, OutputTimingCache                   string
	StripPlan, WeightSparsity, WeightStreaming, FastBuild bool
	EnableDebugOutput, MonitorMemory                      bool
	VisualizeNetwork                                      string // refused: there is no TensorRT network to draw

	DryRun  bool   // check everything, write nothing
	Workers int    // goroutines that read and pack weights; GOMAXPROCS
	Version string // of the program, recorded as producer; "devel"

	// Progress, when not nil, hears of every block of weights that was written:
	// bytes done and in all, and the name of the section. One goroutine calls it.
	Progress func(done, total int64, section string)
}

// withDefaults fills in upstream's defaults that do not depend on the model.
func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value *int
		is    int
	}{
		{&o.MaxBatchSize, 2048}, {&o.MaxInputLen, defaultMaxInputLen}, {&o.MaxBeamWidth, 1}, {&o.MaxNumTokens, 8192},
		{&o.MaxEncoderInputLen, 1024}, {&o.MaxLoraRank, 64}, {&o.TokensPerBlock, 32},
	} {
		if *d.value == 0 {
			*d.value = d.is
		}
	}
	for _, d := range []struct {
		value *string
		is    string
	}{
		{&o.Backend, "cpu"}, {&o.LoraCkptSource, "hf"}, {&o.ProfilingVerbosity, "layer_names_only"},
		{&o.OutputTimingCache, "model.cache"}, {&o.Version, "devel"},
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

const defaultMaxInputLen = 1024

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
	if err := oneOf("backend", o.Backend, "cpu"); err != nil {
		return err
	}
	for _, f := range []struct {
		flag       string
		value, min int
	}{
		{"max_batch_size", o.MaxBatchSize, 1}, {"max_input_len", o.MaxInputLen, 1}, {"max_seq_len", o.MaxSeqLen, 0}, {"max_beam_width", o.MaxBeamWidth, 1},
		{"max_num_tokens", o.MaxNumTokens, 1}, {"opt_num_tokens", o.OptNumTokens, 0}, {"max_encoder_input_len", o.MaxEncoderInputLen, 0},
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

// checkUnsupported refuses what the engine would have to do without.
func (o *Options) checkUnsupported() error {
	if err := oneOf("speculative_decoding_mode", o.SpeculativeDecodingMode, "", "draft_tokens_external", "lookahead_decoding", "medusa", "explicit_draft_tokens", "eagle"); err != nil {
		return err
	}
	if o.MaxDraftLen > 0 && o.GatherContextLogits {
		return fmt.Errorf("%w: --gather_context_logits needs --max_draft_len 0, it is %d", ErrOption, o.MaxDraftLen)
	}
	for _, f := range []struct {
		flag, why string
		set       bool
	}{
		{"lora_dir", "LoRA adapters cannot be run yet; merge the adapter into the model before export", len(o.LoraDir) > 0},
		{"lora_target_modules", "LoRA adapters cannot be run yet; merge the adapter into the model before export", len(o.LoraTargetModules) > 0},
		{"speculative_decoding_mode", "there is no speculative decoding", o.SpeculativeDecodingMode != ""},
		{"max_draft_len", "there is no speculative decoding", o.MaxDraftLen > 0},
		{"max_prompt_embedding_table_size", "there is no prompt tuning", o.MaxPromptEmbeddingTableSize > 0},
		{"visualize_network", "there is no TensorRT network to draw; --explain prints the engine", o.VisualizeNetwork != ""},
	} {
		if f.set {
			return fmt.Errorf("--%s is %w: %s", f.flag, ErrUnsupported, f.why)
		}
	}
	return nil
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
		return "", fmt.Errorf("--kv_cache_type disabled is %w: generation needs the cache", ErrUnsupported)
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
