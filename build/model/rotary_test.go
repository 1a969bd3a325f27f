package model

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// ropeGolden is an entry of testdata/rope.json, which scripts/rope_goldens.py makes.
type ropeGolden struct {
	Name          string             `json:"name"`
	Dim           int                `json:"dim"`
	RotaryBase    float64            `json:"rotary_base"`
	RotaryScaling *checkpointScaling `json:"rotary_scaling"`
	InvFreq       []float32          `json:"inv_freq"`
}

type checkpointScaling struct {
	Type            string  `json:"rope_type"`
	Factor          float64 `json:"factor"`
	LowFreqFactor   float64 `json:"low_freq_factor"`
	HighFreqFactor  float64 `json:"high_freq_factor"`
	OriginalMaxSize int64   `json:"original_max_position_embeddings"`
}

func (s *checkpointScaling) scaling() *checkpoint.RotaryScaling {
	if s == nil {
		return nil
	}
	return &checkpoint.RotaryScaling{Type: s.Type, Factor: s.Factor, LowFreqFactor: s.LowFreqFactor, HighFreqFactor: s.HighFreqFactor,
		OriginalMaxPositionEmbeddings: s.OriginalMaxSize}
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
	require.Len(t, goldens, 9)
	values, equal := 0, 0
	kinds := map[string]bool{}
	for _, g := range goldens {
		r := rotary(g.Dim, g.RotaryBase, g.RotaryScaling.scaling())
		require.Equal(t, g.Dim, r.Dim)
		require.Len(t, r.InvFreq, len(g.InvFreq), g.Name)
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
	require.Equal(t, map[string]bool{"none": true, "linear": true, "llama3": true}, kinds)
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
