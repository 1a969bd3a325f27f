package distcp_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/filetree"
)

// What a test puts into a .metadata file.
type (
	name   struct{ module, name string }
	call   struct{ function, args any }
	record struct {
		class name
		state any
	}
	tuple  []any
	list   []any
	pairs  []any // key, value, key, value
	sized  []int64
	shared struct{ value any } // written once, and referred to by all who have the pointer
)

// encoder writes pickles of protocol 2.
type encoder struct {
	bytes.Buffer
	memo map[*shared]uint32
}

func encode(value any) []byte {
	e := &encoder{memo: map[*shared]uint32{}}
	e.WriteString("\x80\x02")
	e.value(value)
	e.WriteByte('.')
	return e.Bytes()
}

func (e *encoder) value(value any) {
	word := func(n uint32) { e.Write(binary.LittleEndian.AppendUint32(nil, n)) }
	switch v := value.(type) {
	case nil:
		e.WriteByte('N')
	case string:
		e.WriteByte('X')
		word(uint32(len(v)))
		e.WriteString(v)
	case int:
		e.value(int64(v))
	case int64:
		e.WriteString("\x8a\x08")
		e.Write(binary.LittleEndian.AppendUint64(nil, uint64(v)))
	case bool:
		e.WriteByte(map[bool]byte{true: 0x88, false: 0x89}[v])
	case name:
		e.WriteString("c" + v.module + "\n" + v.name + "\n")
	case call:
		e.value(v.function)
		e.value(v.args)
		e.WriteByte('R')
	case record:
		e.value(v.class)
		e.WriteString(")\x81")
		if v.state != nil {
			e.value(v.state)
			e.WriteByte('b')
		}
	case tuple:
		e.WriteByte('(')
		e.values(v)
		e.WriteByte('t')
	case list:
		e.WriteString("](")
		e.values(v)
		e.WriteByte('e')
	case pairs:
		e.WriteString("}(")
		e.values(v)
		e.WriteByte('u')
	case sized:
		dims := tuple{}
		for _, n := range v {
			dims = append(dims, n)
		}
		e.value(call{name{"torch", "Size"}, tuple{dims}})
	case *shared:
		if at, ok := e.memo[v]; ok {
			e.WriteByte('j')
			word(at)
			return
		}
		e.value(v.value)
		e.memo[v] = uint32(len(e.memo))
		e.WriteByte('r')
		word(e.memo[v])
	default:
		panic(v)
	}
}

func (e *encoder) values(values []any) {
	for _, v := range values {
		e.value(v)
	}
}

const records = "torch.distributed.checkpoint.metadata"

func chunk(offset, shape sized) record {
	return record{name{records, "ChunkStorageMetadata"}, pairs{"offsets", offset, "sizes", shape}}
}

func properties(dtype string) record {
	layout := call{name{"torch.serialization", "_get_layout"}, tuple{"torch.strided"}}
	return record{name{records, "TensorProperties"}, tuple{name{"torch", dtype}, layout, false, nil, false}}
}

func tensor(dtype string, shape sized, chunks ...any) record {
	return record{name{records, "TensorStorageMetadata"}, pairs{"properties", properties(dtype), "size", shape, "chunks", list(chunks)}}
}

func index(fqn any, offset any) record {
	return record{name{records, "MetadataIndex"}, pairs{"fqn", fqn, "index", nil, "offset", offset}}
}

func at(path any, offset, length any, more ...any) record {
	return record{name{"torch.distributed.checkpoint.filesystem", "_StorageInfo"}, append(pairs{"relative_path", path, "offset", offset, "length", length}, more...)}
}

func metadata(tensors, storage any, more ...any) record {
	return record{name{records, "Metadata"}, append(pairs{"state_dict_metadata", tensors, "planner_data", nil, "storage_data", storage}, more...)}
}

// partSize is the size of the one part in dcp-transformed: a tensor of shape [3 4]
// and dtype BF16.
const partSize = 1577

// with gives a checkpoint of that part and a .metadata file of its own.
func with(t *testing.T, text []byte) filetree.Tree {
	t.Helper()
	part, err := filetree.ReadFile(fixture(t, "dcp-transformed"), "__0_0.distcp", 1<<20)
	require.NoError(t, err)
	require.Len(t, part, partSize)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "__0_0.distcp"), part, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".metadata"), text, 0o644))
	tree, err := filetree.OpenDir(dir)
	require.NoError(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}
