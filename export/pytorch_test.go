package export_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// The same weights as torch.save writes them, in one file of either form, in
// shards, and as views of one storage, become the same checkpoint, byte for byte.
func TestPyTorchExportsAsSafetensorsDo(t *testing.T) {
	for _, name := range testmodel.Names() {
		v := everyDtype[2]
		if list := divided[name]; len(list) > 0 {
			v = list[len(list)-1]
		}
		convert := func(dir string) string {
			out := filepath.Join(t.TempDir(), "ckpt")
			report, err := export.Convert(context.Background(), dir, v.options(out))
			require.NoError(t, err, dir)
			require.Empty(t, report.Notes, dir)
			return out
		}
		want := convert(testmodel.Dir(t, name))
		for _, form := range testmodel.PyTorchForms {
			requireSameFiles(t, want, convert(testmodel.PyTorch(t, name, form)), name+" "+form)
		}
	}
}

func requireSameFiles(t *testing.T, want, got, message string) {
	t.Helper()
	list, err := os.ReadDir(want)
	require.NoError(t, err)
	require.NotEmpty(t, list)
	others, err := os.ReadDir(got)
	require.NoError(t, err)
	require.Len(t, others, len(list), message)
	for _, e := range list {
		a, err := os.ReadFile(filepath.Join(want, e.Name()))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(got, e.Name()))
		require.NoError(t, err)
		require.True(t, string(a) == string(b), "%s: %s differs", message, e.Name())
	}
}
