package nativeexecutor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

var errNaN = errors.New("the model's logits are not numbers")

// take hands on an output. It is called by the pump; o is valid until it returns.
func (e *Executor) take(o *native.Output) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.find(o)
	if s == nil {
		e.log.Warn("an output came of a request that has ended or never was", "id", o.ID, "client_id", o.ClientID)
		return
	}
	e.failures.see(o.Error)
	e.records.know(o.ID, s) // Enqueue may not have returned yet
	e.count(s, o)
	if o.Final && (o.Error != "" || o.Beam+1 >= o.NumBeams) { // beams come one after the other
		delete(e.sequences, s.id)
		e.running = max(0, e.running-1)
		e.records.outlived(o.ID)
	}
	switch {
	case s.ended:
	case o.Error != "":
		e.fail(s.request, e.failures.outputError(o.Error))
	case s.beams():
		e.takeBeam(s, o)
	default:
		e.takeTokens(s, o)
	}
}

// find is the sequence that an output is of. Some of the orchestrator's errors come without
// a client id, which is never 0. The caller holds mu.
func (e *Executor) find(o *native.Output) *sequence {
	if o.ClientID != 0 {
		return e.sequences[o.ClientID]
	}
	for _, s := range e.sequences {
		if s.native == o.ID {
			return s
		}
	}
	return nil
}

// count counts what is known of a sequence from its first output, whether or not anybody
// wants it any more. The caller holds mu.
func (e *Executor) count(s *sequence, o *native.Output) {
	if s.counted || o.Error != "" {
		return
	}
	s.counted = true
	reused := 0
	if o.ReusedBlocks > 0 {
		reused = min(o.ReusedBlocks*e.stats.TokensPerBlock, len(s.InputIDs)-1)
	}
	s.cache.ReusedTokens = reused
	e.stats.ReusedTokens += uint64(reused)
	e.stats.ContextTokens += uint64(len(s.InputIDs) - reused)
}

// takeTokens takes what is new of a sequence. The caller holds mu, which is free while
// logits are looked at.
func (e *Executor) takeTokens(s *sequence, o *native.Output) {
	tokens, reason, err := e.accept(s, o.Tokens)
	if err == nil && (len(tokens) > 0 || o.ContextLogits.Data != nil) && (s.wantsLogits || s.wantsContextLogits() && !s.prompted) {
		err = e.takeLogits(s, o, tokens)
	}
	if s.ended { // meanwhile
		return
	}
	if err == nil && s.upstreamLogProbs {
		err = s.takeLogProbs(o, len(tokens))
	}
	if err != nil {
		e.fail(s.request, fmt.Errorf("%w: token %d of sequence %d: %w", executor.ErrFailed, s.accepted, s.index, err))
		return
	}
	e.time(s, o, len(o.Tokens) > 0)
	s.accepted += len(tokens)
	s.pending.ids = append(s.pending.ids, tokens...)
	e.stats.GeneratedTokens += uint64(len(tokens))
	if reason == executor.FinishNone && o.Final {
		reason = s.reason(o)
	}
	switch {
	case reason != executor.FinishNone:
		e.finish(s, reason)
	case !s.deadline.IsZero() && e.now().After(s.deadline):
		e.finish(s, executor.FinishTimeout)
	case s.Streaming && len(tokens) > 0:
		e.respond(s.request, s.response())
	}
}

// accept tells which of new tokens are output, and how they end it. The caller holds mu.
func (e *Executor) accept(s *sequence, tokens []int32) ([]int32, executor.FinishReason, error) {
	for i, token := range tokens {
		if token < 0 || int(token) >= e.options.VocabSize {
			return nil, 0, fmt.Errorf("TensorRT-LLM gave token %d, the vocabulary has %d", token, e.options.VocabSize)
		}
		if slices.Contains(s.EndIDs, token) {
			return tokens[:i], executor.FinishEnd, nil
		}
		if len(s.StopSequences) > 0 {
			s.output = append(s.output, token)
			if reason := s.ending(s.output); reason != executor.FinishNone {
				return tokens[:i+1], reason, nil
			}
		}
		if s.accepted+i+1 >= s.MaxTokens && i+1 < len(tokens) {
			return tokens[:i+1], executor.FinishLength, nil
		}
	}
	return tokens, executor.FinishNone, nil
}

// takeLogProbs takes upstream's log-probs of the next n tokens: it gives those of all so
// far, and perhaps the end id's after them.
func (s *sequence) takeLogProbs(o *native.Output, n int) error {
	if len(o.LogProbs) < s.accepted+n {
		return fmt.Errorf("TensorRT-LLM gave %d log-probs for %d tokens", len(o.LogProbs), s.accepted+n)
	}
	news := o.LogProbs[s.accepted : s.accepted+n]
	for _, p := range news {
		s.cum += float64(p)
	}
	s.pending.logProbs = append(s.pending.logProbs, news...)
	return nil
}

