package build

import (
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// unverifiedRTX is said of every engine for TensorRT-RTX.
const unverifiedRTX = "engines for TensorRT-RTX have not yet been run on a GPU"

// rtxSlots is the default of max_batch_size: the runtime keeps a whole sequence's cache for each slot.
const rtxSlots = 8

// rtxRules refuses what an engine without plugins has not got, and returns the type of its cache.
func (s *settings) rtxRules(c *checkpoint.Config, plugins *engineconfig.Plugin) (cache string, err error) {
	if m := c.Mapping; m.WorldSize != 1 {
		return "", fmt.Errorf("%w by --backend %s: tp_size %d and pp_size %d; export the checkpoint with --tp_size 1 --pp_size 1", ErrUnsupported, s.Backend, m.TPSize, m.PPSize)
	}
	const inputs = "the weights are not in the plan but beside it"
	if err := s.refuse([]refusal{
		{"kv_cache_type paged", "TensorRT's own layers keep one row of cache for a sequence; use continuous", strings.EqualFold(s.KVCacheType, "paged") || s.PagedKVCache == "enable"},
		{"max_beam_width", "the cache cannot be shared between beams", s.MaxBeamWidth > 1},
		{"max_num_tokens", "a step is up to max_batch_size rows of up to max_input_len tokens", s.MaxNumTokens > 0},
		{"opt_num_tokens", "a step is up to max_batch_size rows of up to max_input_len tokens", s.OptNumTokens > 0},
		{"tokens_per_block", "the cache has no blocks", s.TokensPerBlock != defaultTokensPerBlock},
		{"strip_plan", inputs, s.StripPlan},
		{"weight_streaming", inputs, s.WeightStreaming},
		{"weight_sparsity", inputs, s.WeightSparsity},
		{"enable_debug_output", "the network has its outputs only; --network_only writes what is inside", s.EnableDebugOutput},
		{"input_timing_cache", "TensorRT-RTX chooses its kernels on the user's machine", s.InputTimingCache != ""},
		{"output_timing_cache", "TensorRT-RTX chooses its kernels on the user's machine", s.OutputTimingCache != defaultOutputCache},
		{"workers", "there is one engine", s.Workers > 1},
	}); err != nil {
		return "", err
	}
	for _, f := range pluginFlags {
		if value := s.Plugins[f.Flag]; value != "" && value != "disable" {
			return "", s.unsupported(f.Flag+" "+value, "TensorRT-RTX takes no plugins; leave the flag out")
		}
	}
	if s.ComputeCapabilities, err = rtxCapabilities(s.ComputeCapabilities, c); err != nil {
		return "", err
	}
	s.noteDeprecated()
	s.note("%s", unverifiedRTX)
	s.MaxNumTokens, s.OptNumTokens = min(s.MaxBatchSize*s.MaxInputLen, maxLimit), 0
	for _, f := range pluginFlags {
		if f.plugin != nil {
			*f.plugin(plugins) = nil
		} else {
			*f.toggle(plugins) = false
		}
	}
	plugins.PagedKVCache, plugins.ManageWeights = false, true
	return "CONTINUOUS", nil
}
