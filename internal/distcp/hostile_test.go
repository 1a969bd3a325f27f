package distcp_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/distcp"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/pickle"
)

const file = "__0_0.distcp"

// weight is the .metadata of the one part that there is.
func weight(more ...any) record {
	return metadata(
		pairs{"w", tensor("bfloat16", sized{3, 4}, chunk(sized{0, 0}, sized{3, 4}))},
		pairs{index("w", sized{0, 0}), at(file, 0, partSize)}, more...)
}

// The encoder of these tests makes what the reader accepts.
func TestEncodedMetadataIsRead(t *testing.T) {
	plans := list{record{name{"megatron.core.dist_checkpointing.strategies.torch", "MCoreSavePlan"}, pairs{
		"items", list{record{name{"torch.distributed.checkpoint.planner", "WriteItem"}, pairs{
			"type", call{name{"builtins", "getattr"}, tuple{name{"torch.distributed.checkpoint.planner", "WriteItemType"}, "SHARD"}},
		}}},
	}}}
	meta := record{name{records, "StorageMeta"}, pairs{"checkpoint_id", call{name{"pathlib._local", "PosixPath"}, tuple{"/", "run"}}}}
	c, err := distcp.Open(with(t, encode(weight("all_local_plans", plans, "storage_meta", meta, "mcore_data", pairs{"w", pairs{}}))))
	require.NoError(t, err)
	a, err := c.Tensor("w")
	require.NoError(t, err)
	data := make([]byte, a.Size())
	_, err = a.ReadAt(data, 0)
	require.NoError(t, err)
	requireCounted(t, "BF16", data)
}

func TestMetadataThatIsRefused(t *testing.T) {
	whole := pairs{index("w", sized{0, 0}), at(file, 0, partSize)}
	one := func(tensor any) record { return metadata(pairs{"w", tensor}, whole) }
	stored := func(storage ...any) record {
		return metadata(pairs{"w", tensor("bfloat16", sized{3, 4}, chunk(sized{0, 0}, sized{3, 4}))}, pairs(storage))
	}
	first := index("w", sized{0, 0})
	wrong := record{name{records, "TensorStorageMetadata"}, pairs{"properties", properties("bfloat16"), "size", sized{3, 4}}}
	many := make(sized, 65)
	for _, c := range []struct {
		what  string
		value any
		is    error
		want  string
	}{
		{"a call", weight("planner_data", call{name{"os", "system"}, tuple{"true"}}), pickle.ErrGlobal, "os.system"},
		{"a call in what is not needed", weight("all_local_plans", list{call{name{"builtins", "eval"}, tuple{"1"}}}), pickle.ErrGlobal, "builtins.eval"},
		{"an attribute of a module", weight("more", name{"torch.distributed.checkpoint.filesystem", "os.system"}), pickle.ErrGlobal, "filesystem.os.system"},
		{"a function of torch", weight("more", name{"torch", "load"}), pickle.ErrGlobal, "torch.load"},
		{"no metadata", pairs{}, distcp.ErrFormat, "it holds a dict of 0, not torch.distributed.checkpoint.metadata.Metadata"},
		{"no state", record{name{records, "Metadata"}, nil}, distcp.ErrFormat, "state_dict_metadata is nothing, not a dict"},
		{"a list of tensors", metadata(list{}, whole), distcp.ErrFormat, "state_dict_metadata is a list of 0, not a dict"},
		{"no storage", metadata(pairs{}, nil), distcp.ErrFormat, "storage_data is nothing, not a dict"},
		{"a tensor without a name", metadata(pairs{7, wrong}, whole), distcp.ErrFormat, "an item is named by 7, not by a string"},
		{"a tensor that is a number", one(7), distcp.ErrFormat, "item w is described by 7, neither by"},
		{"no chunks", one(wrong), distcp.ErrFormat, "tensor w: invalid distributed checkpoint: chunks is nothing, not a list"},
		{"65 dimensions", one(tensor("bfloat16", many)), distcp.ErrFormat, "size: invalid distributed checkpoint: a tuple of 65 is no size of at most 64 dimensions"},
		{"a negative dimension", one(tensor("bfloat16", sized{3, -4})), distcp.ErrFormat, "dimension 1 is -4"},
		{"a size of words", one(record{name{records, "TensorStorageMetadata"}, pairs{"size", tuple{"3"}}}), distcp.ErrFormat, `dimension 0 is "3"`},
		{"no properties", one(record{name{records, "TensorStorageMetadata"}, pairs{"size", sized{}, "chunks", list{}}}), distcp.ErrFormat, "properties is nothing"},
		{"a path that leads out", stored(first, at("../other", 0, partSize)), distcp.ErrFormat, `relative_path is "../other", which is no file of the checkpoint's own directory`},
		{"an absolute path", stored(first, at("/etc/passwd", 0, 1)), distcp.ErrFormat, "/etc/passwd"},
		{"the directory itself", stored(first, at("..", 0, 1)), distcp.ErrFormat, "relative_path"},
		{"no path", stored(first, at(nil, 0, 1)), distcp.ErrFormat, "relative_path"},
		{"a negative offset", stored(first, at(file, -1, partSize)), distcp.ErrFormat, "offset -1 and length 1577 are impossible"},
		{"an end beyond all numbers", stored(first, at(file, int64(math.MaxInt64), partSize)), distcp.ErrFormat, "are impossible"},
		{"storage of nothing", stored(first, 7), distcp.ErrFormat, "storage of w: invalid distributed checkpoint: it is described by 7"},
		{"a key that is a string", stored("w", at(file, 0, 1)), distcp.ErrFormat, `storage_data has the key "w"`},
		{"a key without a name", stored(index(nil, nil), at(file, 0, 1)), distcp.ErrFormat, "whose fqn is nothing"},
		{"two places for a part", stored(first, at(file, 0, 10), index("w", sized{0, 0}), at(file, 10, 10)), distcp.ErrFormat, "the part at [0 0] of w is stored twice"},
		{"two parts in a place", stored(first, at(file, 0, partSize), index("v", sized{0, 0}), at(file, partSize-1, 10)), distcp.ErrFormat,
			"in __0_0.distcp, w is stored up to byte 1577 and v from byte 1576 on"},
	} {
		_, err := distcp.Open(with(t, encode(c.value)))
		require.ErrorIs(t, err, c.is, c.what)
		require.ErrorContains(t, err, c.want, c.what)
		require.ErrorContains(t, err, ".metadata: ", c.what)
		require.Less(t, len(err.Error()), 600)
	}
	_, err := distcp.Open(with(t, nil))
	require.ErrorIs(t, err, distcp.ErrFormat)
	require.ErrorContains(t, err, "it is empty")
}

