package build

import (
	"fmt"
	"slices"
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

// capability is a compute capability that TensorRT-RTX can build for.
type capability struct {
	name      string
	byDefault bool // it is of GeForce RTX cards with bfloat16
	bf16      bool // bfloat16, and weights of 8 and 4 bits
	fp8       bool
}

var capabilities = []capability{
	{name: "7.5"}, {name: "8.0", bf16: true}, {name: "8.6", byDefault: true, bf16: true}, {name: "8.9", byDefault: true, bf16: true, fp8: true},
	{name: "12.0", byDefault: true, bf16: true, fp8: true}, {name: "12.1", bf16: true, fp8: true},
}

// rtxCapabilities checks a list of compute capabilities, "8.6" or "86", against the
// checkpoint's types; without any it gives those of GeForce RTX cards from the 30 series on.
func rtxCapabilities(list []string, c *checkpoint.Config) ([]string, error) {
	why := func(k capability) string {
		q := c.Quantization.QuantAlgo
		switch {
		case q == checkpoint.FP8 && !k.fp8:
			return "the checkpoint's quant_algo FP8 needs 8.9 or later"
		case c.Dtype == checkpoint.BFloat16 && !k.bf16:
			return "the checkpoint's dtype bfloat16 needs 8.0 or later; export it with --dtype float16"
		case (q == checkpoint.W4A16 || q == checkpoint.W4A16AWQ) && !k.bf16:
			return "the checkpoint's quant_algo " + q + " needs 8.0 or later"
		}
		return ""
	}
	var names []string
	for _, k := range capabilities {
		if len(list) == 0 && k.byDefault && why(k) == "" {
			names = append(names, k.name)
		}
	}
	for _, value := range list {
		k, err := findCapability(value)
		if err != nil {
			return nil, err
		}
		if reason := why(k); reason != "" {
			return nil, fmt.Errorf("%w: --compute_capability %s: %s", ErrOption, k.name, reason)
		}
		if !slices.Contains(names, k.name) {
			names = append(names, k.name)
		}
	}
	return names, nil
}

func findCapability(value string) (capability, error) {
	var known []string
	for _, k := range capabilities {
		if value == k.name || value == strings.ReplaceAll(k.name, ".", "") {
			return k, nil
		}
		known = append(known, k.name)
	}
	return capability{}, fmt.Errorf("%w: --compute_capability %q is none that TensorRT-RTX builds for: %s", ErrOption, value, strings.Join(known, ", "))
}
