//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

// altered writes a changed copy of an engine file.
func altered(t *testing.T, path string, change func(b []byte) []byte) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	to := filepath.Join(t.TempDir(), "rank0.engine")
	require.NoError(t, os.WriteFile(to, change(b), 0o600))
	return to
}

// sealed recomputes the header's checksum, so that what it says is looked at.
func sealed(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[4092:], crc32.Checksum(b[:4092], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// TestDamagedEngines opens files that were cut off or changed. The error names the
// file and what disagrees, and no runner is made.
func TestDamagedEngines(t *testing.T) {
	path := smallModel(bf16).write(t)
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	flip := func(at int64) func(b []byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0x20; return b }
	}
	tests := map[string]struct {
		change func(b []byte) []byte
		is     error
		want   string
	}{
		"empty":          {func(b []byte) []byte { return nil }, cpuengine.ErrFormat, "0 bytes are less than a header of 4096"},
		"half a header":  {func(b []byte) []byte { return b[:2000] }, cpuengine.ErrFormat, "2000 bytes are less than a header of 4096"},
		"only a header":  {func(b []byte) []byte { return b[:4096] }, cpuengine.ErrFormat, "it has 4096 bytes, its header says"},
		"cut by a byte":  {func(b []byte) []byte { return b[:len(b)-1] }, cpuengine.ErrFormat, "it was cut off or changed"},
		"longer":         {func(b []byte) []byte { return append(b, 0) }, cpuengine.ErrFormat, "it was cut off or changed"},
		"something else": {flip(0), cpuengine.ErrFormat, `it does not begin with "TRTGOCPU"`},
		"header":         {flip(40), cpuengine.ErrFormat, "header checksum is "},
		"program":        {flip(4096 + 50), cpuengine.ErrFormat, "program checksum is "},
		"section table":  {flip(file.Size - 20), cpuengine.ErrFormat, "section table checksum is "},
		"another version": {
			func(b []byte) []byte { b[8] = 9; return sealed(b) }, cpuengine.ErrVersion,
			"it is version 9, this program reads version 3; build it again with: trtgo build --backend cpu --checkpoint_dir CHECKPOINT --output_dir ENGINE",
		},
		"size of another file": {
			func(b []byte) []byte { binary.LittleEndian.PutUint64(b[16:], uint64(len(b)+64)); return sealed(b) },
			cpuengine.ErrFormat, "it was cut off or changed",
		},
		"number of sections": {func(b []byte) []byte { b[12]++; return sealed(b) }, cpuengine.ErrFormat, "entries, the header says"},
	}
	for name, test := range tests {
		for _, load := range []string{"mmap", "copy"} {
			t.Run(name+" "+load, func(t *testing.T) {
				bad := altered(t, path, test.change)
				r, err := Open(t.Context(), bad, Options{Load: load})
				require.Nil(t, r)
				require.ErrorIs(t, err, test.is)
				require.ErrorContains(t, err, bad+": ")
				require.ErrorContains(t, err, test.want)
			})
		}
	}
}

// Opening does not read the weights unless it copies them: then their checksums are
// compared, and the section is named.
func TestDamagedWeightsAreFoundByCopying(t *testing.T) {
	m := smallModel(bf16)
	path := m.write(t)
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	for _, s := range file.Sections {
		bad := altered(t, path, func(b []byte) []byte { b[s.Offset+s.Size/2] ^= 1; return b })
		r, err := Open(t.Context(), bad, Options{Load: "copy"})
		require.Nil(t, r)
		require.ErrorIs(t, err, cpuengine.ErrFormat)
		require.ErrorContains(t, err, bad)
		require.ErrorContains(t, err, "section \""+s.Name+"\"")
		step(t, openEngine(t, bad, Options{}), wanting(piece([]int32{1, 2}, 0, 0), 1))
	}
}

func TestFilesThatAreNoEngines(t *testing.T) {
	directory := t.TempDir()
	_, err := Open(t.Context(), filepath.Join(directory, "absent"), Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, filepath.Join(directory, "absent"))
	_, err = Open(t.Context(), directory, Options{})
	require.ErrorIs(t, err, cpuengine.ErrFormat)
	require.ErrorContains(t, err, "it is not a regular file")
	pipe := filepath.Join(directory, "pipe")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	_, err = Open(t.Context(), pipe, Options{}) // which must not wait for a writer
	require.ErrorContains(t, err, pipe+": not a valid CPU engine: it is not a regular file")
}

// A file that is replaced while it is opened is not mapped with the old one's size.
func TestReplacedWhileOpened(t *testing.T) {
	path := smallModel(bf16).write(t)
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, 5000))
	for _, load := range []string{"mmap", "copy"} {
		_, err = loadWeights(t.Context(), file, load)
		require.ErrorContains(t, err, fmt.Sprintf("%s: it has 5000 bytes, a moment ago it had %d", path, file.Size))
	}
}

// TestLoadsGiveTheSameBits also replaces and deletes the file while it is open: what
// was opened goes on.
func TestLoadsGiveTheSameBits(t *testing.T) {
	m := smallModel(bf16)
	tokens := randomTokens(1, 40, m.vocab)
	batch := wanting(piece(tokens, 0, 0, 1), 0)
	want := rowLogits(step(t, openEngine(t, m.write(t), Options{}), batch))
	for _, load := range []string{"", "mmap", "copy"} {
		path := m.write(t)
		r := openEngine(t, path, Options{Load: load})
		require.Positive(t, r.Describe().WeightBytes)
		sameRows(t, want, rowLogits(step(t, r, batch)), load)
		require.NoError(t, os.Remove(path))
		sameRows(t, want, rowLogits(step(t, r, batch)), load, "deleted")
		require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{0xff}, 10_000), 0o600))
		sameRows(t, want, rowLogits(step(t, r, batch)), load, "another file in its place")
	}
}

