package distcp

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/pickle"
)

// limitsFor bounds a .metadata of size bytes: the plans of a thousand processes take
// some hundred megabytes. Real ones have a value every three bytes and a memo entry
// every ten; denser ones are made to take memory.
func limitsFor(size int64) pickle.Limits {
	return pickle.Limits{
		Bytes:  1 << 30,
		Values: int(min(64<<20, max(4<<20, size/2))),
		Memo:   int(min(32<<20, max(1<<20, size/5))),
	}
}

// maxDims bounds the dimensions of a tensor, as PyTorch does.
const maxDims = 64

// tensor is a TensorStorageMetadata.
type tensor struct {
	dtype  string
	known  bool // to safetensors
	layout string
	shape  []int64
	parts  *pickle.List
}

// storageKey is a MetadataIndex: the name of an item and where in it a part is.
type storageKey struct{ name, offset string }

// location is a _StorageInfo.
type location struct {
	file           string
	offset, length int64
	transforms     string
}

// in tells for messages where in a file it is.
func (at location) in(file string) string {
	return fmt.Sprintf("%s, bytes %d to %d", file, at.offset, at.offset+at.length)
}

// read takes what is needed of the pickle; the rest of it is not looked into.
func (c *Checkpoint) read(f filetree.File) error {
	value, err := pickle.NewDecoder(f, f.Size(), pickle.Options{Allow: allow, Limits: limitsFor(f.Size())}).Decode()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it is empty", ErrFormat)
	}
	if err != nil {
		return err
	}
	root, ok := value.(*pickle.Object)
	if !ok || root.Class != metadataClass {
		return fmt.Errorf("%w: it holds %s, not %v", ErrFormat, kind(value), metadataClass)
	}
	items, err := dictField(root, "state_dict_metadata")
	if err != nil {
		return err
	}
	for _, item := range items.Items {
		if err := c.item(item); err != nil {
			return err
		}
	}
	stored, err := dictField(root, "storage_data")
	if err != nil {
		return err
	}
	for _, item := range stored.Items {
		if err := c.stored(item); err != nil {
			return err
		}
	}
	c.markReshaped(root)
	return c.checkOverlap()
}

// item takes one entry of state_dict_metadata.
func (c *Checkpoint) item(item pickle.Pair) error {
	name, ok := item.Key.(string)
	if !ok {
		return fmt.Errorf("%w: an item is named by %s, not by a string", ErrFormat, kind(item.Key))
	}
	o, ok := item.Value.(*pickle.Object)
	switch {
	case ok && o.Class == bytesStorage:
		c.objects = append(c.objects, name)
		return nil
	case ok && o.Class == tensorStorage:
		t, err := newTensor(o)
		if err != nil {
			return fmt.Errorf("tensor %.200s: %w", name, err)
		}
		c.names = append(c.names, name)
		c.tensors[name] = t
		return nil
	}
	return fmt.Errorf("%w: item %.200s is described by %s, neither by %v nor by %v", ErrFormat, name, kind(item.Value), tensorStorage, bytesStorage)
}

func newTensor(o *pickle.Object) (tensor, error) {
	shape, err := sizeField(o, "size")
	if err != nil {
		return tensor{}, err
	}
	value, _ := o.Field("chunks")
	parts, ok := value.(*pickle.List)
	if !ok {
		return tensor{}, fmt.Errorf("%w: chunks is %s, not a list", ErrFormat, kind(value))
	}
	t := tensor{shape: shape, parts: parts}
	return t, t.properties(o)
}

// properties reads TensorProperties: (dtype, layout, requires_grad, memory format,
// pin_memory).
func (t *tensor) properties(o *pickle.Object) error {
	value, _ := o.Field("properties")
	p, ok := value.(*pickle.Object)
	if !ok || !slices.Contains(propertyClasses, p.Class) {
		return fmt.Errorf("%w: properties is %s, not %v", ErrFormat, kind(value), propertyClasses[0])
	}
	state, ok := p.State.(pickle.Tuple)
	if !ok || len(state) < 2 {
		return fmt.Errorf("%w: properties is %s, not a tuple of dtype, layout and more", ErrFormat, kind(p.State))
	}
	dtype, ok := state[0].(pickle.Global)
	if !ok || dtype.Module != "torch" {
		return fmt.Errorf("%w: its dtype is %s", ErrFormat, kind(state[0]))
	}
	if t.dtype, t.known = dtypes[dtype.Name]; !t.known {
		t.dtype = dtype.Name
	}
	t.layout = "another layout"
	if l, ok := state[1].(*pickle.Object); ok && l.Class == layoutFunction && len(l.Args) == 1 {
		if name, ok := l.Args[0].(string); ok {
			t.layout = name
		}
	}
	return nil
}

