package model

import (
	"math"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// rotary returns the rotary embedding of the first dim values of a head, with
// the frequencies that transformers computes.
func rotary(dim int, base float64, scaling *checkpoint.RotaryScaling) *network.Rotary {
	r := &network.Rotary{Dim: dim, Base: base, Scaling: "none", Factor: 1, InvFreq: inverseFrequencies(base, dim), Magnitude: 1}
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
	case checkpoint.RotaryYarn:
		yarn(r.InvFreq, base, scaling)
		r.Magnitude = scaling.Magnitude()
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

// yarn keeps the frequencies of more than BetaFast turns over the original positions,
// divides those of less than BetaSlow by the factor and blends between along a
// straight line: transformers' _compute_yarn_parameters, in the same float32
// operations. The published method is https://arxiv.org/abs/2309.00071.
func yarn(frequencies []float32, base float64, s *checkpoint.RotaryScaling) {
	dim := 2 * len(frequencies)
	powers := powersOf(base, dim)
	low, high := correctionRange(dim, base, s)
	if low == high {
		high += 0.001 // as upstream, against division by zero
	}
	for i, extrapolated := range frequencies {
		interpolated := 1 / float32(float32(s.Factor)*powers[i])
		ramp := min(max(float32(float32(i)-float32(low))/float32(high-low), 0), 1)
		keep := 1 - ramp
		frequencies[i] = float32(interpolated*float32(1-keep)) + float32(extrapolated*keep)
	}
}

// correctionRange gives the first and the last pair of a head that yarn blends.
func correctionRange(dim int, base float64, s *checkpoint.RotaryScaling) (low, high float64) {
	pair := func(turns float64) float64 {
		return float64(dim) * math.Log(float64(s.OriginalMaxPositionEmbeddings)/(turns*2*math.Pi)) / (2 * math.Log(base))
	}
	low, high = pair(s.BetaFast), pair(s.BetaSlow)
	if s.Truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	return max(low, 0), min(high, float64(dim-1))
}

// inverseFrequencies is 1/base^(2i/dim) in float32 as transformers writes it.
func inverseFrequencies(base float64, dim int) []float32 {
	f := powersOf(base, dim)
	for i := range f {
		f[i] = 1 / f[i]
	}
	return f
}

// powersOf gives base^(2i/dim) in float32. The power itself is correctly rounded
// here; torch's own differs between processors, by one unit in the last place for
// one value in a hundred.
func powersOf(base float64, dim int) []float32 {
	f := make([]float32, dim/2)
	for i := range f {
		exponent := float32(2*i) / float32(dim)
		f[i] = float32(math.Pow(float64(float32(base)), float64(exponent)))
	}
	return f
}
