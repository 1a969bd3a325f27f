package distcp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/pickle"
)

const (
	records = "torch.distributed.checkpoint.metadata"
	files   = "torch.distributed.checkpoint.filesystem"
)

// The records that are looked into.
var (
	metadataClass  = pickle.Global{Module: records, Name: "Metadata"}
	tensorStorage  = pickle.Global{Module: records, Name: "TensorStorageMetadata"}
	bytesStorage   = pickle.Global{Module: records, Name: "BytesStorageMetadata"}
	chunkStorage   = pickle.Global{Module: records, Name: "ChunkStorageMetadata"}
	indexClass     = pickle.Global{Module: records, Name: "MetadataIndex"}
	storageInfo    = pickle.Global{Module: files, Name: "_StorageInfo"}
	sizeClass      = pickle.Global{Module: "torch", Name: "Size"}
	layoutFunction = pickle.Global{Module: "torch.serialization", Name: "_get_layout"}

	propertyClasses = []pickle.Global{
		{Module: records, Name: "TensorProperties"},
		{Module: "torch.distributed._shard.sharded_tensor.metadata", Name: "TensorProperties"}, // before PyTorch 2.3
	}
)

// dtypes gives the safetensors names of PyTorch's dtypes.
var dtypes = map[string]string{
	"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
	"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e8m0fnu": "F8_E8M0",
	"int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
	"uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
	"complex64": "C64",
}

// otherDtypes may be named, but not read.
var otherDtypes = []string{"complex128", "complex32", "qint8", "quint8", "qint32", "quint4x2", "quint2x4", "bits8", "bits16", "float4_e2m1fn_x2"}

// plain are the names that may occur besides those of dtypes and of the modules
// below: paths in storage_meta, and how enumerations are pickled by name.
var plain = map[string][]string{
	"torch":               {"Size"},
	"torch.serialization": {"_get_layout"},
	"collections":         {"OrderedDict"},
	"builtins":            {"getattr", "set", "frozenset"},
	"pathlib":             {"Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath", "PureWindowsPath"},
	"pathlib._local":      {"Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath", "PureWindowsPath"}, // Python 3.13
}

// modules are those of records of a checkpoint. Records that are not needed, such
// as those in all_local_plans, vary from release to release.
var modules = []string{"torch.distributed.checkpoint.", "torch.distributed._shard.", "megatron.core.dist_checkpointing."}

// allow says which names .metadata may have.
func allow(module, name string) bool {
	if slices.Contains(plain[module], name) {
		return true
	}
	if module == "torch" {
		_, known := dtypes[name]
		return known || slices.Contains(otherDtypes, name)
	}
	return slices.ContainsFunc(modules, func(m string) bool { return strings.HasPrefix(module, m) }) && !strings.Contains(name, ".")
}

func dictField(o *pickle.Object, name string) (*pickle.Dict, error) {
	value, _ := o.Field(name)
	d, ok := value.(*pickle.Dict)
	if !ok {
		return nil, fmt.Errorf("%w: %s is %s, not a dict", ErrFormat, name, kind(value))
	}
	return d, nil
}

func sizeField(o *pickle.Object, name string) ([]int64, error) {
	value, _ := o.Field(name)
	dims, err := size(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return dims, nil
}

// size reads a torch.Size, or the tuple or list of integers that it is made of.
func size(value any) ([]int64, error) {
	if o, ok := value.(*pickle.Object); ok && o.Class == sizeClass && len(o.Args) < 2 {
		value = pickle.Tuple{}
		if len(o.Args) == 1 {
			value = o.Args[0]
		}
	}
	items, ok := value.(pickle.Tuple)
	if list, isList := value.(*pickle.List); isList {
		items, ok = list.Items, true
	}
	if !ok || len(items) > maxDims {
		return nil, fmt.Errorf("%w: %s is no size of at most %d dimensions", ErrFormat, kind(value), maxDims)
	}
	dims := make([]int64, len(items))
	for i, item := range items {
		if dims[i], ok = item.(int64); !ok || dims[i] < 0 {
			return nil, fmt.Errorf("%w: dimension %d is %s", ErrFormat, i, shown(item))
		}
	}
	return dims, nil
}

// kind names a value for a message.
func kind(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case *pickle.Object:
		return fmt.Sprintf("a %.200s", v.Class)
	case pickle.Global:
		return fmt.Sprintf("the name %.200s", v)
	case pickle.Tuple:
		return fmt.Sprintf("a tuple of %d", len(v))
	case *pickle.List:
		return fmt.Sprintf("a list of %d", len(v.Items))
	case *pickle.Dict:
		return fmt.Sprintf("a dict of %d", len(v.Items))
	}
	return shown(value)
}

// shown gives a plain value as it is, and of others only what they are.
func shown(value any) string {
	switch v := value.(type) {
	case string:
		return fmt.Sprintf("%.100q", v)
	case int64, float64, bool:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%T", value)
}
