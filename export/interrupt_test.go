//go:build unix

package export_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
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
	if mode == "convert" {
		return convertChild(out)
	}
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

// convertChild exports TRTGO_TEST_SOURCE as the command does, and ends with its
// status. When TRTGO_TEST_AT of the bytes are written, a part of one, it sends
// itself TRTGO_TEST_SIGNAL. No file may become longer than TRTGO_TEST_FILE_SIZE.
func convertChild(out string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	at, err := strconv.ParseFloat(cmp.Or(os.Getenv("TRTGO_TEST_AT"), "2"), 64)
	if err != nil {
		panic(err)
	}
	number, _ := strconv.Atoi(os.Getenv("TRTGO_TEST_SIGNAL"))
	if size, err := strconv.ParseUint(os.Getenv("TRTGO_TEST_FILE_SIZE"), 10, 64); err == nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
			panic(err)
		}
	}
	_, err = export.Convert(ctx, os.Getenv("TRTGO_TEST_SOURCE"), export.Options{OutputDir: out, Workers: 2, Progress: func(done, total int64, _ string) {
		if float64(done) >= at*float64(total) {
			at = 2
			if err := syscall.Kill(os.Getpid(), syscall.Signal(number)); err != nil {
				panic(err)
			}
			<-ctx.Done()
		}
	}})
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return 130
	}
	fmt.Println(err)
	return 1
}

func start(t *testing.T, mode, out string, env ...string) (*exec.Cmd, io.Reader) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program)
	cmd.Env = append(append(os.Environ(), "TRTGO_TEST_EXPORT="+mode, "TRTGO_TEST_OUTPUT="+out), env...)
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