// readable refuses tensors whose elements do not follow each other.
func (t *tensor) readable() error {
	if !t.known {
		return fmt.Errorf("dtype %.50s is %w", t.dtype, ErrUnsupported)
	}
	if t.layout != "torch.strided" {
		return fmt.Errorf("layout %.50s is %w: torch.strided is", t.layout, ErrUnsupported)
	}
	return nil
}

// stored takes one entry of storage_data.
func (c *Checkpoint) stored(item pickle.Pair) error {
	index, ok := item.Key.(*pickle.Object)
	if !ok || index.Class != indexClass {
		return fmt.Errorf("%w: storage_data has the key %s, not %v", ErrFormat, kind(item.Key), indexClass)
	}
	value, _ := index.Field("fqn")
	name, ok := value.(string)
	if !ok {
		return fmt.Errorf("%w: storage_data has a key whose fqn is %s", ErrFormat, kind(value))
	}
	at, err := newLocation(item.Value)
	if err != nil {
		return fmt.Errorf("storage of %.200s: %w", name, err)
	}
	key := storageKey{name: name}
	if value, ok := index.Field("offset"); ok && value != nil {
		offset, err := size(value)
		if err != nil {
			return fmt.Errorf("storage of %.200s: offset: %w", name, err)
		}
		key = keyOf(name, offset)
	}
	if _, ok := c.storage[key]; ok {
		return fmt.Errorf("%w: the part at %s of %.200s is stored twice", ErrFormat, key.offset, name)
	}
	c.storage[key] = at
	return nil
}

func keyOf(name string, offset []int64) storageKey {
	text := []byte{'['}
	for i, n := range offset {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, n, 10)
	}
	return storageKey{name, string(append(text, ']'))}
}

// newLocation reads a _StorageInfo. Files lie in the checkpoint's own directory.
func newLocation(value any) (location, error) {
	o, ok := value.(*pickle.Object)
	if !ok || o.Class != storageInfo {
		return location{}, fmt.Errorf("%w: it is described by %s, not by %v", ErrFormat, kind(value), storageInfo)
	}
	path, _ := o.Field("relative_path")
	file, ok := path.(string)
	if !ok || !local(file) {
		return location{}, fmt.Errorf("%w: relative_path is %s, which is no file of the checkpoint's own directory", ErrFormat, shown(path))
	}
	first, _ := o.Field("offset")
	count, _ := o.Field("length")
	offset, ok := first.(int64)
	length, ok2 := count.(int64)
	if !ok || !ok2 || offset < 0 || length < 0 || offset > math.MaxInt64-length {
		return location{}, fmt.Errorf("%w: offset %s and length %s are impossible", ErrFormat, shown(first), shown(count))
	}
	at := location{file: file, offset: offset, length: length}
	if value, _ := o.Field("transform_descriptors"); value != nil {
		at.transforms = kind(value)
		if list, ok := value.(*pickle.List); ok {
			at.transforms = described(list)
		}
	}
	return at, nil
}

func described(list *pickle.List) string {
	var names []string
	for _, item := range list.Items[:min(len(list.Items), 4)] {
		names = append(names, shown(item))
	}
	return strings.Join(names, ", ")
}

// markReshaped finds the tensors that Megatron-core stores in another shape than
// they have: those of which a process holds a range of the flattened elements.
func (c *Checkpoint) markReshaped(root *pickle.Object) {
	value, _ := root.Field("mcore_data")
	data, ok := value.(*pickle.Dict)
	if !ok {
		return
	}
	for _, item := range data.Items {
		name, ok := item.Key.(string)
		about, ok2 := item.Value.(*pickle.Dict)
		if !ok || !ok2 {
			continue
		}
		if shape, ok := about.Get("nd_reformulated_orig_global_shape"); ok && shape != nil {
			c.reshaped[name] = "unknown"
			if dims, err := size(shape); err == nil {
				c.reshaped[name] = fmt.Sprint(dims)
			}
		}
	}
}

// checkOverlap refuses ranges of a file that overlap: each part is written by
// itself.
func (c *Checkpoint) checkOverlap() error {
	type stored struct {
		storageKey
		location
	}
	all := make([]stored, 0, len(c.storage))
	for key, at := range c.storage {
		if at.length > 0 {
			all = append(all, stored{key, at})
		}
	}
	slices.SortFunc(all, func(a, b stored) int {
		if n := strings.Compare(a.file, b.file); n != 0 {
			return n
		}
		if a.location.offset != b.location.offset {
			return int(min(1, max(-1, a.location.offset-b.location.offset)))
		}
		return strings.Compare(a.name, b.name)
	})
	for i := range all[min(1, len(all)):] {
		a, b := all[i], all[i+1]
		if end := a.location.offset + a.length; a.file == b.file && end > b.location.offset {
			return fmt.Errorf("%w: in %s, %.200s is stored up to byte %d and %.200s from byte %d on", ErrFormat, a.file, a.name, end, b.name, b.location.offset)
		}
	}
	return nil
}
