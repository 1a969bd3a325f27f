package gguf

import (
	"fmt"
	"math"
	"strconv"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// shortest reads a float32 as the decimal that it was written from.
func shortest(v float32) float64 {
	d, err := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	if err != nil {
		return float64(v)
	}
	return d
}

// llama3Scaling finds the parameters of llama3's rope scaling that give these
// divisors of the rotary frequencies, the inverse of llama.cpp's conversion
// (convert_hf_to_gguf.py, generate_extra_tensors). It returns nil when all are 1.
//
// Files hold neither the factors nor, usually, the original context length:
// llama.cpp's converter takes low 1 and high 4 from every published model, and so
// does this; factor is the largest divisor, and any frequency between the two
// plateaus determines the original length. Of several answers, which short heads
// allow, the numbers of Llama 3.1 and 3.2 come first. The result is checked
// against all divisors.
func llama3Scaling(divisors []float32, base float64, hints []int64) (*checkpoint.RotaryScaling, error) {
	largest := float32(0)
	plain := true
	for i, d := range divisors {
		if !(d >= 1) || d > 1e6 {
			return nil, fmt.Errorf("%w: rope_freqs.weight[%d] is %g", checkpoint.ErrInvalid, i, d)
		}
		largest = max(largest, d)
		plain = plain && d == 1
	}
	if plain {
		return nil, nil
	}
	s := &checkpoint.RotaryScaling{Type: checkpoint.RotaryLlama3, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 8192}
	for _, s.Factor = range []float64{8, 32} {
		if matches(s, divisors, base) {
			return s, nil
		}
	}
	s.Factor = shortest(largest)
	candidates := append([]int64{}, hints...)
	for i, d := range divisors {
		if d > 1 && d < largest {
			smooth := (1/float64(d) - 1/s.Factor) / (1 - 1/s.Factor)
			wavelength := 2 * math.Pi * math.Pow(base, 2*float64(i)/float64(2*len(divisors)))
			length := wavelength * (s.LowFreqFactor + smooth*(s.HighFreqFactor-s.LowFreqFactor))
			if length > 1 && length < 1<<40 {
				candidates = append(candidates, int64(math.Round(length)))
			}
		}
	}
	candidates = append(candidates, 8192)
	for length := int64(1 << 20); length >= 8; length /= 2 {
		candidates = append(candidates, length)
	}
	for _, length := range candidates {
		s.OriginalMaxPositionEmbeddings = length
		if length > 0 && matches(s, divisors, base) {
			return s, nil
		}
	}
	return nil, fmt.Errorf("rope_freqs.weight is %w: it is not llama3's scaling with low_freq_factor 1 and high_freq_factor 4", checkpoint.ErrUnsupported)
}

// matches computes llama3's divisors (transformers, _compute_llama3_parameters).
func matches(s *checkpoint.RotaryScaling, divisors []float32, base float64) bool {
	original := float64(s.OriginalMaxPositionEmbeddings)
	for i, have := range divisors {
		wavelength := 2 * math.Pi * math.Pow(base, float64(i)/float64(len(divisors)))
		want := 1.0
		switch {
		case wavelength > original/s.LowFreqFactor:
			want = s.Factor
		case wavelength >= original/s.HighFreqFactor:
			smooth := (original/wavelength - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
			want = 1 / ((1-smooth)/s.Factor + smooth)
		}
		if math.Abs(float64(have)-want) > 1e-4*want {
			return false
		}
	}
	return true
}
