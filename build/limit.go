package build

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// settings are options with all that follows from the model.
type settings struct {
	Options
	given   Options // before defaults
	build   engineconfig.Build
	release *tensorrt.Release // of TensorRT-LLM
	gpu     int               // compute capability times ten of tensorrt-llm's GPU, 0 when it is not known
	notes   []string
}

func (s *settings) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// resolve applies upstream's rules for limits (builder.py, _init_max_seq_len and
// check_max_num_tokens in TensorRT-LLM 1.2) and makes build_config.
func resolve(o Options, c *checkpoint.Config) (*settings, error) {
	s := &settings{Options: o}
	var err error
	if s.release, err = s.Options.release(); err != nil {
		return nil, err
	}
	cache, err := s.kvCacheType()
	if err != nil {
		return nil, err
	}
	plugins, err := s.plugins(c.Dtype)
	if err != nil {
		return nil, err
	}
	plugins.PagedKVCache = cache == "PAGED"
	if err := s.sequenceLength(c); err != nil {
		return nil, err
	}
	if s.Backend != BackendTensorRTRTX {
		s.numTokens(plugins)
	}
	switch s.Backend {
	case BackendCPU:
		s.cpuNotes(c, plugins, cache)
	case BackendTensorRTLLM:
		err = s.trtllmRules(c, plugins, cache)
	case BackendTensorRTRTX:
		cache, err = s.rtxRules(c, plugins)
	}
	if err != nil {
		return nil, err
	}
	s.buildConfig(plugins, cache)
	return s, nil
}

// buildConfig makes build_config of what was resolved.
func (s *settings) buildConfig(plugins *engineconfig.Plugin, cache string) {
	s.build = engineconfig.Build{
		MaxInputLen: s.MaxInputLen, MaxSeqLen: s.MaxSeqLen, OptBatchSize: 8, MaxBatchSize: s.MaxBatchSize, MaxBeamWidth: s.MaxBeamWidth,
		MaxNumTokens: s.MaxNumTokens, KVCacheType: cache, GatherContextLogits: s.GatherContextLogits, GatherGenerationLogits: s.GatherGenerationLogits,
		StronglyTyped: true, ProfilingVerbosity: s.ProfilingVerbosity, EnableDebugOutput: s.EnableDebugOutput, SpeculativeDecodingMode: 1,
		OutputTimingCache: s.OutputTimingCache, WeightSparsity: s.WeightSparsity, WeightStreaming: s.WeightStreaming,
		Lora: engineconfig.Lora{LoraDir: []string{}, LoraCkptSource: s.LoraCkptSource, MaxLoraRank: s.MaxLoraRank, LoraTargetModules: []string{},
			TRTLLMModulesToHFModules: map[string]string{}, SwapGateUpProjLoraBWeight: true},
		Plugins: *plugins, UseStripPlan: s.StripPlan, MaxEncoderInputLen: s.MaxEncoderInputLen, MonitorMemory: s.MonitorMemory,
	}
	if s.OptNumTokens > 0 {
		s.build.OptNumTokens = &s.OptNumTokens
	}
	if s.InputTimingCache != "" {
		s.build.InputTimingCache = &s.InputTimingCache
	}
}

// modelLen is how many positions the model was made for. Upstream multiplies by the factor of every scaling but
// llama3's; where a config gives the positions that yarn began with, they are what yarn stretches.
func modelLen(c *checkpoint.Config) int {
	positions := float64(c.MaxPositionEmbeddings)
	switch r := c.RotaryScaling; {
	case r == nil || r.Type == checkpoint.RotaryLlama3:
	case r.Type == checkpoint.RotaryYarn && r.OriginalMaxPositionEmbeddings > 0:
		positions = max(positions, float64(r.OriginalMaxPositionEmbeddings)*r.Factor)
	default:
		positions *= r.Factor
	}
	return int(min(math.Ceil(positions), maxLimit))
}

// sequenceLength sets MaxSeqLen and fits MaxInputLen to it.
func (s *settings) sequenceLength(c *checkpoint.Config) error {
	model := modelLen(c)
	given := s.MaxSeqLen > 0
	if !given {
		s.MaxSeqLen = model
	}
	if s.MaxSeqLen > model {
		s.note("max_seq_len %d is more than the %d positions that the model was made for; its output may be poor beyond", s.MaxSeqLen, model)
	}
	if s.MaxInputLen <= s.MaxSeqLen {
		return nil
	}
	if given && s.MaxInputLen != defaultMaxInputLen {
		return fmt.Errorf("%w: --max_input_len %d is more than --max_seq_len %d, which holds prompt and output", ErrOption, s.MaxInputLen, s.MaxSeqLen)
	}
	if s.MaxInputLen != defaultMaxInputLen {
		s.note("max_input_len %d is cut to max_seq_len %d", s.MaxInputLen, s.MaxSeqLen)
	}
	s.MaxInputLen = s.MaxSeqLen
	return nil
}

