package tensorrt

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// Source gives the bytes of a rank's tensors where they lie: the rank's file is mapped into
// memory, so that a model may be larger than what is free. It implements
// [graph.Source]; its methods may be called from several goroutines.
//
// As with any mapping, a file that is truncated meanwhile ends the process. Where nothing
// can be mapped (a checkpoint in an archive, an operating system without), tensors are read
// into memory, each time that they are asked for.
type Source struct {
	rank *checkpoint.Rank

	mutex sync.Mutex
	files map[*os.File]*mapping
}

// errUnmapped tells that an operating system cannot map files.
var errUnmapped = errors.New("files cannot be mapped here")

// OpenSource opens the tensors of a rank of ckpt, which must stay open for as long as the source.
func OpenSource(ckpt *checkpoint.Checkpoint, rank int) (*Source, error) {
	r, err := ckpt.Rank(rank)
	if err != nil {
		return nil, err
	}
	return &Source{rank: r, files: map[*os.File]*mapping{}}, nil
}

// Tensor implements [graph.Source]. The bytes must not be written to.
func (s *Source) Tensor(name string) (graph.Stored, error) {
	t, ok := s.rank.Tensor(name)
	if !ok {
		return graph.Stored{}, fmt.Errorf("%w: the checkpoint has no tensor %s", graph.ErrInvalid, name)
	}
	stored := graph.Stored{Dtype: t.Dtype, Shape: t.Shape}
	var err error
	if stored.Bytes, err = s.bytes(t); err != nil {
		return graph.Stored{}, fmt.Errorf("tensor %s: %w", name, err)
	}
	return stored, nil
}

func (s *Source) bytes(t checkpoint.Tensor) ([]byte, error) {
	if f, offset := t.Place(); f != nil && t.Size() > 0 {
		m, err := s.mapped(f)
		if err == nil && offset+t.Size() > int64(len(m.data)) {
			return nil, fmt.Errorf("%w: %s has become shorter", checkpoint.ErrInvalid, f.Name())
		}
		if err == nil {
			return m.data[offset:][:t.Size():t.Size()], nil
		}
		if !errors.Is(err, errUnmapped) {
			return nil, fmt.Errorf("mapping %s: %w", f.Name(), err)
		}
	}
	data := make([]byte, t.Size())
	return data, t.ReadAll(data)
}

// mapped maps a file once.
func (s *Source) mapped(f *os.File) (*mapping, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.files == nil {
		return nil, os.ErrClosed
	}
	if m, ok := s.files[f]; ok {
		return m, nil
	}
	m, err := mapFile(f)
	if err == nil {
		s.files[f] = m
	}
	return m, err
}

// Scale reads a tensor of one float32, e.g. what the numbers of an FP8 weight are multiplied by.
func (s *Source) Scale(name string) (float32, error) { return readScale(s, name) }

// Close unmaps the file: bytes that were given must not be used any more.
func (s *Source) Close() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var errs []error
	for _, m := range s.files {
		errs = append(errs, m.close())
	}
	s.files = nil
	return errors.Join(errs...)
}
