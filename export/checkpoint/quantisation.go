package checkpoint

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Quantisation algorithms of weights, as quant_algo spells them.
const (
	FP8        = "FP8"       // E4M3 weights and inputs, one scale each
	W8A16      = "W8A16"     // 8-bit weights, one scale for an output; quantised by the builder
	W4A16      = "W4A16"     // 4 bits, likewise
	W4A16AWQ   = "W4A16_AWQ" // 4 bits, a scale for a group of inputs, inputs multiplied beforehand
	KVCacheFP8 = "FP8"
)

// Suffixes of the tensors that belong to a quantised linear X and to attention. A
// scale is what a stored number is multiplied by to give the real one.
const (
	keyScale      = ".k_cache_scaling_factor" // newer releases take two for KVCacheScale
	valueScale    = ".v_cache_scaling_factor"
	WeightScale   = ".weights_scaling_factor"    // FP8: F32 [1]; AWQ: F32 [out, in/group]
	InputScale    = ".activation_scaling_factor" // FP8: F32 [1]
	InputFactor   = ".prequant_scaling_factor"   // AWQ: [in], what the input is multiplied by
	KVCacheScale  = ".kv_cache_scaling_factor"   // F32 [1]
	defaultGroups = 128
)

// defaultExcludes are upstream's where a config has no exclude_modules.
var defaultExcludes = []string{"*lm_head", "*router", "*vocab_embedding", "*position_embedding", "*block_embedding", "*shared_expert_gate"}

// Quantization is what is known of the weights' quantisation; the zero value
// means none.
type Quantization struct {
	QuantAlgo        string // "" for none
	KVCacheQuantAlgo string // "" for none
	GroupSize        int64  // inputs that share a scale; 0 when not given
	HasZeroPoint     bool
	PreQuantScale    bool // there is an [InputFactor]
	// ExcludeModules are patterns of modules that are not quantised, as Python's
	// fnmatch takes them; nil stands for upstream's, of which *lm_head matters here.
	ExcludeModules []string
	Extra          map[string]json.RawMessage
}

// MarshalJSON writes null for an algorithm that is not used, and what only some
// have where it is set.
func (q *Quantization) MarshalJSON() ([]byte, error) {
	w := &fieldWriter{}
	w.add("quant_algo", orNull(q.QuantAlgo))
	w.add("kv_cache_quant_algo", orNull(q.KVCacheQuantAlgo))
	if q.GroupSize != 0 {
		w.add("group_size", q.GroupSize)
	}
	if q.GroupSize != 0 || q.HasZeroPoint || q.PreQuantScale {
		w.add("has_zero_point", q.HasZeroPoint)
		w.add("pre_quant_scale", q.PreQuantScale)
	}
	if q.ExcludeModules != nil {
		w.add("exclude_modules", q.ExcludeModules)
	}
	return w.close(q.Extra)
}

func parseQuantization(o *object) Quantization {
	var q Quantization
	o.take("quant_algo", &q.QuantAlgo)
	o.take("kv_cache_quant_algo", &q.KVCacheQuantAlgo)
	o.take("group_size", &q.GroupSize)
	o.take("has_zero_point", &q.HasZeroPoint)
	o.take("pre_quant_scale", &q.PreQuantScale)
	o.take("exclude_modules", &q.ExcludeModules)
	q.Extra = o.rest()
	return q
}

// Group is the number of inputs that share a scale in a group-wise algorithm.
func (q *Quantization) Group() int64 {
	if q.GroupSize == 0 {
		return defaultGroups
	}
	return q.GroupSize
}

// LinearAlgo gives the algorithm of a linear by its name in a rank's file, without
// ".weight": quant_algo, or "" where it is excluded.
func (c *Config) LinearAlgo(module string) string {
	q := &c.Quantization
	patterns := q.ExcludeModules
	if patterns == nil {
		patterns = defaultExcludes
	}
	for _, pattern := range patterns {
		// validateQuantization saw that the pattern is well formed.
		if ok, _ := path.Match(goPattern(pattern), module); ok {
			return ""
		}
	}
	return q.QuantAlgo
}

// goPattern spells the negation of a class as package path does.
func goPattern(pattern string) string { return strings.ReplaceAll(pattern, "[!", "[^") }

// ExcludesLayers tells whether exclude_modules names linears of single layers.
// They count from 0 on every pipeline stage.
func (q *Quantization) ExcludesLayers() bool {
	return slices.ContainsFunc(q.ExcludeModules, func(p string) bool { return strings.ContainsAny(p, "0123456789") })
}

func (c *Config) validateQuantization() error {
	q := &c.Quantization
	switch q.QuantAlgo {
	case "", FP8, W8A16, W4A16:
	case W4A16AWQ:
		if err := c.validateGroups(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("quantisation %.100s is %w: FP8, W8A16, W4A16 and W4A16_AWQ are", q.QuantAlgo, ErrUnsupported)
	}
	switch q.KVCacheQuantAlgo {
	case "", KVCacheFP8, "INT8":
	default:
		return fmt.Errorf("a KV cache in %.100s is %w: FP8 and INT8 are", q.KVCacheQuantAlgo, ErrUnsupported)
	}
	for _, pattern := range q.ExcludeModules {
		if _, err := path.Match(goPattern(pattern), ""); err != nil {
			return fmt.Errorf("%w: config: quantization.exclude_modules has the pattern %.100q", ErrInvalid, pattern)
		}
	}
	if c.LinearAlgo("lm_head") != "" {
		return fmt.Errorf("config: a quantised lm_head is %w: add lm_head to quantization.exclude_modules", ErrUnsupported)
	}
	return nil
}

// validateGroups checks what 4 bits with a scale for each group of inputs need:
// pairs of rows, and whole groups on every rank.
func (c *Config) validateGroups() error {
	q, tp := &c.Quantization, int64(c.Mapping.TPSize)
	if q.HasZeroPoint {
		return fmt.Errorf("config: quantization.has_zero_point of %s is %w", q.QuantAlgo, ErrUnsupported)
	}
	g := q.Group()
	if g < 1 || g > maxWidth {
		return fmt.Errorf("%w: config: quantization.group_size is %d, not between 1 and %d", ErrInvalid, g, maxWidth)
	}
	if c.HiddenSize%g != 0 {
		return fmt.Errorf("%w: config: hidden_size %d is no multiple of quantization.group_size %d", ErrInvalid, c.HiddenSize, g)
	}
	for _, f := range []struct {
		name  string
		value int64
	}{{"intermediate_size", c.IntermediateSize}, {"num_attention_heads × head_size", c.NumAttentionHeads * c.HeadSize}} {
		if f.value%tp != 0 {
			continue // validateMapping says so
		}
		if f.value/tp%g != 0 {
			return fmt.Errorf("%w: %s %d on each of tp_size %d ranks is no multiple of quantization.group_size %d", ErrMapping, f.name, f.value/tp, tp, g)
		}
	}
	for _, f := range []struct {
		name  string
		value int64
	}{{"hidden_size", c.HiddenSize}, {"head_size", c.HeadSize}, {"intermediate_size of a rank", c.IntermediateSize / max(tp, 1)}} {
		if f.value%2 != 0 {
			return fmt.Errorf("%w: %s %d is odd, and %s stores rows in pairs", ErrMapping, f.name, f.value, q.QuantAlgo)
		}
	}
	return nil
}
