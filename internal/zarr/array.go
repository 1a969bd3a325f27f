package zarr

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// Names lists the arrays of a tree: its directories that have a .zarray file.
func Names(tree filetree.Tree) []string {
	var names []string
	for _, file := range tree.Names() {
		if dir, ok := strings.CutSuffix(file, "/"+metadataFile); ok {
			names = append(names, dir)
		}
	}
	return names
}

// ReadMetadata reads the .zarray file of an array without looking at its chunks.
// Errors name the array.
func ReadMetadata(tree filetree.Tree, name string) (*Metadata, error) {
	file := path.Join(name, metadataFile)
	text, err := filetree.ReadFile(tree, file, maxMetadata)
	if err != nil {
		return nil, err
	}
	m, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

// Open opens an array by its name. Every chunk has to be there, with the size that
// the .zarray gives. Errors name the array and the chunk.
func Open(tree filetree.Tree, name string) (*chunked.Array, error) {
	m, err := ReadMetadata(tree, name)
	if err != nil {
		return nil, err
	}
	chunks, err := m.chunks(tree, name)
	if err != nil {
		return nil, err
	}
	a, err := chunked.New(m.Dtype, m.Shape, chunks)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return a, nil
}

// chunks finds the files of all chunks. The first that is missing ends the search,
// so that it takes no longer than there are files.
func (m *Metadata) chunks(tree filetree.Tree, name string) ([]chunked.Chunk, error) {
	want, err := safetensors.Size(m.Dtype, m.Chunks)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: a chunk's %w", name, ErrFormat, err)
	}
	var chunks []chunked.Chunk
	for index := m.first(); index != nil; index = m.next(index) {
		file := path.Join(name, m.key(index))
		f, err := tree.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: array %s of shape %v in chunks of %v has no chunk %s (%w)", ErrFormat, name, m.Shape, m.Chunks, m.key(index), err)
		}
		if err != nil {
			return nil, err
		}
		if f.Size() != want {
			return nil, fmt.Errorf("%w: chunk %s has %d bytes, not the %d of a chunk of shape %v and dtype %s", ErrFormat, file, f.Size(), want, m.Chunks, m.Dtype)
		}
		c := chunked.Chunk{Name: file, Offset: make([]int64, len(index)), Shape: make([]int64, len(index)), Stored: m.Chunks, Bytes: f}
		for i, n := range index {
			c.Offset[i] = n * m.Chunks[i]
			c.Shape[i] = min(m.Chunks[i], m.Shape[i]-c.Offset[i]) // chunks at the edge are whole, what lies beyond means nothing
		}
		chunks = append(chunks, c)
	}
	return chunks, nil
}

// first gives the index of the first chunk, nil for an array without elements.
func (m *Metadata) first() []int64 {
	for _, n := range m.Shape {
		if n == 0 {
			return nil
		}
	}
	return make([]int64, len(m.Shape))
}

// next counts on, the last axis first, to nil after the last chunk. It changes
// index.
func (m *Metadata) next(index []int64) []int64 {
	for i := len(index) - 1; i >= 0; i-- {
		if index[i]++; index[i] <= (m.Shape[i]-1)/m.Chunks[i] {
			return index
		}
		index[i] = 0
	}
	return nil
}

// key gives a chunk's file name; that of a scalar is 0.
func (m *Metadata) key(index []int64) string {
	if len(index) == 0 {
		return "0"
	}
	parts := make([]string, len(index))
	for i, n := range index {
		parts[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(parts, m.separator)
}
