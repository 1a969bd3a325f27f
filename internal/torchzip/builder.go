package torchzip

import (
	"fmt"

	"github.com/trtgo/trtgo/internal/pickle"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// dtypes maps PyTorch's names to those of safetensors.
var dtypes = map[string]string{
	"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
	"int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
	"uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL", "complex64": "C64",
	"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
	"float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
}

// storageClasses gives the dtype of each class of storage. An untyped one counts
// bytes.
var storageClasses = map[pickle.Global]string{
	{Module: "torch", Name: "DoubleStorage"}:   "F64",
	{Module: "torch", Name: "FloatStorage"}:    "F32",
	{Module: "torch", Name: "HalfStorage"}:     "F16",
	{Module: "torch", Name: "BFloat16Storage"}: "BF16",
	{Module: "torch", Name: "LongStorage"}:     "I64",
	{Module: "torch", Name: "IntStorage"}:      "I32",
	{Module: "torch", Name: "ShortStorage"}:    "I16",
	{Module: "torch", Name: "CharStorage"}:     "I8",
	{Module: "torch", Name: "ByteStorage"}:     "U8",
	{Module: "torch", Name: "BoolStorage"}:     "BOOL",

	{Module: "torch", Name: "ComplexFloatStorage"}:    "C64",
	{Module: "torch.storage", Name: "UntypedStorage"}: "U8",
}

var bytesIO = pickle.Global{Module: "_io", Name: "BytesIO"}

// plain are the other names that may occur: those of PyTorch's weights_only
// loader that say nothing about tensors, and BytesIO, in which Transformer Engine
// keeps its state.
var plain = map[pickle.Global]bool{
	{Module: "collections", Name: "OrderedDict"}:             true,
	{Module: "collections", Name: "Counter"}:                 true,
	{Module: "_codecs", Name: "encode"}:                      true,
	{Module: "builtins", Name: "bytearray"}:                  true,
	{Module: "builtins", Name: "bytes"}:                      true,
	{Module: "builtins", Name: "set"}:                        true,
	{Module: "builtins", Name: "complex"}:                    true,
	{Module: "torch", Name: "Size"}:                          true,
	{Module: "torch", Name: "Tensor"}:                        true,
	{Module: "torch", Name: "device"}:                        true,
	{Module: "torch.nn.parameter", Name: "Parameter"}:        true,
	{Module: "torch.serialization", Name: "_get_layout"}:     true,
	{Module: "torch._tensor", Name: "_rebuild_from_type_v2"}: true,
	bytesIO: true,
}

// rebuilders make tensors of their arguments, as torch/_utils.py has them.
var rebuilders = map[string]func(pickle.Tuple) (*Tensor, error){
	"_rebuild_tensor":               func(a pickle.Tuple) (*Tensor, error) { return rebuild(a, 4, 4, false) },
	"_rebuild_tensor_v2":            func(a pickle.Tuple) (*Tensor, error) { return rebuild(a, 6, 7, false) },
	"_rebuild_tensor_v3":            func(a pickle.Tuple) (*Tensor, error) { return rebuild(a, 7, 8, true) },
	"_rebuild_parameter":            parameter,
	"_rebuild_parameter_with_state": parameter,
}

// storageID is a persistent id.
type storageID struct {
	key   string
	bytes int64
	width int64 // of one element
}

// builder puts tensors where a pickle would call for them.
type builder struct {
	o       Options
	storage func(storageID) (*Storage, error)
}

func newBuilder(o Options) *builder { return &builder{o: o} }

func (b *builder) options() pickle.Options {
	return pickle.Options{Allow: b.allow, Persistent: b.persistent, Construct: construct, Limits: b.o.limits()}
}

func (b *builder) allow(module, name string) bool {
	g := pickle.Global{Module: module, Name: name}
	switch {
	case plain[g], storageClasses[g] != "":
		return true
	case module == "torch" && dtypes[name] != "":
		return true
	case module == "torch._utils" && rebuilders[name] != nil:
		return true
	}
	return b.o.Allow != nil && b.o.Allow(module, name)
}

// persistent reads ("storage", class, key, location, elements), in files of
// before 1.6 followed by what the storage is a view of.
func (b *builder) persistent(id any) (any, error) {
	t, _ := id.(pickle.Tuple)
	if len(t) > 0 && t[0] == "module" {
		return nil, fmt.Errorf("a module saved with its source code is %w: save its state_dict()", ErrUnsupported)
	}
	if len(t) < 5 || len(t) > 6 || t[0] != "storage" {
		return nil, fmt.Errorf("%w: a persistent id names no storage", ErrFormat)
	}
	if len(t) == 6 && t[5] != nil {
		return nil, fmt.Errorf("a storage that is a view of another one is %w: save the file with a newer PyTorch", ErrUnsupported)
	}
	class, _ := t[1].(pickle.Global)
	dtype := storageClasses[class]
	if dtype == "" {
		return nil, fmt.Errorf("%w: a persistent id names no class of storage (%v)", ErrFormat, class)
	}
	key, ok := t[2].(string)
	n, ok2 := t[4].(int64)
	if !ok || !ok2 {
		return nil, fmt.Errorf("%w: a persistent id has no key and number of elements", ErrFormat)
	}
	bytes, err := safetensors.Size(dtype, []int64{n})
	if err != nil {
		return nil, fmt.Errorf("%w: storage %s: %w", ErrFormat, key, err)
	}
	s, err := b.storage(storageID{key, bytes, width(dtype)})
	if err != nil {
		return nil, err
	}
	return &TypedStorage{Storage: s, Dtype: dtype}, nil
}

// width gives the bytes of an element.
func width(dtype string) int64 {
	bits, _ := safetensors.DtypeBits(dtype)
	return bits / 8
}

// construct makes tensors and sizes.
func construct(class pickle.Global, args pickle.Tuple) (any, bool, error) {
	switch {
	case class.Module == "torch._utils" && rebuilders[class.Name] != nil:
		t, err := rebuilders[class.Name](args)
		return t, true, err
	case class == pickle.Global{Module: "torch._tensor", Name: "_rebuild_from_type_v2"}:
		t, err := fromType(args)
		return t, true, err
	case class == pickle.Global{Module: "torch", Name: "Size"}:
		if len(args) == 1 {
			if size, ok := args[0].(pickle.Tuple); ok {
				return size, true, nil
			}
		}
		return nil, true, fmt.Errorf("%w: its argument is not a tuple", ErrFormat)
	}
	return nil, false, nil
}

// rebuild reads (storage, offset, size, stride, requires_grad, hooks, dtype,
// metadata), of which the first version has four and only the third the dtype.
func rebuild(args pickle.Tuple, least, most int, typed bool) (*Tensor, error) {
	if len(args) < least || len(args) > most {
		return nil, fmt.Errorf("%w: %d arguments for a tensor", ErrFormat, len(args))
	}
	storage, ok := args[0].(*TypedStorage)
	offset, ok2 := args[1].(int64)
	shape, ok3 := integers(args[2])
	stride, ok4 := integers(args[3])
	if !ok || !ok2 || !ok3 || !ok4 {
		return nil, fmt.Errorf("%w: a tensor without its storage, offset, size and stride", ErrFormat)
	}
	dtype := storage.Dtype
	if typed {
		name, _ := args[6].(pickle.Global)
		if dtype = dtypes[name.Name]; name.Module != "torch" || dtype == "" {
			return nil, fmt.Errorf("%w: %v is no dtype", ErrFormat, name)
		}
	}
	if len(args) == most && most > 4 {
		if d, ok := args[most-1].(*pickle.Dict); args[most-1] != nil && (!ok || len(d.Items) > 0) {
			return nil, fmt.Errorf("a conjugated or negated view is %w: save the tensor's clone()", ErrUnsupported)
		}
	}
	return newTensor(dtype, storage.Storage, offset, shape, stride)
}

// parameter reads (data, requires_grad, hooks) and the attributes set on it.
func parameter(args pickle.Tuple) (*Tensor, error) {
	if len(args) == 3 || len(args) == 4 {
		if t, ok := args[0].(*Tensor); ok {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w: a parameter without its tensor", ErrFormat)
}

// fromType reads (function, type, its arguments, state): a tensor with attributes
// or of a subclass.
func fromType(args pickle.Tuple) (*Tensor, error) {
	if len(args) == 4 {
		function, ok := args[0].(pickle.Global)
		inner, ok2 := args[2].(pickle.Tuple)
		if ok && ok2 && function.Module == "torch._utils" && rebuilders[function.Name] != nil {
			return rebuilders[function.Name](inner)
		}
	}
	return nil, fmt.Errorf("%w: the arguments make no tensor", ErrFormat)
}

func integers(v any) ([]int64, bool) {
	t, ok := v.(pickle.Tuple)
	list := make([]int64, len(t))
	for i, item := range t {
		n, isInt := item.(int64)
		list[i], ok = n, ok && isInt
	}
	return list, ok
}
