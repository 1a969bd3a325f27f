package build_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
)

func init() {
	if dir := os.Getenv("TRTGO_TEST_BUILD_WITHOUT_ROOM"); dir != "" {
		buildWithoutRoom(dir)
	}
}

// buildWithoutRoom is what the process does that may write no file beyond 64 KiB.
func buildWithoutRoom(dir string) {
	signal.Ignore(syscall.SIGXFSZ) // writing returns an error instead
	err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: 64 << 10})
	if err == nil {
		_, err = build.Build(context.Background(), build.Options{CheckpointDir: filepath.Join(dir, "checkpoint"), OutputDir: filepath.Join(dir, "engine")})
	}
	fmt.Print(err)
	os.Exit(0)
}

// A build that runs out of room says so, naming the file, and leaves nothing.
func TestNoRoom(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Rename(tinycheckpoint.Dir(t, "llama-gqa", nil), filepath.Join(dir, "checkpoint")))
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "TRTGO_TEST_BUILD_WITHOUT_ROOM="+dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(out), "rank0.engine")
	require.Contains(t, string(out), syscall.EFBIG.Error())
	require.Equal(t, []string{"checkpoint"}, names(t, dir))
}
