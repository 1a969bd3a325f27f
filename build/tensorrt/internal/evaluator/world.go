package evaluator

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// World connects ranks that run at the same time, one goroutine each: what NCCL does.
// It may be used for any number of steps.
type World struct {
	mu     sync.Mutex
	rounds map[string]*round
	queues map[[2]int]chan *Tensor
	failed chan struct{}
	err    error
}

// round is one collective call of a group.
type round struct {
	tensors []*Tensor
	missing int
	done    chan struct{}
}

var errPeer = errors.New("another rank failed")

// NewWorld connects ranks.
func NewWorld() *World {
	return &World{rounds: map[string]*round{}, queues: map[[2]int]chan *Tensor{}, failed: make(chan struct{})}
}

// Run runs one function a rank and returns the first error; the others are let go.
func (w *World) Run(ranks int, rank func(rank int) error) error {
	var wait sync.WaitGroup
	for i := range ranks {
		wait.Go(func() {
			if err := rank(i); err != nil {
				w.fail(fmt.Errorf("rank %d: %w", i, err))
			}
		})
	}
	wait.Wait()
	return w.err
}

func (w *World) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
		close(w.failed)
	}
}

// exchange waits for all ranks of a group and gives their tensors in the group's order.
func (w *World) exchange(group []int, rank int, kind string, t *Tensor) ([]*Tensor, error) {
	place := slices.Index(group, rank)
	if place < 0 {
		return nil, fmt.Errorf("rank %d is not in its group %v", rank, group)
	}
	if w == nil {
		return nil, fmt.Errorf("there are no other ranks to meet in the group %v", group)
	}
	key := fmt.Sprint(kind, group)
	w.mu.Lock()
	r := w.rounds[key]
	if r == nil {
		r = &round{make([]*Tensor, len(group)), len(group), make(chan struct{})}
		w.rounds[key] = r
	}
	r.tensors[place] = t
	if r.missing--; r.missing == 0 {
		delete(w.rounds, key)
		close(r.done)
	}
	w.mu.Unlock()
	select {
	case <-r.done:
		return r.tensors, nil
	case <-w.failed:
		return nil, errPeer
	}
}

// queue is what one rank sends another.
func (w *World) queue(from, to int) chan *Tensor {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := [2]int{from, to}
	if w.queues[key] == nil {
		w.queues[key] = make(chan *Tensor, 1)
	}
	return w.queues[key]
}

func (w *World) send(from, to int, t *Tensor) error {
	if w == nil || from == to {
		return fmt.Errorf("rank %d cannot send to %d", from, to)
	}
	select {
	case w.queue(from, to) <- t:
		return nil
	case <-w.failed:
		return errPeer
	}
}

func (w *World) receive(from, to int) (*Tensor, error) {
	if w == nil || from == to {
		return nil, fmt.Errorf("rank %d cannot receive from %d", to, from)
	}
	select {
	case t := <-w.queue(from, to):
		return t, nil
	case <-w.failed:
		return nil, errPeer
	}
}
