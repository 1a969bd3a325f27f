package trtllm

import (
	"context"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// generation turns the responses of one call into chunks.
type generation struct {
	*call
	op        string // of its errors
	inputIDs  []int32
	logProbs  bool // whether they were asked for
	beams     bool
	sequences []sequence
	open      int  // sequences that have not ended
	final     bool // whether the executor has said all
}

// sequence is one sequence of a generation.
type sequence struct {
	text       sequenceText
	ended      bool
	cumLogProb float32 // so far
	summary    SequenceSummary
}

// begin queues a request.
func (e *Engine) begin(ctx context.Context, r *Request, op string) (*generation, error) {
	g, err := e.queue(ctx, r, op == "stream")
	if err != nil {
		err := newError(op, err, CodeOther)
		e.observed(nil, err)
		return nil, err
	}
	g.op = op
	return g, nil
}

func (e *Engine) queue(ctx context.Context, r *Request, streaming bool) (*generation, error) {
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
	g := &generation{call: c, inputIDs: request.InputIDs, logProbs: r.LogProbs, beams: r.Sampling.beams(), open: r.Sampling.sequences()}
	for range g.open {
		s := sequence{text: sequenceText{stopWords: newStopWords(r.StopWords, r.TrimStopWords), minTokens: r.Sampling.MinTokens}}
		if e.tokenizer != nil {
			s.text.decoder = e.tokenizer.NewDecoder(tokenizer.DecodeOptions{SkipSpecialTokens: !r.KeepSpecialTokens})
		}
		g.sequences = append(g.sequences, s)
	}
	return g, nil
}

// run gives yield every chunk until the last sequence has ended, yield is false,
// or something failed. It returns when the executor has let go of the request.
func (g *generation) run(ctx context.Context, yield func(Chunk) bool) (err error) {
	defer func() {
		g.finish(ctx)
		g.engine.observed(g, err)
	}()
	var ended error // of cancelled sequences: the others are told first
	for g.open > 0 {
		r, err := g.next(ctx)
		if err != nil {
			return g.fail(newError(g.op, err, CodeDead), yield)
		}
		g.final = r.Final
		if r.Err != nil {
			return g.fail(newError(g.op, r.Err, CodeFailed), yield)
		}
		if r.FinishReason == executor.FinishCancelled && !g.sequences[r.Sequence].ended {
			ended = newError(g.op, cancelled(ctx), CodeOther)
		}
		if chunk, ok := g.chunk(r); ok && !yield(chunk) {
			return nil
		}
	}
	return ended
}

// fail yields the text that was still held back, and returns err.
func (g *generation) fail(err error, yield func(Chunk) bool) error {
	for i := range g.sequences {
		s := &g.sequences[i]
		if s.ended {
			continue
		}
		if text, _, _ := s.text.add(nil, true); text != "" {
			o := &s.summary
			if !yield(Chunk{RequestID: g.id, Sequence: i, Text: text, CumLogProb: s.cumLogProb, Timing: o.Timing, Cache: o.Cache}) {
				break
			}
		}
	}
	return err
}

// finish returns when the executor has let go of the request. What still runs is
// cancelled, unless it was told to stop.
func (g *generation) finish(ctx context.Context) {
	if g.final {
		return
	}
	if g.open > 0 {
		g.engine.executor.Cancel(g.id)
	}
	for !g.final {
		r, err := g.next(ctx)
		if err != nil {
			return
		}
		g.final = r.Final
		if s := &g.sequences[r.Sequence]; !s.ended && r.Err == nil {
			s.note(r, finishReason(r.FinishReason, r.SequenceFinal), len(r.OutputIDs))
		}
	}
}

// chunk is what a response tells; ok is false when that is nothing. What comes for
// a sequence after its stop word is dropped.
func (g *generation) chunk(r *executor.Response) (chunk Chunk, ok bool) {
	s := &g.sequences[r.Sequence]
	if s.ended {
		return chunk, false
	}
	chunk = Chunk{
		RequestID: g.id, Sequence: r.Sequence, OutputIDs: r.OutputIDs, LogProbs: r.LogProbs, TopLogProbs: logProbs(r.TopLogProbs),
		CumLogProb: r.CumLogProb, Logits: r.Logits, FinishReason: finishReason(r.FinishReason, r.SequenceFinal),
		Timing: Timing(r.Timing), Cache: SequenceCache(r.KVCache),
		ContextLogits: r.ContextLogits, PromptLogProbs: r.PromptLogProbs, PromptTopLogProbs: logProbs(r.PromptTopLogProbs),
	}
	text, n, stopped := s.text.add(r.OutputIDs, r.SequenceFinal)
	chunk.Text = text
	if stopped {
		chunk.FinishReason = FinishStop
		chunk.cut(n)
		if g.beams {
			chunk.CumLogProb = r.CumLogProb
		}
		if !r.SequenceFinal {
			g.engine.executor.Stop(g.id, r.Sequence)
		}
	}
	if !g.logProbs {
		chunk.LogProbs = nil
	}
	s.note(r, chunk.FinishReason, len(chunk.OutputIDs))
	s.cumLogProb = chunk.CumLogProb
	if stopped || r.SequenceFinal {
		s.ended = true
		g.open--
	}
	return chunk, !chunk.empty()
}

// note keeps what a summary tells.
func (s *sequence) note(r *executor.Response, reason FinishReason, tokens int) {
	s.summary.OutputTokens += tokens
	s.summary.FinishReason = reason
	s.summary.Timing, s.summary.Cache = Timing(r.Timing), SequenceCache(r.KVCache)
}

// empty tells whether a chunk has nothing new.
func (c *Chunk) empty() bool {
	return c.Text == "" && len(c.OutputIDs) == 0 && c.FinishReason == FinishNone &&
		c.ContextLogits == nil && c.PromptLogProbs == nil && c.PromptTopLogProbs == nil
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
	c.TopLogProbs = c.TopLogProbs[:min(n, len(c.TopLogProbs))]
	c.Logits = c.Logits[:min(n, len(c.Logits))]
}