func TestTensorsThatAreRefused(t *testing.T) {
	place := func(offset sized) pairs { return pairs{index("w", offset), at(file, 0, partSize)} }
	sparse := tensor("bfloat16", sized{3, 4}).state.(pairs)
	sparse[1] = record{name{records, "TensorProperties"}, tuple{name{"torch", "bfloat16"}, call{name{"torch.serialization", "_get_layout"}, tuple{"torch.sparse_coo"}}}}
	for _, c := range []struct {
		what    string
		tensor  record
		storage pairs
		is      error
		want    string
	}{
		{"a gap", tensor("bfloat16", sized{4, 4}, chunk(sized{0, 0}, sized{3, 4})), place(sized{0, 0}), chunked.ErrTiling, "no chunk has the element at [3 0]"},
		{"no part", tensor("bfloat16", sized{4, 4}), place(sized{0, 0}), chunked.ErrTiling, "no chunk has the element at [0 0]"},
		{"an overlap", tensor("bfloat16", sized{4, 4}, chunk(sized{0, 0}, sized{3, 4}), chunk(sized{1, 0}, sized{3, 4})),
			append(place(sized{0, 0}), index("w", sized{1, 0}), at("other", 0, 0)), distcp.ErrFormat, "is in a file that is missing"},
		{"a part beyond the edge", tensor("bfloat16", sized{3, 4}, chunk(sized{1, 0}, sized{3, 4})), place(sized{1, 0}), chunked.ErrTiling, "reaches beyond"},
		{"a part of other dimensions", tensor("bfloat16", sized{3, 4}, chunk(sized{0}, sized{3})), place(sized{0}), chunked.ErrTiling, "other dimensions"},
		{"a part of another shape", tensor("bfloat16", sized{6, 2}, chunk(sized{0, 0}, sized{6, 2})), place(sized{0, 0}), distcp.ErrFormat,
			"it is a tensor of shape [3 4] and dtype BF16, but .metadata says [6 2] and BF16"},
		{"a part of another dtype", tensor("float16", sized{3, 4}, chunk(sized{0, 0}, sized{3, 4})), place(sized{0, 0}), distcp.ErrFormat, "says [3 4] and F16"},
		{"a part that is not stored", tensor("bfloat16", sized{3, 4}, chunk(sized{0, 0}, sized{3, 4})), place(sized{1, 0}), distcp.ErrFormat, "where the part at [0 0] is stored"},
		{"an end beyond the file's", tensor("bfloat16", sized{3, 4}, chunk(sized{0, 0}, sized{3, 4})), pairs{index("w", sized{0, 0}), at(file, 1, partSize)}, distcp.ErrFormat,
			"__0_0.distcp, bytes 1 to 1578 hold the part at [0 0], but the file ends at 1577"},
		{"too few bytes", tensor("bfloat16", sized{3, 4}, chunk(sized{0, 0}, sized{3, 4})), pairs{index("w", sized{0, 0}), at(file, 0, partSize-1)}, nil, "bytes 0 to 1576"},
		{"no bytes", tensor("bfloat16", sized{3, 4}, chunk(sized{0, 0}, sized{3, 4})), pairs{index("w", sized{0, 0}), at(file, 0, 0)}, nil, "bytes 0 to 0"},
		{"a part that is a number", tensor("bfloat16", sized{3, 4}, 7), place(sized{0, 0}), distcp.ErrFormat, "a part is described by 7"},
		{"more bytes than there are numbers", tensor("bfloat16", sized{1 << 40, 1 << 40}), place(sized{0, 0}), nil, "more elements than any file can hold"},
		{"a sparse tensor", record{name{records, "TensorStorageMetadata"}, sparse}, place(sized{0, 0}), distcp.ErrUnsupported, "layout torch.sparse_coo is not supported"},
		{"a quantised tensor", tensor("qint8", sized{3, 4}), place(sized{0, 0}), distcp.ErrUnsupported, "dtype qint8 is not supported"},
	} {
		open, err := distcp.Open(with(t, encode(metadata(pairs{"w", c.tensor}, c.storage))))
		require.NoError(t, err, c.what)
		a, err := open.Tensor("w")
		if err == nil {
			_, err = a.ReadAt(make([]byte, a.Size()), 0)
		}
		require.Error(t, err, c.what)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, c.what)
		}
		require.ErrorContains(t, err, c.want, c.what)
		require.Less(t, len(err.Error()), 600)
	}
}

