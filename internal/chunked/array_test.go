package chunked_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/chunked"
)

// cutAt gives random edges of an axis.
func cutAt(r *rand.Rand, n int64) []int64 {
	edges := []int64{0}
	for at := int64(0); at < n; {
		at = min(n, at+1+r.Int64N(n))
		edges = append(edges, at)
	}
	return edges
}

// divide cuts a rectangle into chunks, at random and differently in each part, and
// stores each with the elements' numbers, now and then in a larger shape.
func divide(r *rand.Rand, whole, offset, shape []int64, axis int, width int) []chunked.Chunk {
	if axis < len(shape) {
		edges := cutAt(r, shape[axis])
		var out []chunked.Chunk
		for i, from := range edges[:len(edges)-1] {
			o, s := append([]int64{}, offset...), append([]int64{}, shape...)
			o[axis], s[axis] = offset[axis]+from, edges[i+1]-from
			out = append(out, divide(r, whole, o, s, axis+1, width)...)
		}
		return out
	}
	stored := append([]int64{}, shape...)
	for i := range stored {
		if r.IntN(4) == 0 {
			stored[i] += r.Int64N(3)
		}
	}
	at := r.Int64N(5)
	data := bytes.Repeat([]byte{0xee}, int(at))
	walk(stored, func(index []int64) {
		n := int64(0)
		inside := true
		for i := range index {
			n = n*whole[i] + offset[i] + index[i]
			inside = inside && index[i] < shape[i]
		}
		if !inside {
			n = 0xdddd
		}
		data = append(data, element(n, width)...)
	})
	return []chunked.Chunk{{Name: fmt.Sprint(offset), Offset: offset, Shape: shape, Stored: stored, Bytes: bytes.NewReader(data), At: at}}
}

func element(n int64, width int) []byte {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n)*0x0101010101010101)
	return b[:width]
}

func walk(shape []int64, visit func([]int64)) {
	index := make([]int64, len(shape))
	var at func(int)
	at = func(axis int) {
		if axis == len(shape) {
			visit(index)
			return
		}
		for index[axis] = 0; index[axis] < shape[axis]; index[axis]++ {
			at(axis + 1)
		}
	}
	at(0)
}

func TestReadAtGivesTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		width := []int{1, 2, 4, 8}[r.IntN(4)]
		dtype := map[int]string{1: "U8", 2: "BF16", 4: "F32", 8: "F64"}[width]
		shape := make([]int64, r.IntN(5))
		for i := range shape {
			shape[i] = 1 + r.Int64N(7)
		}
		chunks := divide(r, shape, make([]int64, len(shape)), shape, 0, width)
		r.Shuffle(len(chunks), func(i, j int) { chunks[i], chunks[j] = chunks[j], chunks[i] })
		a, err := chunked.New(dtype, shape, chunks)
		require.NoError(t, err)
		var want []byte
		n := int64(0)
		walk(shape, func([]int64) { want = append(want, element(n, width)...); n++ })
		require.Equal(t, int64(len(want)), a.Size())
		require.Equal(t, dtype, a.Dtype())
		require.Equal(t, shape, a.Shape())
		if len(shape) > 0 {
			require.Equal(t, a.Size(), a.RowBytes()*shape[0])
		}
		for range 10 {
			off := r.IntN(len(want) + 1)
			got := make([]byte, r.IntN(len(want)-off+1))
			read, err := a.ReadAt(got, int64(off))
			require.NoError(t, err)
			require.Equal(t, len(got), read)
			require.Equal(t, want[off:off+len(got)], got)
		}
		got := make([]byte, len(want)+1)
		read, err := a.ReadAt(got, 0)
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, want, got[:read])
		_, err = a.ReadAt(got, int64(len(want))+1)
		require.ErrorContains(t, err, "lies outside")
	}
}

func TestOverlapsAndGapsAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		shape := []int64{2 + r.Int64N(6), 2 + r.Int64N(6), 2 + r.Int64N(6)}
		chunks := divide(r, shape, []int64{0, 0, 0}, shape, 0, 1)
		i := r.IntN(len(chunks))
		_, err := chunked.New("U8", shape, append(append([]chunked.Chunk{}, chunks[:i]...), chunks[i+1:]...))
		require.ErrorIs(t, err, chunked.ErrTiling)
		require.ErrorContains(t, err, "no chunk has the element at "+fmt.Sprint(chunks[i].Offset))
		_, err = chunked.New("U8", shape, append(chunks, chunks[i]))
		require.ErrorIs(t, err, chunked.ErrTiling)
		require.ErrorContains(t, err, "overlap")
	}
}

