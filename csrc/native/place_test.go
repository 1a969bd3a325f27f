package native_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
)

// The plugins are where the variable says, else in the virtual environment, else the system's business.
func TestFindPlugins(t *testing.T) {
	const name = "libnvinfer_plugin_tensorrt_llm.so"
	venv := t.TempDir()
	t.Setenv("VIRTUAL_ENV", venv)
	t.Setenv(native.PluginsVariable, "")
	require.Equal(t, name, filepath.Base(native.FindPlugins()))
	libs := filepath.Join(venv, "lib/python3.12/site-packages/tensorrt_llm/libs")
	require.NoError(t, os.MkdirAll(libs, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(libs, name), nil, 0o644))
	require.Equal(t, filepath.Join(libs, name), native.FindPlugins())
	t.Setenv(native.PluginsVariable, "mine.so")
	require.Equal(t, "mine.so", native.FindPlugins())
}
