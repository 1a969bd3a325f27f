//go:build linux

package export_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/bigmodel"
)

// faulty is a model of 14 MB, some dozens of blocks.
var faulty = bigmodel.Shape{
	HiddenSize: 256, NumHiddenLayers: 4, NumAttentionHeads: 8, NumKeyValueHeads: 4, HeadDim: 32,
	IntermediateSize: 1024, VocabSize: 8000, MaxPositionEmbeddings: 64,
}

func writeFaulty(t *testing.T, dir string, form bigmodel.Form) string {
	t.Helper()
	path, err := bigmodel.Write(dir, faulty, form, bigmodel.Options{TensorParallel: 2, ShardBytes: 5 << 20})
	require.NoError(t, err)
	return path
}

// requireSecondRun exports again: the checkpoint is right, and alone in its
// directory.
func requireSecondRun(t *testing.T, source, out string) {
	t.Helper()
	_, err := export.Convert(t.Context(), source, export.Options{OutputDir: out})
	require.NoError(t, err)
	require.NoError(t, bigmodel.Check(out, faulty))
	left, err := os.ReadDir(filepath.Dir(out))
	require.NoError(t, err)
	require.Len(t, left, 1, "what an earlier run left is gone")
	require.NoError(t, os.RemoveAll(out))
}

// TestSignals interrupts and kills exports of every form at random points.
func TestSignals(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, form := range bigmodel.Forms() {
		dir := spaceFor(t, 4*faulty.Bytes())
		source, parent := writeFaulty(t, dir, form), filepath.Join(dir, "parent")
		out := filepath.Join(parent, "ckpt")
		require.NoError(t, os.Mkdir(parent, 0o755))
		run := func(sig syscall.Signal, at float64) (*os.ProcessState, string) {
			cmd, output := start(t, "convert", out, "TRTGO_TEST_SOURCE="+source, fmt.Sprintf("TRTGO_TEST_AT=%g", at), fmt.Sprintf("TRTGO_TEST_SIGNAL=%d", sig))
			text, err := io.ReadAll(output)
			require.NoError(t, err)
			require.Error(t, cmd.Wait())
			return cmd.ProcessState, string(text)
		}
		for _, at := range []float64{random.Float64(), 1} {
			name := fmt.Sprintf("%s at %g", form, at)
			state, text := run(syscall.SIGINT, at)
			require.Equal(t, 130, state.ExitCode(), name+text)
			require.Empty(t, text)
			requireNothing(t, parent)

			state, text = run(syscall.SIGKILL, at)
			require.Equal(t, syscall.SIGKILL, state.Sys().(syscall.WaitStatus).Signal(), name+text)
			require.NoDirExists(t, out, name)
			left, err := os.ReadDir(parent)
			require.NoError(t, err)
			require.Len(t, left, 1, name)
			_, err = checkpoint.Open(filepath.Join(parent, left[0].Name()))
			require.ErrorContains(t, err, "interrupted export", name)
			requireSecondRun(t, source, out)
		}
	}
}

// TestKillAtAnyTime kills an export from outside, at any time from its start to
// after its end: there is the whole checkpoint or none.
func TestKillAtAnyTime(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := spaceFor(t, 4*faulty.Bytes())
	source, parent := writeFaulty(t, dir, bigmodel.TorchDist), filepath.Join(dir, "parent")
	out := filepath.Join(parent, "ckpt")
	require.NoError(t, os.Mkdir(parent, 0o755))
	begin := time.Now()
	cmd, output := start(t, "convert", out, "TRTGO_TEST_SOURCE="+source)
	text, err := io.ReadAll(output)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), string(text))
	whole := time.Since(begin)
	for range 8 {
		require.NoError(t, os.RemoveAll(out))
		cmd, output := start(t, "convert", out, "TRTGO_TEST_SOURCE="+source)
		time.Sleep(time.Duration(random.Float64() * 1.1 * float64(whole)))
		_ = cmd.Process.Kill() // it may have ended
		_, err := io.ReadAll(output)
		require.NoError(t, err)
		_ = cmd.Wait()
		if _, err := os.Stat(out); err == nil {
			require.NoError(t, bigmodel.Check(out, faulty))
		}
	}
	requireSecondRun(t, source, out)
}

// TestSourceShrinks cuts a source in half while it is exported.
func TestSourceShrinks(t *testing.T) {
	for _, form := range bigmodel.Forms() {
		t.Run(string(form), func(t *testing.T) {
			dir := spaceFor(t, 4*faulty.Bytes())
			source, parent := writeFaulty(t, dir, form), filepath.Join(dir, "parent")
			out, cut := filepath.Join(parent, "ckpt"), false
			_, err := export.Convert(t.Context(), source, export.Options{OutputDir: out, Workers: 1, Progress: func(int64, int64, string) {
				if !cut {
					cut = true
					halve(t, source)
				}
			}})
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Regexp(t, `^reading (model|lm_head|decoder|output_layer)\.[a-z0-9_.\[\]]*: .* the (file|archive) has become shorter: unexpected EOF$`, err.Error())
			requireNothing(t, parent)
			_, err = export.Convert(t.Context(), source, export.Options{OutputDir: out})
			require.Error(t, err, "what is left of the source")
			requireNothing(t, parent)

			require.NoError(t, os.RemoveAll(source))
			requireSecondRun(t, writeFaulty(t, dir, form), out)
		})
	}
}

// halve cuts the file that holds weights; of several, each.
func halve(t *testing.T, source string) {
	files, err := filepath.Glob(filepath.Join(source, "*"))
	require.NoError(t, err)
	for _, file := range append(files, source) {
		stat, err := os.Stat(file)
		require.NoError(t, err)
		if stat.Mode().IsRegular() && !strings.HasSuffix(file, ".json") {
			require.NoError(t, os.Truncate(file, stat.Size()/2))
		}
	}
}

// TestFullDisk exports to a file system that is too small, and where mounting one
// is not allowed, under a limit of file sizes.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	source, disk := writeFaulty(t, dir, bigmodel.Zarr), filepath.Join(dir, "disk")
	out := filepath.Join(disk, "ckpt")
	require.NoError(t, os.Mkdir(disk, 0o755))
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=6m"); err != nil {
		cmd, output := start(t, "convert", out, "TRTGO_TEST_SOURCE="+source, "TRTGO_TEST_FILE_SIZE=6291456")
		text, failed := io.ReadAll(output)
		require.NoError(t, failed)
		require.Error(t, cmd.Wait())
		require.Equal(t, 1, cmd.ProcessState.ExitCode())
		require.ErrorContains(t, errors.New(string(text)), "file too large")
		requireNothing(t, disk)
		requireSecondRun(t, source, out)
		return
	}
	defer func() { require.NoError(t, unix.Unmount(disk, 0)) }()
	_, err := export.Convert(t.Context(), source, export.Options{OutputDir: out})
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Regexp(t, `rank0\.safetensors: tensor [a-z0-9_.]+: .*no space left on device`, err.Error())
	requireNothing(t, disk)
	require.NoError(t, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=40m"))
	requireSecondRun(t, source, out)
}