func TestChunksThatDoNotFit(t *testing.T) {
	chunk := func(offset, shape []int64) []chunked.Chunk {
		return []chunked.Chunk{{Name: "c0", Offset: offset, Shape: shape, Bytes: bytes.NewReader(nil)}}
	}
	for _, c := range []struct {
		dtype  string
		shape  []int64
		chunks []chunked.Chunk
		want   string
	}{
		{"F32", []int64{4, 4}, chunk([]int64{0, 1}, []int64{4, 4}), "chunk c0 of shape [4 4] at [0 1] reaches beyond the array's shape [4 4]"},
		{"F32", []int64{4, 4}, chunk([]int64{-1, 0}, []int64{4, 4}), "reaches beyond"},
		{"F32", []int64{4, 4}, chunk([]int64{1 << 62, 0}, []int64{4, 4}), "reaches beyond"},
		{"F32", []int64{4, 4}, chunk([]int64{0}, []int64{4}), "has other dimensions"},
		{"F32", []int64{4, 4}, nil, "no chunk has the element at [0 0]"},
		{"F32", []int64{1 << 40, 1 << 40}, nil, "more elements than any file can hold"},
		{"F4", []int64{4, 4}, nil, "cannot be read in chunks"},
		{"BF15", []int64{4, 4}, nil, "cannot be read in chunks"},
		{"F32", make([]int64, 65), nil, "65 dimensions"},
	} {
		_, err := chunked.New(c.dtype, c.shape, c.chunks)
		require.ErrorContains(t, err, c.want)
	}
	a, err := chunked.New("F32", []int64{0, 4}, chunk([]int64{0, 0}, []int64{0, 4}))
	require.NoError(t, err)
	require.Zero(t, a.Size())
}

// Thousands of chunks along a diagonal would make a grid of millions of cells.
func TestIrregularChunksAreBounded(t *testing.T) {
	const n = 6000
	var chunks []chunked.Chunk
	for i := range int64(n) {
		chunks = append(chunks, chunked.Chunk{Offset: []int64{i, i}, Shape: []int64{1, 1}})
	}
	_, err := chunked.New("U8", []int64{n, n}, chunks)
	require.ErrorContains(t, err, "divided too irregularly")
}

// counting counts reads, and fails them when told to.
type counting struct {
	io.ReaderAt
	reads, bytes int
	fail         error
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	c.bytes += len(p)
	if c.fail != nil {
		return 0, c.fail
	}
	return c.ReaderAt.ReadAt(p, off)
}

// A band of rows is one read of each chunk, without more bytes than it has.
func TestBandsTakeOneReadPerChunk(t *testing.T) {
	const rows, columns, parts = 512, 64, 8
	sources := make([]*counting, parts)
	var chunks []chunked.Chunk
	for i := range sources {
		sources[i] = &counting{ReaderAt: bytes.NewReader(bytes.Repeat([]byte{byte(i)}, rows*columns*2))}
		chunks = append(chunks, chunked.Chunk{Offset: []int64{0, 0, int64(i * columns)}, Shape: []int64{1, rows, columns}, Bytes: sources[i]})
	}
	a, err := chunked.New("BF16", []int64{1, rows, columns * parts}, chunks)
	require.NoError(t, err)
	band := make([]byte, 128*columns*parts*2)
	_, err = a.ReadAt(band, 64*columns*parts*2)
	require.NoError(t, err)
	for i, s := range sources {
		require.Equal(t, 1, s.reads)
		require.Equal(t, 128*columns*2, s.bytes)
		require.Equal(t, byte(i), band[i*columns*2])
	}
	require.Less(t, testing.AllocsPerRun(10, func() { a.ReadAt(band, 0) }), 300.0)
}