func TestOpenObeysItsContext(t *testing.T) {
	path := smallModel(bf16).write(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, load := range []string{"mmap", "copy"} {
		r, err := Open(ctx, path, Options{Load: load})
		require.Nil(t, r)
		require.ErrorIs(t, err, context.Canceled)
	}
	// It bounds the opening, not the runner.
	ctx, cancel = context.WithCancel(t.Context())
	r, err := Open(ctx, path, Options{Threads: 1})
	require.NoError(t, err)
	defer r.Close()
	cancel()
	step(t, r, piece([]int32{1}, 0, 0))
}

// wideModel has KV blocks of 512 MiB.
func wideModel(t *testing.T) string {
	const heads, size = 4096, 512
	const rows, panel = cpuengine.LayoutRows, cpuengine.LayoutPanel
	section := func(name, layout string, rows int) *testWeight {
		return &testWeight{cpuengine.Section{Name: name, Dtype: f32, Layout: layout, Rows: rows, Cols: 1}, make([]float32, rows)}
	}
	return writeEngine(t, &cpuengine.Program{
		VocabSize: 4, HiddenSize: 1, NumLayers: 1, MaxPositionEmbeddings: 1 << 30, WeightDtype: f32,
		Buffers: []cpuengine.Buffer{
			{Name: "x", Width: 1}, {Name: "qkv", Width: 3 * heads * size}, {Name: "attended", Width: heads * size},
			{Name: "selected", Width: 1, Selected: true}, {Name: "logits", Width: 4, Selected: true},
		},
		Ops: []cpuengine.Op{
			{Kind: cpuengine.OpEmbedding, Name: "embedding", In: -1, Out: 0, Weight: 0, Bias: -1, InvFreq: -1, OutFactor: -1, Width: 1},
			{Kind: cpuengine.OpLinear, Name: "qkv", In: 0, Out: 1, Weight: 1, Bias: -1, InvFreq: -1, OutFactor: -1, N: 3 * heads * size, K: 1},
			{Kind: cpuengine.OpAttention, Name: "attention", In: 1, Out: 2, Weight: -1, Bias: -1, InvFreq: -1, OutFactor: -1, Heads: heads, KVHeads: heads, HeadSize: size, Scale: 1},
			{Kind: cpuengine.OpSelect, Name: "select", In: 0, Out: 3, Weight: -1, Bias: -1, InvFreq: -1, OutFactor: -1, Width: 1},
			{Kind: cpuengine.OpLinear, Name: "lm_head", In: 3, Out: 4, Weight: 2, Bias: -1, InvFreq: -1, OutFactor: -1, N: 4, K: 1},
		},
	}, []*testWeight{section("embedding.weight", rows, 4), section("qkv.weight", panel, 3*heads*size), section("lm_head.weight", panel, 4)})
}

// TestRefusedMemory asks for more than an address space, on a machine that does not
// tell its memory: the error tells how many bytes and what for, and nothing is left of
// the attempt.
func TestRefusedMemory(t *testing.T) {
	path := wideModel(t)
	before := addressSpace(t)
	for range 3 {
		_, err := open(t.Context(), path, Options{Threads: 3, MaxNumTokens: 8, KVCacheTokens: 1 << 34}, 0)
		require.ErrorIs(t, err, executor.ErrOutOfMemory)
		require.EqualError(t, err, path+": too little memory: CPU runner: the system refused 9007199254740992 bytes for the KV cache; ask for a smaller one")
		_, err = open(t.Context(), path, Options{Threads: 3, MaxNumTokens: 1 << 24, KVCacheTokens: 1}, 0)
		require.ErrorIs(t, err, executor.ErrOutOfMemory)
		require.EqualError(t, err, path+": too little memory: CPU runner: the system refused 422212465065984 bytes for activations of 16777216 tokens; lower max_num_tokens")
	}
	require.Less(t, addressSpace(t), before+1<<30)
	r, err := open(t.Context(), path, Options{Threads: 3, MaxNumTokens: 8, KVCacheTokens: 64}, 0)
	require.NoError(t, err)
	require.NoError(t, r.Close())
}

// TestRefusedThreads starts a process of its own that may not have much memory: the
// stacks of a thousand threads are refused, and a runner with few of them still opens.
func TestRefusedThreads(t *testing.T) {
	if path := os.Getenv("TRTGO_TEST_ENGINE"); path != "" {
		limit := unix.Rlimit{Cur: uint64(addressSpace(t)) + 1<<30, Max: unix.RLIM_INFINITY}
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_AS, &limit))
		_, err := Open(t.Context(), path, Options{Threads: 1000, KVCacheTokens: 32, MaxNumTokens: 8})
		require.ErrorContains(t, err, "the system refused thread ")
		require.ErrorContains(t, err, " of 1000; ask for fewer threads")
		require.NotErrorIs(t, err, executor.ErrOutOfMemory)
		step(t, openEngine(t, path, Options{Threads: 2, KVCacheTokens: 32, MaxNumTokens: 8}), piece([]int32{1}, 0, 0))
		return
	}
	inOwnProcess(t, "TRTGO_TEST_ENGINE="+smallModel(bf16).write(t))
}

// inOwnProcess runs the test that calls it again, in a process that has the setting
// in its environment and may bound its own memory.
func inOwnProcess(t *testing.T, setting string) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	if strings.Contains(string(maps), "libasan") || strings.Contains(string(maps), "libtsan") {
		t.Skip("the memory of a sanitized process cannot be bounded")
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), setting)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: "+t.Name())
}
