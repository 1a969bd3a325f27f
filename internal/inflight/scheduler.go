package inflight

import (
	"slices"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// batch is one step: the runner's form and whose it is.
type batch struct {
	steps     []executor.Sequence
	sequences []*sequence
	out       executor.StepResult
}

// schedule waits until there is something to run and fills the batch; false when
// the executor is closed.
func (e *Executor) schedule(b *batch) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		if e.closed {
			return false
		}
		e.dropEnded(time.Now())
		e.admit(time.Now())
		if len(e.running) > 0 {
			e.fill(b)
			return true
		}
		e.wake.Wait()
	}
}

// dropEnded ends what was cancelled or has used its time.
func (e *Executor) dropEnded(now time.Time) {
	for _, r := range e.live {
		switch {
		case r.cancelled:
			e.endRequest(r, executor.FinishCancelled, nil)
		case r.overdue(now):
			e.endRequest(r, executor.FinishTimeout, nil)
		}
	}
	isEnded := func(s *sequence) bool { return s.ended }
	e.queue = slices.DeleteFunc(e.queue, isEnded)
	e.running = slices.DeleteFunc(e.running, isEnded)
}

// admit takes sequences from the queue, in order, while their blocks are free.
// The first that does not fit holds the others back, so that none starves.
func (e *Executor) admit(now time.Time) {
	for len(e.queue) > 0 && len(e.running) < e.limits.MaxBatchSize {
		s := e.queue[0]
		blocks := e.blocks.take(e.blocksFor(len(s.request.InputIDs) + s.request.MaxTokens))
		if blocks == nil {
			return
		}
		s.blocks = blocks
		s.timing.Scheduled = now.Sub(s.request.submitted)
		e.queue = e.queue[1:]
		e.running = append(e.running, s)
	}
}

// fill makes a step: first a token of each sequence that decodes, then chunks of
// prompts as far as max_num_tokens reaches.
func (e *Executor) fill(b *batch) {
	b.steps, b.sequences = b.steps[:0], b.sequences[:0]
	room := e.limits.MaxNumTokens
	for _, prefill := range []bool{false, true} {
		for _, s := range e.running {
			missing := len(s.tokens) - s.computed
			if room > 0 && prefill == (s.computed < len(s.request.InputIDs)) {
				n := min(missing, room)
				room -= n
				b.steps = append(b.steps, e.stepOf(s, n))
				b.sequences = append(b.sequences, s)
			}
		}
	}
}

// stepOf is the next n tokens of a sequence.
func (e *Executor) stepOf(s *sequence, n int) executor.Sequence {
	first, end := s.computed, s.computed+n
	step := executor.Sequence{
		Tokens: s.tokens[first:end], Positions: make([]int32, n),
		BlockTable: s.blocks, SeqLen: end,
	}
	for i := range step.Positions {
		step.Positions[i] = int32(first + i)
	}
	prompt := len(s.request.InputIDs)
	if s.request.ContextLogits && s.index == 0 {
		for i := first; i < min(end, prompt); i++ {
			step.Rows = append(step.Rows, executor.LogitsRow{Index: i - first, Logits: true})
		}
	}
	if end == len(s.tokens) {
		step.Rows = append(step.Rows, s.samplingRow(n-1, e.limits.MaxCandidates))
	}
	return step
}

// commit takes a step's results to its sequences.
func (e *Executor) commit(b *batch, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Iterations++
	if err != nil {
		if e.closed {
			return // schedule ends the loop, which ends the requests
		}
		for _, s := range b.sequences {
			e.endRequest(s.request, executor.FinishNone, err)
		}
		return
	}
	rows := b.out.Rows
	for i, s := range b.sequences {
		n := len(b.steps[i].Rows)
		e.advance(s, &b.steps[i], rows[:n])
		rows = rows[n:]
	}
}

// advance moves a sequence over the tokens of a step and chooses the next one
// when the step reached its end.
func (e *Executor) advance(s *sequence, step *executor.Sequence, rows []executor.RowResult) {
	if s.ended {
		return
	}
	prompt := len(s.request.InputIDs)
	e.stats.ContextTokens += uint64(max(min(step.SeqLen, prompt)-s.computed, 0))
	s.computed = step.SeqLen
	if step.SeqLen < len(s.tokens) {
		e.keepContext(s, rows)
		return
	}
	last := len(rows) - 1
	e.keepContext(s, rows[:last])
	e.choose(s, &rows[last])
}

func (e *Executor) keepContext(s *sequence, rows []executor.RowResult) {
	for i := range rows {
		s.pending.ContextLogits = append(s.pending.ContextLogits, slices.Clone(rows[i].Logits))
	}
}

// choose takes the next token and ends the sequence or sends what it has.
func (e *Executor) choose(s *sequence, row *executor.RowResult) {
	token := s.sample(row)
	if slices.Contains(s.request.EndIDs, token.Token) {
		e.endSequence(s, executor.FinishEnd, nil)
		return
	}
	e.stats.GeneratedTokens++
	s.append(token.Token, token.Raw-row.RawLogSumExp, time.Now())
	if s.request.GenerationLogits {
		s.pending.Logits = append(s.pending.Logits, slices.Clone(row.Logits))
	}
	if reason := s.finish(); reason != executor.FinishNone {
		e.endSequence(s, reason, nil)
	} else if s.request.Streaming {
		e.send(s)
	}
}

// send gives what a sequence has gathered to the client.
func (e *Executor) send(s *sequence) {
	r := s.pending
	r.ClientID, r.Sequence, r.CumLogProb = s.request.ClientID, s.index, float32(s.cumLogProb)
	s.pending = executor.Response{}
	e.respond(r)
}

// endSequence sends a sequence's last response; with it the request ends when it
// was the last one.
func (e *Executor) endSequence(s *sequence, reason executor.FinishReason, err error) {
	if s.ended {
		return
	}
	s.ended = true
	s.request.unended--
	e.blocks.give(s.blocks)
	s.blocks = nil
	s.pending.FinishReason, s.pending.SequenceFinal, s.pending.Err, s.pending.Timing = reason, true, err, s.timing
	if s.request.unended == 0 {
		s.pending.Final = true
		delete(e.live, s.request.ClientID)
		e.stats.FinishedRequests++
	}
	e.send(s)
}

func (e *Executor) endRequest(r *request, reason executor.FinishReason, err error) {
	for _, s := range r.sequences {
		e.endSequence(s, reason, err)
	}
}
