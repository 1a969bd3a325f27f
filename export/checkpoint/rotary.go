package checkpoint

import (
	"encoding/json"
	"fmt"
	"math"
)

// Kinds of rotary scaling.
const (
	RotaryLinear = "linear"
	RotaryLlama3 = "llama3"
	RotaryYarn   = "yarn"
)

// RotaryScaling stretches the rotary embedding. Linear divides positions by
// Factor; llama3 and yarn divide the low frequencies, keep the high ones and blend
// between, and yarn multiplies cosines and sines as well (transformers,
// modeling_rope_utils.py, _compute_llama3_parameters and _compute_yarn_parameters).
type RotaryScaling struct {
	Type   string
	Factor float64
	// OriginalMaxPositionEmbeddings belongs to llama3 and yarn: the positions that
	// the model was first trained with.
	OriginalMaxPositionEmbeddings int64

	LowFreqFactor, HighFreqFactor float64 // of llama3

	// The rest belongs to yarn. BetaFast and BetaSlow bound the frequencies that are
	// blended, in turns over the original positions; Truncate widens the bounds to
	// whole pairs of a head.
	BetaFast, BetaSlow float64
	Truncate           bool
	// AttentionFactor is the number that cosines and sines are multiplied by; 0 where
	// it follows from the others. See [RotaryScaling.Magnitude].
	AttentionFactor      float64
	MScale, MScaleAllDim float64 // 0 where they are not given

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
	switch s.Type {
	case RotaryLlama3:
		o.take("low_freq_factor", &s.LowFreqFactor)
		o.take("high_freq_factor", &s.HighFreqFactor)
		o.take("original_max_position_embeddings", &s.OriginalMaxPositionEmbeddings)
	case RotaryYarn:
		parseYarn(o, s)
	}
	s.Extra = o.rest()
	return s
}

// parseYarn reads what belongs to yarn; the defaults are transformers'.
func parseYarn(o *object, s *RotaryScaling) {
	s.BetaFast, s.BetaSlow, s.Truncate = DefaultBetaFast, DefaultBetaSlow, true
	o.take("original_max_position_embeddings", &s.OriginalMaxPositionEmbeddings)
	o.take("beta_fast", &s.BetaFast)
	o.take("beta_slow", &s.BetaSlow)
	o.take("truncate", &s.Truncate)
	o.take("mscale", &s.MScale)
	o.take("mscale_all_dim", &s.MScaleAllDim)
	var given *float64
	o.take("attention_factor", &given)
	if given == nil {
		return
	}
	s.AttentionFactor = *given
	if o.err == nil && !(*given > 0) {
		o.err = fmt.Errorf("%sattention_factor %g is not above 0", o.path, *given)
	}
}

// Where yarn's blend lies when a config does not say it.
const (
	DefaultBetaFast = 32
	DefaultBetaSlow = 1
)

// Magnitude is what cosines and sines are multiplied by: 1 but for yarn, where it is
// AttentionFactor or follows from Factor and the two mscales.
func (s *RotaryScaling) Magnitude() float64 {
	if s == nil || s.Type != RotaryYarn {
		return 1
	}
	if s.AttentionFactor != 0 {
		return s.AttentionFactor
	}
	scale := func(m float64) float64 {
		if s.Factor <= 1 {
			return 1
		}
		return 0.1*m*math.Log(s.Factor) + 1
	}
	if s.MScale != 0 && s.MScaleAllDim != 0 {
		return scale(s.MScale) / scale(s.MScaleAllDim)
	}
	return scale(1)
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
	switch s.Type {
	case RotaryLlama3:
		w.add("low_freq_factor", float(s.LowFreqFactor))
		w.add("high_freq_factor", float(s.HighFreqFactor))
		w.add("original_max_position_embeddings", s.OriginalMaxPositionEmbeddings)
	case RotaryYarn:
		w.add("original_max_position_embeddings", s.OriginalMaxPositionEmbeddings)
		w.add("beta_fast", float(s.BetaFast))
		w.add("beta_slow", float(s.BetaSlow))
		w.add("truncate", s.Truncate)
		for _, f := range []struct {
			key   string
			value float64
		}{{"mscale", s.MScale}, {"mscale_all_dim", s.MScaleAllDim}, {"attention_factor", s.AttentionFactor}} {
			if f.value != 0 {
				w.add(f.key, float(f.value))
			}
		}
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
	case RotaryYarn:
		if err := s.validateYarn(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("rotary_scaling of type %q is %w: default, linear, llama3 and yarn are", s.Type, ErrUnsupported)
	}
	if !(s.Factor >= 1) || s.Factor > 1e6 {
		return fmt.Errorf("%w: rotary_scaling factor %g is not between 1 and 1e6", ErrInvalid, s.Factor)
	}
	return nil
}

func (s *RotaryScaling) validateYarn() error {
	if !(s.BetaSlow > 0) || !(s.BetaFast >= s.BetaSlow) || math.IsInf(s.BetaFast, 0) || s.OriginalMaxPositionEmbeddings <= 0 {
		return fmt.Errorf("%w: rotary_scaling yarn: 0 < beta_slow (%g) <= beta_fast (%g) and 0 < original_max_position_embeddings (%d) must hold",
			ErrInvalid, s.BetaSlow, s.BetaFast, s.OriginalMaxPositionEmbeddings)
	}
	if m := s.Magnitude(); !(m >= 1/maxMagnitude) || m > maxMagnitude {
		return fmt.Errorf("%w: rotary_scaling yarn: attention_factor %g, mscale %g and mscale_all_dim %g multiply cosines and sines by %g, which is not between %g and %g",
			ErrInvalid, s.AttentionFactor, s.MScale, s.MScaleAllDim, m, 1/maxMagnitude, maxMagnitude)
	}
	return nil
}

// maxMagnitude is far beyond the 1.5 of a factor of 100.
const maxMagnitude = 1000.0