// A narrow part of wide rows is not read through.
func TestFarRunsAreReadOneByOne(t *testing.T) {
	const rows, stored, columns = 4, 100_000, 10
	source := &counting{ReaderAt: bytes.NewReader(make([]byte, rows*stored))}
	a, err := chunked.New("U8", []int64{rows, columns}, []chunked.Chunk{
		{Offset: []int64{0, 0}, Shape: []int64{rows, columns}, Stored: []int64{rows, stored}, Bytes: source},
	})
	require.NoError(t, err)
	_, err = a.ReadAt(make([]byte, a.Size()), 0)
	require.NoError(t, err)
	require.Equal(t, rows, source.reads)
	require.Equal(t, rows*columns, source.bytes)
}

// Much at once is read in pieces of a bounded size.
func TestScratchIsBounded(t *testing.T) {
	const rows, columns = 3000, 4096
	var chunks []chunked.Chunk
	sources := make([]*counting, 2)
	for i := range sources {
		sources[i] = &counting{ReaderAt: bytes.NewReader(bytes.Repeat([]byte{byte(1 + i)}, rows*columns))}
		chunks = append(chunks, chunked.Chunk{Offset: []int64{0, int64(i * columns)}, Shape: []int64{rows, columns}, Bytes: sources[i]})
	}
	a, err := chunked.New("U8", []int64{rows, 2 * columns}, chunks)
	require.NoError(t, err)
	all := make([]byte, a.Size())
	_, err = a.ReadAt(all, 0)
	require.NoError(t, err)
	require.Equal(t, 3, sources[0].reads)
	require.Equal(t, rows*columns, bytes.Count(all, []byte{1}))
	require.Equal(t, bytes.Repeat([]byte{2}, columns), all[columns:2*columns])
}

func TestReadErrorsNameTheChunk(t *testing.T) {
	failed := errors.New("bad sector")
	chunks := []chunked.Chunk{
		{Name: "x/0.0", Offset: []int64{0, 0}, Shape: []int64{2, 2}, Bytes: bytes.NewReader(make([]byte, 4))},
		{Name: "x/0.1", Offset: []int64{0, 2}, Shape: []int64{2, 2}, Bytes: &counting{fail: failed}},
	}
	a, err := chunked.New("U8", []int64{2, 4}, chunks)
	require.NoError(t, err)
	_, err = a.ReadAt(make([]byte, 8), 0)
	require.ErrorIs(t, err, failed)
	require.ErrorContains(t, err, "chunk x/0.1: bad sector")
	chunks[1].Bytes = bytes.NewReader(make([]byte, 3))
	a, err = chunked.New("U8", []int64{2, 4}, chunks)
	require.NoError(t, err)
	_, err = a.ReadAt(make([]byte, 8), 0)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestConcurrentReads(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	shape := []int64{6, 7, 8}
	a, err := chunked.New("F32", shape, divide(r, shape, []int64{0, 0, 0}, shape, 0, 4))
	require.NoError(t, err)
	want := make([]byte, a.Size())
	_, err = a.ReadAt(want, 0)
	require.NoError(t, err)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for off := range want {
				got := make([]byte, min(100, len(want)-off))
				if _, err := a.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, want[off:off+len(got)]) {
					t.Errorf("at %d: %v", off, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// BenchmarkBands reads a tensor that eight processes divided along its rows, as
// the output of an attention is, in bands of eight megabytes.
func BenchmarkBands(b *testing.B) {
	const rows, columns, parts = 4096, 512, 8
	var chunks []chunked.Chunk
	for i := range int64(parts) {
		chunks = append(chunks, chunked.Chunk{Offset: []int64{0, i * columns}, Shape: []int64{rows, columns}, Bytes: bytes.NewReader(make([]byte, rows*columns*2))})
	}
	a, err := chunked.New("BF16", []int64{rows, columns * parts}, chunks)
	require.NoError(b, err)
	band := make([]byte, 8<<20)
	b.SetBytes(a.Size())
	for b.Loop() {
		for off := int64(0); off < a.Size(); off += int64(len(band)) {
			a.ReadAt(band, off)
		}
	}
}

// BenchmarkNew lays out as many chunks as the largest published checkpoint has in
// a tensor, and more.
func BenchmarkNew(b *testing.B) {
	var chunks []chunked.Chunk
	for layer := range int64(96) {
		for part := range int64(64) {
			chunks = append(chunks, chunked.Chunk{Offset: []int64{layer, part * 16, 0}, Shape: []int64{1, 16, 8}})
		}
	}
	for b.Loop() {
		_, err := chunked.New("BF16", []int64{96, 1024, 8}, chunks)
		require.NoError(b, err)
	}
}
