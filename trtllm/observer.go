package trtllm

import "slices"

// RequestSummary tells how a request went.
type RequestSummary struct {
	RequestID   uint64 // 0 when it was not queued
	InputTokens int    // of the prompt; 0 when it was not queued
	Sequences   []SequenceSummary
	Err         error // what Generate returned or Stream yielded, an *Error, or nil
}

// SequenceSummary tells how one sequence of a request went. It is what it was when the
// request ended: a sequence that had not ended has FinishNone.
type SequenceSummary struct {
	OutputTokens int
	FinishReason FinishReason
	Timing       Timing
	Cache        SequenceCache
}

// Observe calls f with a summary of each request when it has ended, also of those that
// could not be queued, until stop is called. It costs nothing while tokens are
// generated. f is called on the goroutine that made the request, before Generate
// returns or the loop over Stream ends, and may be called by many at once.
func (e *Engine) Observe(f func(RequestSummary)) (stop func()) {
	observer := &f
	e.mu.Lock()
	defer e.mu.Unlock()
	e.observers = append(slices.Clip(e.observers), observer)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.observers = slices.DeleteFunc(slices.Clone(e.observers), func(o *func(RequestSummary)) bool { return o == observer })
	}
}

// observed tells the observers of a request's end. g is nil when it was not queued.
func (e *Engine) observed(g *generation, err error) {
	e.mu.Lock()
	observers := e.observers
	e.mu.Unlock()
	if len(observers) == 0 {
		return
	}
	summary := RequestSummary{Err: err}
	if g != nil {
		summary.RequestID, summary.InputTokens = g.id, len(g.inputIDs)
		for i := range g.sequences {
			summary.Sequences = append(summary.Sequences, g.sequences[i].summary)
		}
	}
	for _, f := range observers {
		(*f)(summary)
	}
}