// One list of parts may be that of every tensor: a small file then describes many
// more parts than it has bytes, which must not cost anything.
func TestSharedPartsAreNotMultiplied(t *testing.T) {
	parts := list{}
	for i := range int64(2000) {
		parts = append(parts, chunk(sized{i}, sized{0}))
	}
	all := &shared{parts}
	tensors := pairs{}
	for i := range 2000 {
		state := pairs{"properties", properties("bfloat16"), "size", sized{2000}, "chunks", all}
		tensors = append(tensors, fmt.Sprint("t", i), record{name{records, "TensorStorageMetadata"}, state})
	}
	c, err := distcp.Open(with(t, encode(metadata(tensors, pairs{}))))
	require.NoError(t, err)
	require.Len(t, c.Names(), 2000)
	_, err = c.Tensor("t7")
	require.ErrorIs(t, err, chunked.ErrTiling)
}

func TestCutMetadata(t *testing.T) {
	for _, name := range []string{"torch-dist-tp2", "dcp"} {
		text, err := filetree.ReadFile(fixture(t, name), ".metadata", 1<<20)
		require.NoError(t, err)
		for n := 0; n < len(text); n += 13 {
			_, err := distcp.Open(memory{".metadata": string(text[:n])})
			require.Error(t, err, "%d of %d bytes", n, len(text))
		}
	}
}

// memory is a tree of files in memory.
type memory map[string]string

type memoryFile struct{ *strings.Reader }

func (m memory) Names() []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}

func (m memory) Open(name string) (filetree.File, error) {
	return memoryFile{strings.NewReader(m[name])}, nil
}
func (m memory) Close() error { return nil }

func FuzzMetadata(f *testing.F) {
	for _, name := range []string{"torch-dist", "torch-dist-tp2", "torch-dist-flat", "dcp", "dcp-dtensor", "dcp-transformed"} {
		text, err := filetree.ReadFile(fixture(f, name), ".metadata", 1<<20)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add(encode(weight("all_local_plans", list{})))
	part, err := filetree.ReadFile(fixture(f, "dcp-transformed"), file, 1<<20)
	require.NoError(f, err)
	f.Fuzz(func(_ *testing.T, text []byte) {
		c, err := distcp.Open(memory{".metadata": string(text), file: string(part)})
		if err != nil {
			return
		}
		for _, name := range c.Names()[:min(20, len(c.Names()))] {
			if a, err := c.Tensor(name); err == nil {
				a.ReadAt(make([]byte, min(a.Size(), 1000)), 0)
			}
		}
	})
}
