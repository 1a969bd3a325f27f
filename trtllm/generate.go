package trtllm

import (
	"context"
	"iter"
)

// Generate generates and returns when everything is there. On an error that came
// after the start the response is not nil and holds what was generated until then:
// when ctx ended first the error wraps ctx's, when the engine was closed ErrClosed.
func (e *Engine) Generate(ctx context.Context, r Request) (*Response, error) {
	g, err := e.generate(ctx, &r, false)
	if err != nil {
		return nil, err
	}
	response := &Response{InputIDs: g.inputIDs, Sequences: make([]Sequence, g.open)}
	err = g.run(ctx, func(c Chunk) bool {
		response.add(&c)
		return true
	})
	response.Sequence = response.Sequences[0]
	return response, err
}

// Stream generates and yields what is new after every step, for each sequence. An
// error is the last thing that it yields; what was generated before has been
// yielded. Leaving the loop early cancels the request, and ctx's end does: the error
// is then ctx's. The loop ends when the engine has let go of the request.
func (e *Engine) Stream(ctx context.Context, r Request) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		g, err := e.generate(ctx, &r, true)
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

func (r *Response) add(c *Chunk) {
	if c.ContextLogits != nil {
		r.ContextLogits = c.ContextLogits
	}
	s := &r.Sequences[c.Sequence]
	s.Text += c.Text
	s.OutputIDs = append(s.OutputIDs, c.OutputIDs...)
	s.LogProbs = append(s.LogProbs, c.LogProbs...)
	s.Logits = append(s.Logits, c.Logits...)
	s.CumLogProb = c.CumLogProb
	s.FinishReason, s.Timing = c.FinishReason, c.Timing
}
