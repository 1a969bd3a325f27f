package trtllm

import (
	"context"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// generation turns the responses of one call into chunks.
type generation struct {
	*call
	inputIDs  []int32
	sequences []sequenceText
	open      int  // sequences that have not ended
	final     bool // whether the executor has said all
}

// generate queues a request.
func (e *Engine) generate(ctx context.Context, r *Request, streaming bool) (*generation, error) {
	if ctx.Err() != nil {
		return nil, cancelled(ctx)
	}
	request, err := e.prepare(r)
	if err != nil {
		return nil, err
	}
	// Stop words are looked for after every token.
	request.Streaming = streaming || len(r.StopWords) > 0
	c, err := e.submit(request)
	if err != nil {
		return nil, err
	}
	g := &generation{call: c, inputIDs: request.InputIDs, open: max(r.Sampling.NumReturnSequences, 1)}
	for range g.open {
		s := sequenceText{stopWords: newStopWords(r.StopWords), minTokens: r.Sampling.MinTokens}
		if e.tokenizer != nil {
			s.decoder = e.tokenizer.NewDecoder(tokenizer.DecodeOptions{SkipSpecialTokens: !r.KeepSpecialTokens})
		}
		g.sequences = append(g.sequences, s)
	}
	return g, nil
}

// finish ends a generation that may still run, and returns when it does not.
func (g *generation) finish() {
	if !g.final {
		g.drain()
	}
}

// run gives yield every chunk until the last sequence has ended, yield is false,
// or something failed.
func (g *generation) run(ctx context.Context, yield func(Chunk) bool) error {
	defer g.finish()
	var err error // of cancelled sequences: the others are told first
	for g.open > 0 {
		responses, nextErr := g.next(ctx)
		if nextErr != nil {
			return nextErr
		}
		for i := range responses {
			r := &responses[i]
			g.final = g.final || r.Final
			if r.Err != nil {
				return r.Err
			}
			if r.FinishReason == FinishCancelled {
				err = cancelled(ctx)
			}
			if chunk, ok := g.chunk(r); ok && !yield(chunk) {
				return nil
			}
		}
	}
	return err
}

// chunk is what a response tells; ok is false when that is nothing. What comes for
// a sequence after its stop word is dropped.
func (g *generation) chunk(r *executor.Response) (chunk Chunk, ok bool) {
	s := &g.sequences[r.Sequence]
	if s.ended {
		return chunk, false
	}
	chunk = Chunk{
		Sequence: r.Sequence, OutputIDs: r.OutputIDs, LogProbs: r.LogProbs, CumLogProb: r.CumLogProb, Logits: r.Logits,
		ContextLogits: r.ContextLogits, FinishReason: r.FinishReason, Timing: r.Timing,
	}
	text, n, stopped := s.add(r.OutputIDs, r.SequenceFinal)
	chunk.Text = text
	if stopped {
		chunk.FinishReason = FinishStop
		chunk.cut(n)
	}
	if stopped || r.SequenceFinal {
		s.ended = true
		g.open--
	}
	return chunk, chunk.Text != "" || len(chunk.OutputIDs) > 0 || chunk.ContextLogits != nil || chunk.FinishReason != FinishNone
}

// cut leaves the first n tokens.
func (c *Chunk) cut(n int) {
	if len(c.LogProbs) > n {
		for _, p := range c.LogProbs[n:] {
			c.CumLogProb -= p
		}
		c.LogProbs = c.LogProbs[:n]
	}
	c.OutputIDs = c.OutputIDs[:n]
	c.Logits = c.Logits[:min(n, len(c.Logits))]
}
