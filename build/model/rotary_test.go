package model

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// ropeGolden is an entry of testdata/rope.json, which scripts/rope_goldens.py makes.
type ropeGolden struct {
	Name          string             `json:"name"`
	Dim           int                `json:"dim"`
	RotaryBase    float64            `json:"rotary_base"`
	RotaryScaling *checkpointScaling `json:"rotary_scaling"`
	Magnitude     float64            `json:"magnitude"`
	InvFreq       []float32          `json:"inv_freq"`
}

type checkpointScaling struct {
	Type            string   `json:"rope_type"`
	Factor          float64  `json:"factor"`
	LowFreqFactor   float64  `json:"low_freq_factor"`
	HighFreqFactor  float64  `json:"high_freq_factor"`
	OriginalMaxSize int64    `json:"original_max_position_embeddings"`
	BetaFast        *float64 `json:"beta_fast"`
	BetaSlow        *float64 `json:"beta_slow"`
	Truncate        *bool    `json:"truncate"`
	MScale          float64  `json:"mscale"`
	MScaleAllDim    float64  `json:"mscale_all_dim"`
	AttentionFactor float64  `json:"attention_factor"`
}

func (s *checkpointScaling) scaling() *checkpoint.RotaryScaling {
	if s == nil {
		return nil
	}
	or := func(given *float64, other float64) float64 {
		if given != nil {
			return *given
		}
		return other
	}
	return &checkpoint.RotaryScaling{Type: s.Type, Factor: s.Factor, LowFreqFactor: s.LowFreqFactor, HighFreqFactor: s.HighFreqFactor,
		OriginalMaxPositionEmbeddings: s.OriginalMaxSize, BetaFast: or(s.BetaFast, 32), BetaSlow: or(s.BetaSlow, 1),
		Truncate: s.Truncate == nil || *s.Truncate, MScale: s.MScale, MScaleAllDim: s.MScaleAllDim, AttentionFactor: s.AttentionFactor}
}

// ulps is the distance of two positive floats in units in the last place.
func ulps(a, b float32) int {
	d := int(math.Float32bits(a)) - int(math.Float32bits(b))
	return max(d, -d)
}

// The frequencies are transformers' own: those of unscaled rotary to the last
// bit but where torch's power is not correctly rounded (then they differ by one
// unit). The llama3 blend subtracts, which may grow a unit to three.
func TestInverseFrequencies(t *testing.T) {
	data, err := os.ReadFile("testdata/rope.json")
	require.NoError(t, err)
	var goldens []ropeGolden
	require.NoError(t, json.Unmarshal(data, &goldens))
	require.Len(t, goldens, 19)
	values, equal := 0, 0
	kinds := map[string]bool{}
	for _, g := range goldens {
		r := rotary(g.Dim, g.RotaryBase, g.RotaryScaling.scaling())
		require.Equal(t, g.Dim, r.Dim)
		require.Len(t, r.InvFreq, len(g.InvFreq), g.Name)
		require.InDelta(t, g.Magnitude, r.Magnitude, 1e-15, g.Name)
		kinds[r.Scaling] = true
		for i, want := range g.InvFreq {
			values++
			if r.InvFreq[i] == want {
				equal++
			}
			require.LessOrEqual(t, ulps(r.InvFreq[i], want), 3, "%s: frequency %d is %g, transformers has %g", g.Name, i, r.InvFreq[i], want)
		}
	}
	t.Logf("%d of %d frequencies equal to the bit", equal, values)
	require.GreaterOrEqual(t, equal, values*95/100)
	require.Equal(t, map[string]bool{"none": true, "linear": true, "llama3": true, "yarn": true}, kinds)
}

func TestLlama3HasThreeBands(t *testing.T) {
	plain := rotary(64, 10000, nil)
	scaled := rotary(64, 10000, &checkpoint.RotaryScaling{Type: checkpoint.RotaryLlama3, Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 64})
	untouched, divided, blended := 0, 0, 0
	for i, f := range plain.InvFreq {
		switch got := scaled.InvFreq[i]; got {
		case f:
			untouched++
		case f / 8:
			divided++
		default:
			require.Less(t, got, f)
			require.Greater(t, got, f/8)
			blended++
		}
	}
	require.Positive(t, untouched)
	require.Positive(t, divided)
	require.Positive(t, blended)
}

// A scaling that a checkpoint may have gives frequencies between those without it and
// those divided by its factor, or is refused with the network.
func FuzzRotary(f *testing.F) {
	f.Add("yarn", 8, 10000.0, 4.0, int64(4096), 32.0, 1.0, true, 1.0, 4.0, 0.0)
	f.Add("yarn", 32, 1.0000000000000002, 1e6, int64(1)<<53, 1e308, 1e-308, false, 1.0, 4.0, 1000.0)
	f.Add("llama3", 64, 500000.0, 8.0, int64(8192), 0.0, 0.0, false, 1.0, 4.0, 0.0)
	f.Add("linear", 2, 1e308, 2.0, int64(0), 0.0, 0.0, false, 0.0, 0.0, 0.0)
	f.Fuzz(func(t *testing.T, kind string, dim int, base, factor float64, original int64, fast, slow float64, truncate bool, low, high, attention float64) {
		s := &checkpoint.RotaryScaling{Type: kind, Factor: factor, OriginalMaxPositionEmbeddings: original, BetaFast: fast, BetaSlow: slow,
			Truncate: truncate, LowFreqFactor: low, HighFreqFactor: high, AttentionFactor: attention}
		if dim < 2 || dim > 256 || dim%2 != 0 || !(base > 1) || math.IsInf(base, 0) || s.Validate() != nil {
			return
		}
		plain, r := rotary(dim, base, nil), rotary(dim, base, s)
		b := network.NewBuilder(network.Network{Dtype: network.Float32, Mapping: network.Mapping{TPSize: 1, PPSize: 1}, VocabSize: 2, HiddenSize: 2, NumLayers: 1})
		qkv := b.Linear("qkv", b.Embedding("embedding", 0, 2, 2), 3*dim, false)
		attended := b.Attention("attention", qkv, network.Attention{Heads: 1, KVHeads: 1, HeadSize: dim, Scale: 1, Rotary: r})
		b.Logits(b.Linear("head", b.SelectLastTokens(attended), 2, false))
		if _, err := b.Network(); err != nil {
			require.ErrorContains(t, err, "inverse frequency")
			return
		}
		for i, v := range r.InvFreq {
			most, least := float64(plain.InvFreq[i]), float64(plain.InvFreq[i])/factor
			const rounding, smallest = 1e-5, 1e-44 // of float32, and its least number
			require.LessOrEqual(t, float64(v), most*(1+rounding)+smallest, "frequency %d", i)
			require.GreaterOrEqual(t, float64(v), least*(1-rounding)-smallest, "frequency %d", i)
		}
	})
}
