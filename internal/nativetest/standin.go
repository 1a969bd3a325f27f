package nativetest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// StandIn gives the environment of a process that is to run engines over the stand-in for TensorRT-LLM, which
// scripts/verify_executor.sh builds: one with a GPU of compute capability 8.9 for each name. Without the stand-in it skips
// the test, but fails where TRTGO_REQUIRE_EXECUTOR is 1.
func StandIn(t testing.TB, gpus ...string) []string {
	t.Helper()
	standIn := os.Getenv("TRTGO_EXECUTOR_STANDIN")
	for _, name := range []string{"TRTGO_EXECUTOR_STANDIN", "TRTGO_NATIVE_LIB"} {
		if os.Getenv(name) == "" {
			require.NotEqual(t, "1", os.Getenv("TRTGO_REQUIRE_EXECUTOR"), "%s is not set", name)
			t.Skip(name + " is not set: scripts/verify_executor.sh sets it")
		}
	}
	list := ""
	for _, name := range gpus {
		list += name + ",8,9,1000000000;"
	}
	return append(os.Environ(), "LD_LIBRARY_PATH="+standIn, "TRTGO_STANDIN_GPUS="+list, "TRTGO_STANDIN_WORLD="+t.TempDir())
}