// numTokens fits MaxNumTokens and OptNumTokens to the other limits.
func (s *settings) numTokens(plugins *engineconfig.Plugin) {
	all := s.MaxSeqLen * s.MaxBatchSize
	if !plugins.RemoveInputPadding {
		s.note("remove_input_padding is disabled: max_num_tokens is max_batch_size·max_seq_len")
		s.MaxNumTokens, s.OptNumTokens = min(all, maxLimit), 0
		return
	}
	if s.MaxNumTokens > 16384 {
		s.note("max_num_tokens %d is more than 16384, which seldom makes anything faster and costs memory", s.MaxNumTokens)
	}
	s.MaxNumTokens = min(s.MaxNumTokens, all) // the default of 8192 is no wish: no note
	least := plugins.TokensPerBlock
	if !plugins.ContextFMHA {
		least = s.MaxInputLen
	}
	if s.MaxNumTokens < least {
		s.note("max_num_tokens %d is raised to %d", s.MaxNumTokens, least)
		s.MaxNumTokens = least
	}
	if s.OptNumTokens > s.MaxNumTokens {
		s.note("opt_num_tokens %d is cut to max_num_tokens %d", s.OptNumTokens, s.MaxNumTokens)
		s.OptNumTokens = s.MaxNumTokens
	}
	if s.OptNumTokens == 0 && !plugins.MultipleProfiles {
		s.OptNumTokens = int(min(int64(s.MaxBatchSize)*int64(s.MaxBeamWidth), int64(s.MaxNumTokens)))
	}
}

func (s *settings) noteDeprecated() {
	if s.GatherGenerationLogits && !s.GatherAllTokenLogits {
		s.note("gather_generation_logits is deprecated: it is a choice at run time")
	}
}

// cpuNotes tells where the CPU does a thing in another way than was asked.
func (s *settings) cpuNotes(c *checkpoint.Config, plugins *engineconfig.Plugin, cache string) {
	for _, f := range []struct {
		flag       string
		value, top int
	}{
		{"max_batch_size", s.MaxBatchSize, cpuengine.MaxStepSize}, {"max_num_tokens", s.MaxNumTokens, cpuengine.MaxStepSize}, {"max_seq_len", s.MaxSeqLen, cpuengine.MaxPositions},
	} {
		if f.value > f.top {
			s.note("%s %d is recorded; the CPU backend goes up to %d", f.flag, f.value, f.top)
		}
	}
	if s.MaxBeamWidth > s.MaxBatchSize {
		s.note("max_beam_width %d is recorded; on the CPU backend each beam is a sequence of a step, of which max_batch_size %d are allowed", s.MaxBeamWidth, s.MaxBatchSize)
	}
	if cache == "CONTINUOUS" {
		s.note("kv_cache_type continuous is recorded; the CPU's cache is always paged")
	}
	if s.LogitsDtype == "float16" {
		s.note("logits_dtype float16 is recorded; the CPU computes logits in float32")
	}
	s.noteDeprecated()
	if p := plugins.GPTAttentionPlugin; p != nil && *p != "auto" && *p != c.Dtype {
		s.note("gpt_attention_plugin %s differs from the checkpoint's dtype %s, which TensorRT-LLM would refuse; the CPU has no plugins", *p, c.Dtype)
	}
	if plugins.LoraPlugin != nil || plugins.DoraPlugin {
		s.note("lora_plugin is recorded; the CPU backend cannot run LoRA adapters yet")
	}
	for _, f := range []struct {
		flag string
		set  bool
	}{
		{"strip_plan", s.StripPlan}, {"weight_sparsity", s.WeightSparsity}, {"weight_streaming", s.WeightStreaming}, {"fast_build", s.FastBuild},
		{"enable_debug_output", s.EnableDebugOutput}, {"monitor_memory", s.MonitorMemory}, {"input_timing_cache", s.InputTimingCache != ""},
	} {
		if f.set {
			s.note("%s is recorded; it concerns TensorRT only", f.flag)
		}
	}
}
