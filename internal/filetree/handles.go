package filetree

import (
	"container/list"
	"errors"
	"os"
	"sync"
)

// maxIdle is how many files of a directory stay open without being read.
const maxIdle = 32

// handles keeps the files that were read last open. More than maxIdle are open
// only while more than that are being read at the same moment.
type handles struct {
	open func(name string) (*os.File, error)

	mu     sync.Mutex
	closed bool
	byName map[string]*handle
	idle   *list.List // of *handle, the one used last in front
}

type handle struct {
	name    string
	file    *os.File
	readers int
	place   *list.Element // in idle, nil while there are readers
}

func newHandles(open func(name string) (*os.File, error)) *handles {
	return &handles{open: open, byName: map[string]*handle{}, idle: list.New()}
}

// acquire gives an open file; check sees it when it has just been opened.
func (h *handles) acquire(name string, check func(*os.File) error) (*handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, os.ErrClosed
	}
	if open := h.byName[name]; open != nil {
		if open.place != nil {
			h.idle.Remove(open.place)
			open.place = nil
		}
		open.readers++
		return open, nil
	}
	file, err := h.open(name)
	if err != nil {
		return nil, err
	}
	if err := check(file); err != nil {
		file.Close()
		return nil, err
	}
	open := &handle{name: name, file: file, readers: 1}
	h.byName[name] = open
	return open, nil
}

// release ends a read.
func (h *handles) release(open *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if open.readers--; open.readers > 0 {
		return
	}
	open.place = h.idle.PushFront(open)
	if h.idle.Len() <= maxIdle {
		return
	}
	oldest := h.idle.Remove(h.idle.Back()).(*handle)
	delete(h.byName, oldest.name)
	oldest.file.Close()
}

// close closes what is open.
func (h *handles) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	var errs []error
	for _, open := range h.byName {
		errs = append(errs, open.file.Close())
	}
	clear(h.byName)
	return errors.Join(errs...)
}
