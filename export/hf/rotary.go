package hf

import (
	"bytes"
	"fmt"
	"math"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// rotary reads rope_theta and rope_scaling, or rope_parameters, which holds
// both. As in transformers, a rope_scaling that says something wins.
func (c *config) rotary(f *fields) error {
	r := &fields{}
	name := "rope_scaling"
	if !f.get(&r.values, name) || len(r.values) == 0 {
		name = "rope_parameters"
		f.get(&r.values, name)
	}
	f.get(&c.RotaryBase, "rope_theta", "rotary_emb_base")
	r.get(&c.RotaryBase, "rope_theta")
	factor := r.get(&c.RotaryPct, "partial_rotary_factor") ||
		f.get(&c.RotaryPct, "partial_rotary_factor", "rope_percent", "rope_percentage", "rotary_percent", "rotary_pct")
	switch {
	case c.Family() == checkpoint.LLaMA && c.RotaryPct != 1:
		return fmt.Errorf("partial_rotary_factor %g of %s is %w: upstream's LLaMA class rotates whole heads", c.RotaryPct, c.source, checkpoint.ErrUnsupported)
	case c.Family() == checkpoint.GPT && !factor:
		c.RotaryPct = 0.5
		c.notes = append(c.notes, "config.json gives no partial_rotary_factor (rope_percent): 0.5 is assumed, transformers' default and that of every published Nemotron")
	}
	kind := "default"
	r.get(&kind, "rope_type", "type")
	s := &checkpoint.RotaryScaling{Type: kind}
	switch kind {
	case "default":
		for key, raw := range r.values {
			if bytes.HasPrefix(raw, []byte("{")) {
				return fmt.Errorf("%s.%.100s: rotary embedding that differs by layer is %w", name, key, checkpoint.ErrUnsupported)
			}
		}
		s = nil
	case checkpoint.RotaryLlama3:
		if !r.get(&s.Factor, "factor") || !r.get(&s.LowFreqFactor, "low_freq_factor") || !r.get(&s.HighFreqFactor, "high_freq_factor") ||
			!r.integer(&s.OriginalMaxPositionEmbeddings, "original_max_position_embeddings") && !f.integer(&s.OriginalMaxPositionEmbeddings, "original_max_position_embeddings") {
			if r.err == nil {
				return fmt.Errorf("%w: %s of type llama3 needs factor, low_freq_factor, high_freq_factor and original_max_position_embeddings", checkpoint.ErrInvalid, name)
			}
		}
	case checkpoint.RotaryLinear:
		if !r.get(&s.Factor, "factor") && r.err == nil {
			return fmt.Errorf("%w: %s of type linear has no factor", checkpoint.ErrInvalid, name)
		}
	case checkpoint.RotaryYarn:
		if err := c.yarn(s, r, f, name); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s of type %.100q is %w: default, linear, llama3 and yarn are", name, kind, checkpoint.ErrUnsupported)
	}
	if r.err != nil {
		return fmt.Errorf("%w: %s: %w", checkpoint.ErrInvalid, name, r.err)
	}
	c.RotaryScaling = s
	return nil
}

// yarn reads what belongs to type yarn, with transformers' defaults. What upstream's
// own reading of it would give is written beside, where that differs.
func (c *config) yarn(s *checkpoint.RotaryScaling, r, f *fields, name string) error {
	s.OriginalMaxPositionEmbeddings = c.MaxPositionEmbeddings
	if !f.integer(&s.OriginalMaxPositionEmbeddings, "original_max_position_embeddings") {
		r.integer(&s.OriginalMaxPositionEmbeddings, "original_max_position_embeddings")
	}
	implied := float64(c.MaxPositionEmbeddings) / float64(s.OriginalMaxPositionEmbeddings)
	if raw, given := r.values["factor"]; !given {
		return fmt.Errorf("%w: %s of type yarn has no factor", checkpoint.ErrInvalid, name)
	} else if string(raw) == "null" {
		s.Factor = implied
	}
	r.get(&s.Factor, "factor")
	// A beta of 0 is none given, as in transformers.
	r.get(&s.BetaFast, "beta_fast")
	r.get(&s.BetaSlow, "beta_slow")
	if s.BetaFast == 0 {
		s.BetaFast = checkpoint.DefaultBetaFast
	}
	if s.BetaSlow == 0 {
		s.BetaSlow = checkpoint.DefaultBetaSlow
	}
	s.Truncate = true
	r.get(&s.Truncate, "truncate")
	r.get(&s.MScale, "mscale")
	r.get(&s.MScaleAllDim, "mscale_all_dim")
	if r.get(&s.AttentionFactor, "attention_factor") && !(s.AttentionFactor > 0) {
		return fmt.Errorf("%w: %s.attention_factor %g is not above 0", checkpoint.ErrInvalid, name, s.AttentionFactor)
	}
	if r.err != nil {
		return fmt.Errorf("%w: %s: %w", checkpoint.ErrInvalid, name, r.err)
	}
	if f.err != nil {
		return fmt.Errorf("%w: %w", checkpoint.ErrInvalid, f.err)
	}
	if err := s.Validate(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if implied != s.Factor && implied != 1 {
		c.notes = append(c.notes, fmt.Sprintf("%s.factor %g is not max_position_embeddings %d / original_max_position_embeddings %d; the factor is taken, as in transformers 5",
			name, s.Factor, c.MaxPositionEmbeddings, s.OriginalMaxPositionEmbeddings))
	}
	c.upstreamYarn(s, name)
	return nil
}

// upstreamYarn makes upstream's class find the same magnitude: it knows no
// attention_factor, and takes mscale where it is given alone, 1 where it is not
// (layers/attention.py, create_attention_const_params). attention_factor then says
// the magnitude to every other reader.
func (c *config) upstreamYarn(s *checkpoint.RotaryScaling, name string) {
	if !s.Truncate {
		c.notes = append(c.notes, name+".truncate is false, which only trtgo's own builders know: trtllm-build rounds the bounds of the blend")
	}
	mscale := s.MScale
	if mscale == 0 {
		mscale = 1
	}
	growth, want := 0.1*math.Log(s.Factor), s.Magnitude()
	if upstream := (growth*mscale + 1) / (growth*s.MScaleAllDim + 1); math.Abs(upstream-want) <= 1e-9 {
		return
	}
	s.AttentionFactor, s.MScaleAllDim = want, 0
	if growth > 0 {
		s.MScale = (want - 1) / growth
		return
	}
	c.notes = append(c.notes, fmt.Sprintf("%s.attention_factor %g with a factor of 1 is known to trtgo's own builders only: trtllm-build multiplies cosines and sines by 1", name, want))
}
