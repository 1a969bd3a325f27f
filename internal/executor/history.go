package executor

// History keeps the latest values of a record, Most of them at most: for executors and
// their statistics. It belongs to one goroutine at a time.
type History[T any] struct {
	Most   int // below 1: none
	list   []T
	oldest int
}

// Add appends a value; the oldest one goes when there are too many.
func (h *History[T]) Add(value T) {
	switch {
	case h.Most <= 0:
	case len(h.list) < h.Most:
		h.list = append(h.list, value)
	default:
		h.list[h.oldest] = value
		h.oldest = (h.oldest + 1) % h.Most
	}
}

// Newest is the last that was added; nil where there is none.
func (h *History[T]) Newest() *T {
	if len(h.list) == 0 {
		return nil
	}
	return &h.list[(h.oldest+len(h.list)-1)%len(h.list)]
}

// TakeAll returns the values, oldest first, and forgets them.
func (h *History[T]) TakeAll() []T {
	list := append(h.list[h.oldest:len(h.list):len(h.list)], h.list[:h.oldest]...)
	h.list, h.oldest = nil, 0
	return list
}
