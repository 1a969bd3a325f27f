package testmodel_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

// The files come out as torch wrote them, which PyTorch checks by their sha256,
// and nothing else is left to read weights from.
func TestPyTorchReplacesSafetensors(t *testing.T) {
	for _, name := range testmodel.Names() {
		for _, form := range testmodel.PyTorchForms {
			dir := testmodel.PyTorch(t, name, form)
			left, err := filepath.Glob(filepath.Join(dir, "*.safetensors*"))
			require.NoError(t, err)
			require.Empty(t, left)
			bins, err := filepath.Glob(filepath.Join(dir, "*.bin"))
			require.NoError(t, err)
			want := 1
			if form == "sharded" {
				want = 2
				require.FileExists(t, filepath.Join(dir, "pytorch_model.bin.index.json"))
			}
			require.Len(t, bins, want)
		}
	}
}
