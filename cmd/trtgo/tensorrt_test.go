package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

// TestTensorRTScripts runs testdata/tensorrt, users who have TensorRT: rtx.txtar with the real compiler of TensorRT-RTX, llm.txtar
// with the stand-in for TensorRT of csrc/testing/nvinfer. scripts/verify_tensorrt.sh makes both and names them:
// TRTGO_RTX_COMPILER and TRTGO_NATIVE_LIB_RTX; TRTGO_NVINFER_STANDIN, TRTGO_PLUGIN_STANDIN and TRTGO_NATIVE_LIB.
func TestTensorRTScripts(t *testing.T) {
	shared := t.TempDir()
	for name, model := range map[string]string{"model": "llama-text", "plain": "llama-gqa", "nemotron": "nemotron"} {
		require.NoError(t, os.Rename(testmodel.Dir(t, model), filepath.Join(shared, name)))
	}
	require.NoError(t, os.Rename(testmodel.QuantisedDir(t, "llama-gqa.fp8"), filepath.Join(shared, "fp8")))
	for script, variables := range map[string]map[string]string{ // the test's variables and the program's
		"rtx": {"TRTGO_RTX_COMPILER": "TRTGO_TENSORRT_RTX_LIB", "TRTGO_NATIVE_LIB_RTX": "TRTGO_NATIVE_LIB_RTX"},
		"llm": {"TRTGO_NVINFER_STANDIN": "TRTGO_TENSORRT_LIB", "TRTGO_PLUGIN_STANDIN": "TRTGO_TENSORRT_LLM_PLUGINS", "TRTGO_NATIVE_LIB": "TRTGO_NATIVE_LIB"},
	} {
		t.Run(script, func(t *testing.T) {
			for name := range variables {
				if os.Getenv(name) != "" {
					continue
				}
				require.NotEqual(t, "1", os.Getenv("TRTGO_REQUIRE_TENSORRT"), "%s is not set", name)
				t.Skip(name + " is not set")
			}
			testscript.Run(t, testscript.Params{
				Files:               []string{filepath.Join("testdata/tensorrt", script+".txtar")},
				RequireExplicitExec: true,
				Setup: func(e *testscript.Env) error {
					for name, program := range variables {
						e.Setenv(program, os.Getenv(name))
					}
					return os.CopyFS(e.WorkDir, os.DirFS(shared))
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
			})
		})
	}
}
