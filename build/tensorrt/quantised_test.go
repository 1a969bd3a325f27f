package tensorrt_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// quantisedCheckpoint is a quantised form of internal/testmodel as a checkpoint: model.form
// with form fp8, int8_wo, int4_wo or awq.
func quantisedCheckpoint(t testing.TB, name, form, dtype string, tp int) string {
	t.Helper()
	if form == "awq" {
		return testmodel.QuantisedDir(t, name+".awq")
	}
	o := export.Options{Dtype: dtype, TPSize: tp, OutputDir: filepath.Join(t.TempDir(), "checkpoint")}
	source := testmodel.Dir(t, name)
	if form == "fp8" {
		source = testmodel.QuantisedDir(t, name+".fp8")
	} else {
		o.QFormat = form
	}
	_, err := export.Convert(t.Context(), source, o)
	require.NoError(t, err)
	return o.OutputDir
}

// lowerCheckpoint lowers a rank of a checkpoint.
func lowerCheckpoint(t testing.TB, dir string, rank int, o tensorrt.Options) (*graph.Network, *tensorrt.Source) {
	t.Helper()
	source := openSource(t, dir, rank)
	c, err := checkpoint.ReadConfig(filepath.Join(dir, checkpoint.ConfigName))
	require.NoError(t, err)
	net, err := model.New(c, rank)
	require.NoError(t, err)
	o.Scale = source.Scale
	g, err := tensorrt.Lower(net, o)
	require.NoError(t, err)
	return g, source
}

func TestQuantisedForms(t *testing.T) {
	for _, name := range []string{"nemotron", "llama-gqa"} {
		for _, form := range []string{"fp8", "int8_wo", "int4_wo", "awq"} {
			if name+form == "nemotronawq" {
				continue
			}
			t.Run(name+"."+form, func(t *testing.T) {
				g, source := lowerCheckpoint(t, quantisedCheckpoint(t, name, form, "bfloat16", 1), 0, options())
				for _, w := range g.Weights() {
					_, err := w.Values(source)
					require.NoError(t, err)
				}
			})
		}
	}
}
