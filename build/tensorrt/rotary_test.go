package tensorrt_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// Rotary embeddings that no tiny model was made with give transformers' logits too: the
// tables have their frequencies and their magnitude.
func TestRotaryNumbers(t *testing.T) {
	for _, name := range testmodel.RotaryNames() {
		t.Run(name, func(t *testing.T) {
			want := testmodel.RotaryGolden(t, name)
			e := lowered(t, tinycheckpoint.Convert(t, want.Dir(t, false), nil), options(small, gather))
			native := slots(t, tinycheckpoint.Convert(t, want.Dir(t, false), func(c *checkpoint.Config) { c.Dtype = checkpoint.Float32 }), gatherNative)
			for form, r := range map[string]server{"plugins": e.runtime(t, false), "native": native} {
				got, err := serve(r, [][]int32{want.Prompt}, nil, 0)
				require.NoError(t, err)
				for i, position := range want.Positions {
					require.InDeltaSlice(t, want.Logits[i], got[0][position], 1.5e-4, "%s, position %d", form, position)
				}
			}
		})
	}
}
