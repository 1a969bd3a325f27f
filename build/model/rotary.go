package model

import (
	"math"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// rotary returns the rotary embedding of the first dim values of a head, with
// the frequencies that transformers computes.
func rotary(dim int, base float64, scaling *checkpoint.RotaryScaling) *network.Rotary {
	r := &network.Rotary{Dim: dim, Base: base, Scaling: "none", Factor: 1, InvFreq: inverseFrequencies(base, dim)}
	if scaling == nil {
		return r
	}
	r.Scaling, r.Factor = scaling.Type, scaling.Factor
	switch scaling.Type {
	case checkpoint.RotaryLinear:
		for i := range r.InvFreq {
			r.InvFreq[i] /= float32(scaling.Factor)
		}
	case checkpoint.RotaryLlama3:
		llama3(r.InvFreq, scaling)
	}
	return r
}

// llama3 blends the frequencies by wavelength: transformers'
// _compute_llama3_parameters, in the same float32 operations.
func llama3(frequencies []float32, s *checkpoint.RotaryScaling) {
	original := float64(s.OriginalMaxPositionEmbeddings)
	longest, shortest := float32(original/s.LowFreqFactor), float32(original/s.HighFreqFactor)
	factor := float32(s.Factor)
	for i, f := range frequencies {
		// torch divides a number by a tensor as reciprocal times number.
		wavelength := float32(1/f) * float32(2*math.Pi)
		switch {
		case wavelength > longest:
			frequencies[i] = f / factor
		case wavelength >= shortest:
			smooth := float32(float32(float32(1/wavelength)*float32(original))-float32(s.LowFreqFactor)) / float32(s.HighFreqFactor-s.LowFreqFactor)
			frequencies[i] = float32(float32(float32(1-smooth)*f)/factor) + float32(smooth*f)
		}
	}
}

// inverseFrequencies is 1/base^(2i/dim) in float32 as transformers writes it. The
// power itself is correctly rounded here; torch's own differs between
// processors, by one unit in the last place for one value in a hundred.
func inverseFrequencies(base float64, dim int) []float32 {
	f := make([]float32, dim/2)
	for i := range f {
		exponent := float32(2*i) / float32(dim)
		f[i] = 1 / float32(math.Pow(float64(float32(base)), float64(exponent)))
	}
	return f
}