// takeLogits takes the logits of an output and what is computed from them. The caller
// holds mu, which is free meanwhile: only the pump touches what is looked at.
func (e *Executor) takeLogits(s *sequence, o *native.Output, tokens []int32) error {
	e.mu.Unlock()
	defer e.mu.Lock()
	var p pending
	if s.wantsContextLogits() && !s.prompted {
		if err := s.promptLogits(o, &p, e.options.VocabSize); err != nil {
			return err
		}
		s.prompted = true
	}
	cum := s.cum
	if s.wantsLogits && len(tokens) > 0 {
		list, err := rows(&o.GenerationLogits, len(tokens), e.options.VocabSize)
		if err != nil {
			return err
		}
		for i, row := range list {
			if err := s.tokenLogits(&p, row, tokens[i], &cum); err != nil {
				return err
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.ended {
		return nil
	}
	s.cum = cum
	s.pending.add(&p)
	return nil
}

// tokenLogits takes the logits that a token was chosen from.
func (s *sequence) tokenLogits(p *pending, row []float32, token int32, cum *float64) error {
	if s.GenerationLogits {
		p.logits = append(p.logits, row)
	}
	if !s.LogProbs && s.TopLogProbs == 0 {
		return nil
	}
	sum := logSumExp(row)
	if !isNumber(sum) {
		return errNaN
	}
	if s.LogProbs {
		l := logProb(row, sum, token)
		*cum += float64(row[token]) - sum
		p.logProbs = append(p.logProbs, l)
	}
	if s.TopLogProbs > 0 {
		p.top = append(p.top, best(row, sum, s.TopLogProbs))
	}
	return nil
}

// promptLogits takes the logits of the prompt, which belong to the first response.
func (s *sequence) promptLogits(o *native.Output, p *pending, vocabSize int) error {
	list, err := rows(&o.ContextLogits, len(s.InputIDs), vocabSize)
	if err != nil {
		return fmt.Errorf("the prompt's logits: %w", err)
	}
	if s.ContextLogits {
		p.context = slices.Clone(list)
		clear(p.context[:s.FirstRow()])
	}
	if s.PromptLogProbs || s.PromptTopLogProbs > 0 {
		probs, top, err := promptLogProbs(s.InputIDs, list, s.PromptFrom, s.PromptTopLogProbs)
		if err != nil {
			return err
		}
		if s.PromptLogProbs {
			p.promptLog = probs
		}
		if s.PromptTopLogProbs > 0 {
			p.promptTop = top
		}
	}
	return nil
}

func (p *pending) add(o *pending) {
	p.logProbs = append(p.logProbs, o.logProbs...)
	p.top = append(p.top, o.top...)
	p.logits = append(p.logits, o.logits...)
	if o.context != nil {
		p.context = o.context
	}
	if o.promptLog != nil {
		p.promptLog = o.promptLog
	}
	if o.promptTop != nil {
		p.promptTop = o.promptTop
	}
}

// response carries what is new of s. The slices change hands.
func (s *sequence) response() executor.Response {
	p := &s.pending
	r := executor.Response{
		ClientID: s.ClientID, Sequence: s.index, OutputIDs: p.ids, LogProbs: p.logProbs, TopLogProbs: p.top, CumLogProb: float32(s.cum),
		Logits: p.logits, ContextLogits: p.context, PromptLogProbs: p.promptLog, PromptTopLogProbs: p.promptTop,
		Timing: s.timing, KVCache: s.cache,
	}
	s.pending = pending{}
	return r
}

// reason is why upstream ended a sequence, whose tokens tell nothing.
func (s *sequence) reason(o *native.Output) executor.FinishReason {
	switch reason := executor.FinishReason(o.FinishReason); {
	case reason != executor.FinishNone:
		return reason
	case s.accepted >= s.MaxTokens || len(s.EndIDs) == 0:
		return executor.FinishLength
	}
	return executor.FinishEnd
}

// time notes when things happened: as upstream tells, otherwise when it came here. The
// caller holds mu.
func (e *Executor) time(s *sequence, o *native.Output, tokens bool) {
	if !tokens {
		return
	}
	if !s.started {
		s.started = true
		e.silent--
	}
	now := e.now().Sub(s.submitted)
	if s.timing.FirstToken == 0 {
		s.timing.FirstToken = now
		if o.FirstToken > 0 {
			s.timing.FirstToken = min(now, time.Duration(o.FirstToken))
		}
	}
	if o.Scheduled > 0 {
		s.timing.Scheduled = min(time.Duration(o.Scheduled), s.timing.FirstToken)
	}
	s.timing.LastToken = now
	if last := time.Duration(o.LastToken); last > 0 {
		s.timing.LastToken = max(s.timing.FirstToken, min(now, last))
	}
}
