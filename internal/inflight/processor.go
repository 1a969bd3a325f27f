package inflight

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

var (
	// errProcessor marks what a logits processor is to blame for, not the model.
	errProcessor       = errors.New("the logits processor")
	errProcessedBanned = fmt.Errorf("%w, bias and bans leave no token: let one be possible", errProcessor)
)

// processorRows is the call of the logits processor for a step; the slices are used
// again.
type processorRows struct {
	rows   []executor.ProcessorRow
	parts  []*planned
	logits [][]float32
}

// process calls the logits processor with the rows of all sequences of the step whose
// requests want it, on copies: what the model said stays what it was. When it fails,
// so do these requests.
func (s *scheduler) process() {
	r := &s.processor
	r.rows, r.parts = r.rows[:0], r.parts[:0]
	at := 0
	for i := range s.planned {
		p := &s.planned[i]
		first := at + p.context
		at += p.count()
		if !p.sampled || p.ProcessorData == nil || p.promise == nil { // its request may have failed just now
			continue
		}
		if row := &s.result.Rows[first]; checkRow(row) == nil { // another is failed where it is used
			r.add(p, row.Logits)
		}
	}
	if len(r.rows) == 0 {
		return
	}
	s.e.step.beginProcessor()
	err := call(s.e.options.LogitsProcessor, r.rows)
	s.e.step.end()
	clear(r.rows) // it may hold what requests gave
	if err != nil {
		in := map[*request]bool{}
		for _, p := range r.parts {
			in[p.request] = true
		}
		s.failRequests(func(q *request) bool { return in[q] }, fmt.Errorf("%w: %w: %w", executor.ErrFailed, errProcessor, err))
	}
}

// add puts the row of p's next token on the list.
func (r *processorRows) add(p *planned, logits []float32) {
	n := len(r.rows)
	if n == len(r.logits) {
		r.logits = append(r.logits, nil)
	}
	r.logits[n] = append(r.logits[n][:0], logits...)
	p.processed = r.logits[n]
	r.parts = append(r.parts, p)
	r.rows = append(r.rows, executor.ProcessorRow{
		ClientID: p.ClientID, Sequence: p.index, Data: p.ProcessorData,
		Tokens: slices.Clip(p.tokens), Generated: len(p.output()), Logits: p.processed,
	})
}

// call calls a logits processor; its panic is an error.
func call(processor executor.LogitsProcessor, rows []executor.ProcessorRow) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("panic: %w", p)
		default:
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return processor(rows)
}

// pickProcessed chooses the next token of p from what the logits processor made of
// its row.
func (s *scheduler) pickProcessed(p *planned, row *executor.RowResult, u float64) (c executor.Candidate, err error) {
	sum, err := s.editProcessed(p)
	if err != nil {
		return c, err
	}
	c = chooseFull(s.candidates, sum, &p.Sampling, p.topP, u)
	c.Raw = row.Logits[c.Token]
	return c, nil
}

// editProcessed makes s.candidates of what the logits processor made of p's row, and
// returns their log-sum-exp. Edits and temperature come after the processor, and
// here: the runner knows only the model's logits.
func (s *scheduler) editProcessed(p *planned) (sum float32, err error) {
	for id, l := range p.processed {
		if !isNumber(l) {
			return 0, fmt.Errorf("%w made the logit of token id %d %v: a number or -Inf is needed", errProcessor, id, l)
		}
	}
	s.candidates = editedRow(s.candidates, p.processed, &p.row)
	if len(s.candidates) == 0 {
		return 0, errProcessedBanned
	}
	if sum = logSumExp(s.candidates); !isNumber(sum) {
		return 0, errEdited
	}
	return sum, nil
}

// logSumExp is the log of the sum of all probabilities before they are normalised.
func logSumExp(list []executor.Candidate) float32 {
	top := float64(slices.MinFunc(list, descending).Logit)
	sum := 0.0
	for i := range list {
		sum += math.Exp(float64(list[i].Logit) - top)
	}
	return float32(top + math.Log(sum))
}
