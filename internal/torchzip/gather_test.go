package torchzip_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/torchzip"
)

// stored is one storage of random bytes, and views of it as float16.
func stored(t *testing.T, elements int64, views [][2][]int64, offsets []int64) ([]byte, []*torchzip.Tensor) {
	content := make([]byte, 2*elements)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	var pairs []string
	for i, v := range views {
		pairs = append(pairs, str(fmt.Sprint(i)), tensor(storage("HalfStorage", "0", elements), offsets[i], nums(v[0]...), nums(v[1]...)))
	}
	file := archiveOf(entry{name: "a/data.pkl", data: pkl(dict(pairs...))}, entry{name: "a/data/0", data: string(content)})
	f, err := torchzip.New(bytes.NewReader(file), int64(len(file)), "views", torchzip.Options{})
	require.NoError(t, err)
	state, err := f.Tensors()
	require.NoError(t, err)
	var tensors []*torchzip.Tensor
	for _, name := range state.Names {
		tensors = append(tensors, state.Tensors[name])
	}
	return content, tensors
}

// element gives the position in the storage of element i in row-major order.
func element(t *torchzip.Tensor, i int64) int64 {
	at := t.StorageOffset
	for d := len(t.Shape) - 1; d >= 0; d-- {
		at += i % t.Shape[d] * t.Stride[d]
		i /= t.Shape[d]
	}
	return at
}

// Any part of any view is what its strides say, also where the storage is too
// large to be read at once.
func TestRandomViews(t *testing.T) {
	const elements = 3 << 20
	r := rand.New(rand.NewPCG(1, 1))
	views := [][2][]int64{
		{{1536, 2048}, {1, 1536}}, // all of it, by columns
		{{3, 5}, {1 << 20, 200000}},
		{{3 << 20}, {1}},
		{{40, 3}, {50000, 0}},
	}
	for range 60 {
		var shape, stride []int64
		span := int64(1)
		for range 1 + r.IntN(4) {
			n, s := 1+r.Int64N(30), r.Int64N(60)
			if r.IntN(4) == 0 {
				s *= r.Int64N(2000)
			}
			if span+(n-1)*s <= elements {
				span += (n - 1) * s
				shape, stride = append(shape, n), append(stride, s)
			}
		}
		views = append(views, [2][]int64{shape, stride})
	}
	content, tensors := stored(t, elements, views, make([]int64, len(views)))
	for i, tensor := range tensors {
		for range 4 {
			at := r.Int64N(tensor.Size)
			part := make([]byte, 1+r.Int64N(min(tensor.Size-at, 50000)))
			n, err := tensor.ReadAt(part, at)
			require.NoError(t, err)
			require.Equal(t, len(part), n)
			for k, got := range part {
				b := at + int64(k)
				if want := content[2*element(tensor, b/2)+b%2]; got != want {
					t.Fatalf("view %d, shape %v, strides %v: byte %d is %d, not %d", i, tensor.Shape, tensor.Stride, b, got, want)
				}
			}
		}
	}
}

// A matrix stored by columns is read in bands without reading all of it for each.
func TestReadsOfColumns(t *testing.T) {
	const rows, columns = 8192, 256
	file := archiveOf(
		entry{name: "a/data.pkl", data: pkl(dict(str("w"), tensor(storage("HalfStorage", "0", rows*columns), 0, nums(rows, columns), nums(1, rows))))},
		entry{name: "a/data/0", data: string(make([]byte, 2*rows*columns))})
	r := &reads{Reader: bytes.NewReader(file)}
	f, err := torchzip.New(r, int64(len(file)), "columns", torchzip.Options{})
	require.NoError(t, err)
	state, err := f.Tensors()
	require.NoError(t, err)
	band := make([]byte, 256*columns*2)
	for at := int64(0); at < 2*rows*columns; at += int64(len(band)) {
		r.ranges = nil
		_, err := state.Tensors["w"].ReadAt(band, at)
		require.NoError(t, err)
		read := int64(0)
		for _, x := range r.ranges {
			read += x[1] - x[0]
		}
		require.LessOrEqual(t, read, 5*int64(len(band)))
		require.LessOrEqual(t, len(r.ranges), columns)
	}
}
