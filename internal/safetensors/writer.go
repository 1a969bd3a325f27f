package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Writer writes a file whose header is already on disk. WriteAt is safe for
// concurrent use on ranges that do not overlap.
type Writer struct {
	f      *os.File
	infos  []Info
	byName map[string]int
	size   int64
}

// Create makes the file at path, which must not exist, with its header and its
// full length; what is never written reads as zeros. The tensors come in the
// given order; their Offset and Size are computed. Metadata may be nil.
func Create(path string, tensors []Info, metadata map[string]string) (*Writer, error) {
	w := &Writer{byName: make(map[string]int, len(tensors))}
	header, err := w.layout(tensors, metadata)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	w.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	if _, err = w.f.WriteAt(header, 0); err == nil {
		err = w.f.Truncate(w.size)
	}
	if err != nil {
		w.f.Close()
		os.Remove(path)
		return nil, err
	}
	return w, nil
}

// FileSize gives the bytes that a file of these tensors would have.
func FileSize(tensors []Info, metadata map[string]string) (int64, error) {
	w := &Writer{byName: make(map[string]int, len(tensors))}
	_, err := w.layout(tensors, metadata)
	return w.size, err
}

// layout fills infos and returns the header with its length, padded with spaces
// so that the first tensor is 8-byte aligned.
func (w *Writer) layout(tensors []Info, metadata map[string]string) ([]byte, error) {
	w.infos = slices.Clone(tensors)
	var entries []string
	if len(metadata) > 0 {
		text, err := json.Marshal(metadata)
		if err != nil {
			return nil, err
		}
		entries = append(entries, `"__metadata__":`+string(text))
	}
	next := int64(0)
	for i := range w.infos {
		t := &w.infos[i]
		if _, twice := w.byName[t.Name]; twice || t.Name == "__metadata__" {
			return nil, fmt.Errorf("tensor %q occurs twice or is reserved", t.Name)
		}
		size, err := Size(t.Dtype, t.Shape)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		w.byName[t.Name] = i
		t.Offset, t.Size = next, size
		next += size
		entry, err := entryJSON(t)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	text := "{" + strings.Join(entries, ",") + "}"
	text += strings.Repeat(" ", (8-len(text)%8)%8)
	if len(text) > MaxHeader {
		return nil, fmt.Errorf("header of %d bytes is longer than the %d allowed", len(text), MaxHeader)
	}
	base := int64(8 + len(text))
	for i := range w.infos {
		w.infos[i].Offset += base
	}
	w.size = base + next
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}

func entryJSON(t *Info) (string, error) {
	name, err := json.Marshal(t.Name)
	if err != nil {
		return "", err
	}
	shape := t.Shape
	if shape == nil {
		shape = []int64{}
	}
	body, err := json.Marshal(struct {
		Dtype   string   `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}{t.Dtype, shape, [2]int64{t.Offset, t.Offset + t.Size}})
	return string(name) + ":" + string(body), err
}

// Size is the length of the whole file in bytes.
func (w *Writer) Size() int64 { return w.size }

// Tensors lists the tensors with their final offsets; do not modify it.
func (w *Writer) Tensors() []Info { return w.infos }

// WriteAt writes p into the named tensor, off bytes from its beginning.
func (w *Writer) WriteAt(name string, p []byte, off int64) error {
	i, ok := w.byName[name]
	if !ok {
		return fmt.Errorf("%s: no tensor %q was declared", w.f.Name(), name)
	}
	t := &w.infos[i]
	if off < 0 || int64(len(p)) > t.Size-off {
		return fmt.Errorf("%s: tensor %s: %d bytes at %d do not fit into its %d", w.f.Name(), name, len(p), off, t.Size)
	}
	if _, err := w.f.WriteAt(p, t.Offset+off); err != nil {
		return fmt.Errorf("%s: tensor %s: %w", w.f.Name(), name, err)
	}
	return nil
}

// Close flushes the file to stable storage and closes it.
func (w *Writer) Close() error {
	return errors.Join(w.f.Sync(), w.f.Close())
}

// Abort closes the file without flushing; the caller removes it.
func (w *Writer) Abort() error { return w.f.Close() }
