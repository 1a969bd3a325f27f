//go:build unix

package export_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"go.uber.org/goleak"
)

// TestMain runs the tests, or, in a child process of one, an export that comes to
// grief.
func TestMain(m *testing.M) {
	if mode := os.Getenv("TRTGO_TEST_EXPORT"); mode != "" {
		os.Exit(child(mode, os.Getenv("TRTGO_TEST_OUTPUT")))
	}
	goleak.VerifyTestMain(m)
}

func child(mode, out string) int {
	m := newFake()
	reads := atomic.Int64{}
	m.rows = func(string, []byte, int64) error {
		if reads.Add(1) != 7 {
			return nil
		}
		switch mode {
		case "hang":
			fmt.Println("hanging")
			select {}
		case "full": // writes fail from now on, as on a full disk
			limit := syscall.Rlimit{Cur: 4096, Max: 4096}
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				fmt.Println(err)
				os.Exit(3)
			}
		}
		return nil
	}
	_, err := export.ConvertModel(context.Background(), m, export.Options{OutputDir: out, Workers: 1})
	fmt.Println(err)
	return 1
}

func start(t *testing.T, mode, out string) (*exec.Cmd, io.Reader) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "TRTGO_TEST_EXPORT="+mode, "TRTGO_TEST_OUTPUT="+out)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, output
}

// A killed export leaves nothing that a later step accepts, and the next one
// succeeds.
func TestKill(t *testing.T) {
	parent := t.TempDir()
	out := filepath.Join(parent, "ckpt")
	cmd, output := start(t, "hang", out)
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hanging\n", line)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	require.NoDirExists(t, out)
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, left, 1)
	_, err = checkpoint.Open(filepath.Join(parent, left[0].Name()))
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, "interrupted export")

	_, err = export.ConvertModel(context.Background(), newFake(), export.Options{OutputDir: out})
	require.NoError(t, err)
	left, err = os.ReadDir(parent) // what the killed one left is gone too
	require.NoError(t, err)
	require.Len(t, left, 1)
	c, err := checkpoint.Open(out)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestWriteError(t *testing.T) {
	parent := t.TempDir()
	cmd, output := start(t, "full", filepath.Join(parent, "ckpt"))
	text, err := io.ReadAll(output)
	require.NoError(t, err)
	require.Error(t, cmd.Wait())
	require.Contains(t, strings.ToLower(string(text)), "rank0.safetensors: tensor transformer.layers.0.")
	require.Contains(t, string(text), syscall.EFBIG.Error())
	requireNothing(t, parent)
}
