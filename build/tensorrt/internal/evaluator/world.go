package evaluator

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// World connects ranks that run at the same time, one goroutine each: what NCCL does.
// It may be used for any number of steps. Ranks that wait for each other without end are
// an error.
type World struct {
	mu      sync.Mutex
	changed *sync.Cond
	running int // ranks
	waiting int // ranks, for what none has done since the last change

	rounds map[string]*round
	queues map[[2]int]*Tensor
	err    error
}

// round is one collective call of a group.
type round struct {
	tensors []*Tensor
	missing int
}

var errStuck = errors.New("all ranks wait for others")

// NewWorld connects ranks.
func NewWorld() *World {
	w := &World{rounds: map[string]*round{}, queues: map[[2]int]*Tensor{}}
	w.changed = sync.NewCond(&w.mu)
	return w
}

// Run runs one function a rank and returns the first error; the others are let go. What was
// sent and not received is an error.
func (w *World) Run(ranks int, rank func(rank int) error) error {
	w.running = ranks
	var wait sync.WaitGroup
	for i := range ranks {
		wait.Go(func() {
			err := rank(i)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.running--
			if err != nil {
				w.fail(fmt.Errorf("rank %d: %w", i, err))
			} else if w.running > 0 && w.waiting >= w.running {
				w.fail(errStuck)
			}
		})
	}
	wait.Wait()
	for pair := range w.queues {
		w.fail(fmt.Errorf("rank %d took nothing of what rank %d sent", pair[1], pair[0]))
	}
	return w.err
}

// fail is called with mu held, as are the functions below.
func (w *World) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.changed.Broadcast()
}

// change tells ranks that wait to look again.
func (w *World) change() {
	w.waiting = 0
	w.changed.Broadcast()
}

func (w *World) wait(until func() bool) error {
	for !until() && w.err == nil {
		if w.waiting++; w.waiting >= w.running {
			w.fail(errStuck)
			break
		}
		w.changed.Wait()
	}
	return w.err
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
	w.mu.Lock()
	defer w.mu.Unlock()
	key := fmt.Sprint(kind, group)
	r := w.rounds[key]
	if r == nil {
		r = &round{make([]*Tensor, len(group)), len(group)}
		w.rounds[key] = r
	}
	r.tensors[place] = t
	if r.missing--; r.missing == 0 {
		delete(w.rounds, key)
		w.change()
	}
	return r.tensors, w.wait(func() bool { return r.missing == 0 })
}

// send waits until what was sent before is taken.
func (w *World) send(from, to int, t *Tensor) error {
	if w == nil || from == to {
		return fmt.Errorf("rank %d cannot send to %d", from, to)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	pair := [2]int{from, to}
	if err := w.wait(func() bool { return w.queues[pair] == nil }); err != nil {
		return err
	}
	w.queues[pair] = t
	w.change()
	return nil
}

func (w *World) receive(from, to int) (*Tensor, error) {
	if w == nil || from == to {
		return nil, fmt.Errorf("rank %d cannot receive from %d", to, from)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	pair := [2]int{from, to}
	if err := w.wait(func() bool { return w.queues[pair] != nil }); err != nil {
		return nil, err
	}
	t := w.queues[pair]
	delete(w.queues, pair)
	w.change()
	return t, nil
}
