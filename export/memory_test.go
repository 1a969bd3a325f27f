//go:build linux

package export_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/internal/bigmodel"
)

// anonLimit bounds the memory that an export by two workers allocates, be the
// model as large as it may: the program itself (a few megabytes), and for each
// worker a block of the source, one of the target, one of columns and one of
// floats (blockBytes each at most), and up to 4 MiB that package chunked gathers;
// twice that for garbage. Under the race detector each byte has shadows.
func anonLimit() int64 {
	const program, worker = 12 << 20, 4*2<<20 + 4<<20
	limit := int64(program + 2*worker)
	if raceEnabled {
		limit *= 2
	}
	return limit
}

// TestMemoryDoesNotGrowWithTheModel exports a model and one of twice the size in
// every form, in a process of its own whose RssAnon is sampled. The larger one's
// embedding and head exceed the limit each, so that no tensor can be held whole.
func TestMemoryDoesNotGrowWithTheModel(t *testing.T) {
	one := bigmodel.Shape{
		HiddenSize: 1024, NumHiddenLayers: 1, NumAttentionHeads: 16, NumKeyValueHeads: 8, HeadDim: 64,
		IntermediateSize: 4096, VocabSize: 13312, MaxPositionEmbeddings: 64,
	}
	two := one
	two.NumHiddenLayers *= 2
	two.VocabSize *= 2
	shapes := []bigmodel.Shape{one, two}
	if raceEnabled {
		shapes = shapes[1:] // each byte takes many times as long
	}
	for _, form := range bigmodel.Forms() {
		for _, shape := range shapes {
			t.Run(fmt.Sprintf("%s/%d MB", form, shape.Bytes()>>20), func(t *testing.T) {
				dir := spaceFor(t, 2*shape.Bytes())
				path, err := bigmodel.Write(dir, shape, form, bigmodel.Options{TensorParallel: 4, ShardBytes: 100 << 20})
				require.NoError(t, err)
				cmd, output := start(t, "convert", filepath.Join(dir, "ckpt"), "TRTGO_TEST_SOURCE="+path)
				peak := int64(0)
				done := make(chan string)
				go func() {
					text := new(bytes.Buffer)
					_, _ = text.ReadFrom(output)
					done <- text.String()
				}()
				for running := true; running; {
					select {
					case text := <-done:
						require.NoError(t, cmd.Wait(), text)
						running = false
					case <-time.After(2 * time.Millisecond):
						peak = max(peak, rssAnon(cmd.Process.Pid))
					}
				}
				require.Greater(t, peak, int64(1<<20), "nothing was sampled")
				require.Less(t, peak, anonLimit())
				t.Logf("peak %.1f MB", float64(peak)/1e6)
			})
		}
	}
}

// rssAnon gives the memory that a process has allocated and touched, 0 when it has
// ended.
func rssAnon(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "\nRssAnon:")
	line, _, _ := strings.Cut(rest, " kB")
	n, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return n << 10
}

// spaceFor gives a directory with room, in memory where that is possible: a disk's
// speed is not what is tested.
func spaceFor(t *testing.T, bytes int64) string {
	t.Helper()
	const memory = "/dev/shm"
	var stat unix.Statfs_t
	if unix.Statfs(memory, &stat) == nil && int64(stat.Bavail)*stat.Bsize > bytes+bytes/2 {
		if dir, err := os.MkdirTemp(memory, "trtgo-test-"); err == nil { //nolint:usetesting // TempDir would be on the disk
			t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
			return dir
		}
	}
	return t.TempDir()
}
