package torchzip_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/pickle"
	"github.com/trtgo/trtgo/internal/torchzip"
)

// described is a tensor as PyTorch sees it (scripts/torch_fixtures.py).
type described struct {
	Name, Dtype   string
	Shape, Stride []int64
	Offset        int64
	Bytes         string
}

func descriptions(t *testing.T) map[string][]described {
	text, err := os.ReadFile("testdata/tensors.json")
	require.NoError(t, err)
	var all map[string][]described
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

func open(t *testing.T, name string) *torchzip.File {
	f, err := torchzip.Open(filepath.Join("testdata", name), torchzip.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// Every tensor that torch.save wrote, in both forms, has torch's names in torch's
// order, dtype, shape, strides, and bytes, whichever part of them is read.
func TestTensors(t *testing.T) {
	for name, want := range descriptions(t) {
		for _, form := range []string{".pt", "-legacy.pt"} {
			t.Run(name+form, func(t *testing.T) {
				f := open(t, name+form)
				require.Equal(t, form != ".pt", f.Legacy())
				dict, err := f.Tensors()
				require.NoError(t, err)
				names := []string{}
				for _, w := range want {
					names = append(names, w.Name)
					tensor := dict.Tensors[w.Name]
					require.NotNil(t, tensor, w.Name)
					require.Equal(t, w.Dtype, tensor.Dtype, w.Name)
					require.Equal(t, w.Shape, tensor.Shape, w.Name)
					require.Equal(t, w.Stride, tensor.Stride, w.Name)
					require.Equal(t, w.Offset, tensor.StorageOffset, w.Name)
					content, err := hex.DecodeString(w.Bytes)
					require.NoError(t, err)
					checkContent(t, w.Name, tensor, content)
				}
				require.Equal(t, names, dict.Names)
				require.Len(t, dict.Tensors, len(names))
			})
		}
	}
}

// checkContent reads the tensor whole, row by row, and in random parts.
func checkContent(t *testing.T, name string, tensor *torchzip.Tensor, content []byte) {
	require.EqualValues(t, len(content), tensor.Size, name)
	whole, err := io.ReadAll(io.NewSectionReader(tensor, 0, tensor.Size))
	require.NoError(t, err, name)
	require.True(t, bytes.Equal(content, whole), name)
	if n := tensor.RowBytes(); n > 0 {
		for at := int64(0); at < tensor.Size; at += n {
			row := make([]byte, n)
			_, err := tensor.ReadAt(row, at)
			require.NoError(t, err, name)
			require.True(t, bytes.Equal(content[at:at+n], row), "%s at %d", name, at)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		at := r.IntN(len(content) + 1)
		part := make([]byte, r.IntN(len(content)-at+1))
		n, err := tensor.ReadAt(part, int64(at))
		require.NoError(t, err, name)
		require.Equal(t, len(part), n)
		require.True(t, bytes.Equal(content[at:at+n], part), "%s: %d bytes at %d", name, n, at)
	}
	n, err := tensor.ReadAt(make([]byte, 5), tensor.Size)
	require.Zero(t, n)
	require.ErrorIs(t, err, io.EOF)
	_, err = tensor.ReadAt(make([]byte, 1), tensor.Size+1)
	require.ErrorContains(t, err, "lies outside")
}

func TestSharedStorage(t *testing.T) {
	for _, name := range []string{"views.pt", "views-legacy.pt"} {
		dict, err := open(t, name).Tensors()
		require.NoError(t, err)
		require.Same(t, dict.Tensors["whole"].Storage, dict.Tensors["tied"].Storage)
		require.Same(t, dict.Tensors["whole"].Storage, dict.Tensors["transposed"].Storage)
		require.NotSame(t, dict.Tensors["whole"].Storage, dict.Tensors["scalar"].Storage)
		for _, contiguous := range []string{"whole", "rows", "scalar", "empty", "empty_view"} {
			require.True(t, dict.Tensors[contiguous].Contiguous(), contiguous)
		}
		for _, view := range []string{"column", "block", "transposed", "expanded", "permuted", "overlapping"} {
			require.False(t, dict.Tensors[view].Contiguous(), view)
		}
	}
}

// What is no tensor stays what it was, and a training checkpoint's state dict is
// found.
func TestRoot(t *testing.T) {
	for _, name := range []string{"checkpoint.pt", "checkpoint-legacy.pt"} {
		f := open(t, name)
		root := f.Root().(*pickle.Dict)
		get := func(key string) any {
			v, ok := root.Get(key)
			require.True(t, ok, key)
			return v
		}
		require.EqualValues(t, 3, get("epoch"))
		require.Equal(t, pickle.Global{Module: "torch", Name: "bfloat16"}, get("dtype"))
		require.Equal(t, pickle.Tuple{int64(4), int64(6)}, get("size"))
		require.Equal(t, []byte{0x80}, get("bytes"))
		require.Equal(t, "torch.device", get("device").(*pickle.Object).Class.String())
		require.Equal(t, pickle.Tuple{"torch.strided"}, get("layout").(*pickle.Object).Args)
		require.Equal(t, []any{int64(1)}, get("set").(*pickle.Set).Items)
		dict, err := f.Tensors()
		require.NoError(t, err)
		require.Equal(t, "state_dict", dict.Under)
		require.Equal(t, []string{"a._extra_state", "b._extra_state"}, dict.Others)
		state, _ := get("state_dict").(*pickle.Dict).Get("a._extra_state")
		inner, ok := torchzip.Bytes(state)
		require.True(t, ok)
		require.Equal(t, "inner", string(inner))
		_, ok = torchzip.Bytes(state.(*pickle.Object).Class)
		require.False(t, ok)
	}
	module := open(t, "module.pt").Root().(*pickle.Dict)
	require.NotNil(t, module.State, "the _metadata of a module's state dict")
}

func TestRefusedFiles(t *testing.T) {
	for name, want := range map[string]string{
		"module":     "torch.nn.modules.linear.Linear",
		"sparse":     "torch._utils._rebuild_sparse_tensor",
		"quantised":  "torch._utils._rebuild_qtensor",
		"meta":       "torch._utils._rebuild_meta_tensor_no_storage",
		"complex128": "torch.ComplexDoubleStorage",
		"conjugated": "conjugated or negated view is not supported",
		"subclass":   "__main__.Marked",
		"script":     "TorchScript archive (it has constants.pkl or code) is not supported",
	} {
		path := filepath.Join("testdata", "refused-"+name+".pt")
		_, err := torchzip.Open(path, torchzip.Options{})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, path)
	}
	// A caller may allow more, and gets it as data.
	f, err := torchzip.Open("testdata/refused-module.pt", torchzip.Options{Allow: func(string, string) bool { return true }})
	require.NoError(t, err)
	defer f.Close()
	w, _ := f.Root().(*pickle.Dict).Get("w")
	require.Equal(t, "torch.nn.modules.linear.Linear", w.(*pickle.Object).Class.String())
	_, err = f.Tensors()
	require.ErrorContains(t, err, "holds no tensors")
}

func TestInsideAnotherFile(t *testing.T) {
	for _, name := range []string{"views.pt", "views-legacy.pt"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		outer := append(append(bytes.Repeat([]byte("PK\x05\x06"), 333), content...), bytes.Repeat([]byte("x"), 77)...)
		f, err := torchzip.New(io.NewSectionReader(bytes.NewReader(outer), 4*333, int64(len(content))), int64(len(content)), "chunk", torchzip.Options{})
		require.NoError(t, err)
		dict, err := f.Tensors()
		require.NoError(t, err)
		for _, w := range descriptions(t)["views"] {
			want, _ := hex.DecodeString(w.Bytes)
			got := make([]byte, len(want))
			_, err := dict.Tensors[w.Name].ReadAt(got, 0)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), w.Name)
		}
		require.NoError(t, f.Close())
	}
}

// reads notes which bytes are read.
type reads struct {
	*bytes.Reader
	ranges [][2]int64
}

func (r *reads) ReadAt(p []byte, off int64) (int, error) {
	r.ranges = append(r.ranges, [2]int64{off, off + int64(len(p))})
	return r.Reader.ReadAt(p, off)
}

func TestOpeningReadsNoTensor(t *testing.T) {
	content, err := os.ReadFile("testdata/views.pt")
	require.NoError(t, err)
	r := &reads{Reader: bytes.NewReader(content)}
	f, err := torchzip.New(r, int64(len(content)), "views.pt", torchzip.Options{})
	require.NoError(t, err)
	dict, err := f.Tensors()
	require.NoError(t, err)
	for name, tensor := range dict.Tensors {
		s := tensor.Storage
		for _, got := range r.ranges {
			require.False(t, got[0] < s.Offset+s.Size && s.Offset < got[1], "%s: storage at %d, bytes %v were read", name, s.Offset, got)
		}
	}
}

// failing breaks off at an offset, as a disk does.
type failing struct {
	*bytes.Reader
	at int64
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.at {
		return 0, os.ErrDeadlineExceeded
	}
	return f.Reader.ReadAt(p, off)
}

// Whatever cannot be read is told with its cause.
func TestReadErrors(t *testing.T) {
	for _, name := range []string{"views.pt", "views-legacy.pt"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		for at := int64(0); at < int64(len(content)); at += 97 {
			f, err := torchzip.New(failing{bytes.NewReader(content), at}, int64(len(content)), "broken", torchzip.Options{})
			if err == nil { // the legacy form's last storages are not touched by opening
				var dict *torchzip.StateDict
				dict, err = f.Tensors()
				require.NoError(t, err)
				for _, n := range dict.Names {
					tensor := dict.Tensors[n]
					if _, readErr := tensor.ReadAt(make([]byte, tensor.Size), 0); readErr != nil {
						err = readErr
					}
				}
			}
			require.ErrorIs(t, err, os.ErrDeadlineExceeded, "%s fails at %d", name, at)
			require.True(t, strings.HasPrefix(err.Error(), "broken: "), err)
		}
	}
}

func TestTruncated(t *testing.T) {
	for _, name := range []string{"checkpoint.pt", "dtypes-legacy.pt", "parameters-legacy.pt"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		for n := 0; n < len(content); n += 5 {
			_, err := torchzip.New(bytes.NewReader(content[:n]), int64(n), "part", torchzip.Options{})
			require.Error(t, err, "%s cut to %d bytes", name, n)
			// A size that the file does not have.
			_, err = torchzip.New(bytes.NewReader(content[:n]), int64(len(content)), "part", torchzip.Options{})
			if name == "checkpoint.pt" {
				require.Error(t, err)
			}
		}
	}
}
