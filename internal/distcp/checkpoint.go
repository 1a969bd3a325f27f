package distcp

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/pickle"
)

// Errors that those of this package are wrapped in, besides those of packages
// pickle, torchzip and chunked and of the tree.
var (
	// ErrFormat says that a checkpoint breaks the format or is not complete.
	ErrFormat = errors.New("invalid distributed checkpoint")
	// ErrUnsupported says that a checkpoint is stored in a way that is not read
	// here.
	ErrUnsupported = errors.New("not supported")
)

// metadataFile is written last, by one process for all.
const metadataFile = ".metadata"

// Checkpoint is an open checkpoint. It is safe for concurrent use and valid until
// the tree is closed.
type Checkpoint struct {
	tree     filetree.Tree
	names    []string
	objects  []string
	tensors  map[string]tensor
	storage  map[storageKey]location
	reshaped map[string]string // tensors of a distributed optimizer, with their shape
}

// Info is what a checkpoint says about a tensor.
type Info struct {
	// Dtype as safetensors spells it, or PyTorch's own name where there is none:
	// such a tensor cannot be read.
	Dtype string
	Shape []int64
	// Parts is how many rectangles it is stored in.
	Parts int
}

// IsCheckpoint tells whether a tree has the file that makes it a checkpoint.
func IsCheckpoint(tree filetree.Tree) bool { return filetree.Has(tree, metadataFile) }

// Open reads the .metadata file of a tree. Closing the tree is left to the caller.
func Open(tree filetree.Tree) (*Checkpoint, error) {
	f, err := tree.Open(metadataFile)
	if errors.Is(err, fs.ErrNotExist) && filetree.Has(tree, "__0"+metadataFile) {
		return nil, fmt.Errorf("a checkpoint with one %s for each process (__0%s, …), saved with use_collectives=False, is %w: load and save it without that option", metadataFile, metadataFile, ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{tree: tree, tensors: map[string]tensor{}, storage: map[storageKey]location{}, reshaped: map[string]string{}}
	if err := c.read(f); err != nil {
		return nil, fmt.Errorf("%s: %w", metadataFile, err)
	}
	slices.Sort(c.names)
	slices.Sort(c.objects)
	return c, nil
}

// Names lists the tensors, sorted. Do not modify it.
func (c *Checkpoint) Names() []string { return c.names }

// Objects lists the items that are no tensors, sorted. They are not read. Do not
// modify it.
func (c *Checkpoint) Objects() []string { return c.objects }

// Info tells what the checkpoint says about a tensor, and whether it is there.
func (c *Checkpoint) Info(name string) (Info, bool) {
	t, ok := c.tensors[name]
	if !ok {
		return Info{}, false
	}
	return Info{Dtype: t.dtype, Shape: slices.Clone(t.shape), Parts: len(t.parts.Items)}, true
}

// Tensor opens a tensor: it checks that its parts make it up and that each lies
// inside of its file, but reads nothing yet. Reading a part for the first time
// checks that it is a tensor of the shape and dtype that .metadata gives. Errors
// name the tensor and the part.
func (c *Checkpoint) Tensor(name string) (*chunked.Array, error) {
	a, err := c.tensor(name)
	if err != nil {
		return nil, fmt.Errorf("tensor %.200s: %w", name, err)
	}
	return a, nil
}

func (c *Checkpoint) tensor(name string) (*chunked.Array, error) {
	t, ok := c.tensors[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	if shape, ok := c.reshaped[name]; ok {
		return nil, fmt.Errorf("flattened ranges of a distributed optimizer, here of a tensor of shape %s, are %w: weights are never stored so", shape, ErrUnsupported)
	}
	if err := t.readable(); err != nil {
		return nil, err
	}
	var chunks []chunked.Chunk
	for _, item := range t.parts.Items {
		offset, shape, err := part(item)
		if err != nil {
			return nil, err
		}
		if slices.Contains(shape, 0) {
			continue // what a process without a share of the tensor saves
		}
		chunk, err := c.chunk(name, t, offset, shape)
		if err != nil {
			return nil, err
		}
		if chunks = append(chunks, chunk); len(chunks) > len(c.storage) {
			return nil, fmt.Errorf("%w: it has more than the %d parts that are stored", ErrFormat, len(c.storage))
		}
	}
	return chunked.New(t.dtype, t.shape, chunks)
}

// chunk finds where a part is stored.
func (c *Checkpoint) chunk(name string, t tensor, offset, shape []int64) (chunked.Chunk, error) {
	at, ok := c.storage[keyOf(name, offset)]
	if !ok {
		return chunked.Chunk{}, fmt.Errorf("%w: it does not say where the part at %v is stored", ErrFormat, offset)
	}
	label := at.in(at.file)
	if at.transforms != "" {
		return chunked.Chunk{}, fmt.Errorf("%s: a part stored through %s is %w: save the checkpoint without compression or other extensions", label, at.transforms, ErrUnsupported)
	}
	file, err := c.tree.Open(at.file)
	if errors.Is(err, fs.ErrNotExist) {
		return chunked.Chunk{}, fmt.Errorf("%w: the part at %v is in a file that is missing: %w", ErrFormat, offset, err)
	}
	if err != nil {
		return chunked.Chunk{}, err
	}
	if at.offset > file.Size()-at.length {
		return chunked.Chunk{}, fmt.Errorf("%w: %s hold the part at %v, but the file ends at %d: it is incomplete", ErrFormat, label, offset, file.Size())
	}
	saved := &saved{file: file, at: at, label: at.in(filetree.Path(c.tree, at.file)), dtype: t.dtype, shape: shape}
	return chunked.Chunk{Name: fmt.Sprintf("at %v", offset), Offset: offset, Shape: shape, Bytes: saved}, nil
}

// part reads a ChunkStorageMetadata.
func part(item any) (offset, shape []int64, err error) {
	o, ok := item.(*pickle.Object)
	if !ok || o.Class != chunkStorage {
		return nil, nil, fmt.Errorf("%w: a part is described by %s, not by %v", ErrFormat, kind(item), chunkStorage)
	}
	offset, err = sizeField(o, "offsets")
	if err == nil {
		shape, err = sizeField(o, "sizes")
	}
	if err == nil && len(shape) != len(offset) {
		err = fmt.Errorf("%w: a part of shape %v is at %v", ErrFormat, shape, offset)
	}
	return offset, shape, err
}

// local tells whether a name is that of a file of the checkpoint itself.
func local(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00")
}
