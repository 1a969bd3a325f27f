package trtllm

import (
	"context"
	"iter"
	"sync"
)

// Generate generates and returns when everything is there. When ctx ended first the
// error wraps ctx's, when the engine was closed ErrClosed: the response is not nil then
// and holds what was generated until then. With another error that came after the start,
// such as ErrFailed, it may hold less, or nothing; Stream yields each token before.
func (e *Engine) Generate(ctx context.Context, r Request) (*Response, error) {
	g, err := e.begin(ctx, &r, "generate")
	if err != nil {
		return nil, err
	}
	return g.collect(ctx)
}

// Result is what Generate would have returned for one request of a batch.
type Result struct {
	Response *Response
	Err      error
}

// GenerateBatch runs all requests at once and returns a result for each, in their
// order. They are queued in that order too. A request that fails loses none of the
// others; ctx's end cancels all. A queue that is bounded by WithMaxQueueSize may be
// too short for a batch: what does not fit fails with ErrQueueFull.
func (e *Engine) GenerateBatch(ctx context.Context, requests []Request) []Result {
	results := make([]Result, len(requests))
	var wait sync.WaitGroup
	for i := range requests {
		g, err := e.begin(ctx, &requests[i], "generate")
		if err != nil {
			results[i].Err = err
			continue
		}
		wait.Go(func() { results[i].Response, results[i].Err = g.collect(ctx) })
	}
	wait.Wait()
	return results
}

// Stream generates and yields what is new after every step, for each sequence; of
// beams, which may change until then, all at the end. An error is the last thing that
// it yields; what was generated before has been yielded. Leaving the loop early cancels
// the request, and ctx's end does: the error is then ctx's. The loop ends when the
// engine has let go of the request. Nothing is queued before the loop begins, and each
// loop over the same iterator is a request of its own.
func (e *Engine) Stream(ctx context.Context, r Request) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		g, err := e.begin(ctx, &r, "stream")
		if err != nil {
			yield(Chunk{}, err)
			return
		}
		left := false
		err = g.run(ctx, func(c Chunk) bool {
			left = !yield(c, nil)
			return !left
		})
		if err != nil && !left {
			yield(Chunk{}, err)
		}
	}
}

// collect joins a generation's chunks.
func (g *generation) collect(ctx context.Context) (*Response, error) {
	response := &Response{RequestID: g.id, InputIDs: g.inputIDs, Sequences: make([]Sequence, g.open)}
	err := g.run(ctx, func(c Chunk) bool {
		response.add(&c)
		return true
	})
	response.Sequence = response.Sequences[0]
	return response, err
}

func (r *Response) add(c *Chunk) {
	if c.ContextLogits != nil {
		r.ContextLogits = c.ContextLogits
	}
	if c.PromptLogProbs != nil {
		r.PromptLogProbs = c.PromptLogProbs
	}
	if c.PromptTopLogProbs != nil {
		r.PromptTopLogProbs = c.PromptTopLogProbs
	}
	s := &r.Sequences[c.Sequence]
	s.Text += c.Text
	s.OutputIDs = append(s.OutputIDs, c.OutputIDs...)
	s.LogProbs = append(s.LogProbs, c.LogProbs...)
	s.TopLogProbs = append(s.TopLogProbs, c.TopLogProbs...)
	s.Logits = append(s.Logits, c.Logits...)
	s.CumLogProb = c.CumLogProb
	s.FinishReason, s.Timing, s.Cache = c.FinishReason, c.Timing, c.Cache
}
