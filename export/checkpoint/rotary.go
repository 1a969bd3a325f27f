package checkpoint

import (
	"encoding/json"
	"fmt"
)

// Kinds of rotary scaling.
const (
	RotaryLinear = "linear"
	RotaryLlama3 = "llama3"
)

// RotaryScaling stretches the rotary embedding. Linear divides positions by
// Factor; llama3 divides the low frequencies, keeps the high ones and blends
// between (transformers, modeling_rope_utils.py, _compute_llama3_parameters).
// The three last numbers belong to llama3 only.
type RotaryScaling struct {
	Type                          string
	Factor                        float64
	LowFreqFactor, HighFreqFactor float64
	OriginalMaxPositionEmbeddings int64
	// Extra has every other key as it was read.
	Extra map[string]json.RawMessage
}

// parseRotaryScaling reads the object with either spelling of its type. The
// defaults of llama3 are those of tensorrt_llm (apply_llama3_scaling): Megatron
// exports give the type alone. It returns nil for type "default".
func parseRotaryScaling(o *object) *RotaryScaling {
	s := &RotaryScaling{}
	var other string
	o.take("type", &s.Type)
	o.take("rope_type", &other)
	if s.Type == "" {
		s.Type = other
	}
	if o.err == nil && other != "" && other != s.Type {
		o.err = fmt.Errorf("%stype %q and rope_type %q disagree", o.path, s.Type, other)
	}
	if s.Type == "default" {
		return nil
	}
	if s.Type == RotaryLlama3 {
		s.Factor, s.LowFreqFactor, s.HighFreqFactor, s.OriginalMaxPositionEmbeddings = 8, 1, 4, 8192
	}
	o.take("factor", &s.Factor)
	if s.Type == RotaryLlama3 {
		o.take("low_freq_factor", &s.LowFreqFactor)
		o.take("high_freq_factor", &s.HighFreqFactor)
		o.take("original_max_position_embeddings", &s.OriginalMaxPositionEmbeddings)
	}
	s.Extra = o.rest()
	return s
}

// MarshalJSON writes the type under both of its names: some releases read one,
// some the other.
func (s *RotaryScaling) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("null"), nil
	}
	w := &fieldWriter{}
	w.add("type", s.Type)
	w.add("rope_type", s.Type)
	w.add("factor", float(s.Factor))
	if s.Type == RotaryLlama3 {
		w.add("low_freq_factor", float(s.LowFreqFactor))
		w.add("high_freq_factor", float(s.HighFreqFactor))
		w.add("original_max_position_embeddings", s.OriginalMaxPositionEmbeddings)
	}
	return w.close(s.Extra)
}

// Validate checks kind and numbers.
func (s *RotaryScaling) Validate() error {
	if s == nil {
		return nil
	}
	switch s.Type {
	case RotaryLinear:
	case RotaryLlama3:
		if !(s.LowFreqFactor > 0) || !(s.HighFreqFactor > s.LowFreqFactor) || s.OriginalMaxPositionEmbeddings <= 0 {
			return fmt.Errorf("%w: rotary_scaling llama3: 0 < low_freq_factor (%g) < high_freq_factor (%g) and 0 < original_max_position_embeddings (%d) must hold",
				ErrInvalid, s.LowFreqFactor, s.HighFreqFactor, s.OriginalMaxPositionEmbeddings)
		}
	default:
		return fmt.Errorf("rotary_scaling of type %q is %w: default, linear and llama3 are", s.Type, ErrUnsupported)
	}
	if !(s.Factor >= 1) || s.Factor > 1e6 {
		return fmt.Errorf("%w: rotary_scaling factor %g is not between 1 and 1e6", ErrInvalid, s.Factor)
	}
	return nil
}
