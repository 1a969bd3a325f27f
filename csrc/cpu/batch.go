//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"runtime"
	"slices"
	"time"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

// #include "trtgo_cpu.h"
import "C"

// batch holds a step in the form that C reads. Its arrays are kept from step to
// step and pinned while one runs.
type batch struct {
	step         C.trtgo_cpu_step
	tokens       []C.int32_t
	sequences    []C.trtgo_cpu_sequence
	blockTables  []C.int32_t
	rows         []C.trtgo_cpu_row
	edits        []C.trtgo_cpu_edit
	targets      []C.trtgo_cpu_target
	candidates   []C.trtgo_cpu_candidate
	observations []C.trtgo_cpu_observation
	spans        []C.trtgo_cpu_span // of each operation, each thread
	pinner       runtime.Pinner
}

// fill writes the sequences, which were checked, and makes room in out.
func (b *batch) fill(sequences []executor.Sequence, out *executor.StepResult, numOps, threads, vocabSize int, observed bool) {
	b.tokens, b.sequences, b.blockTables = b.tokens[:0], b.sequences[:0], b.blockTables[:0]
	b.rows, b.edits, b.targets = b.rows[:0], b.edits[:0], b.targets[:0]
	b.candidates, b.observations, b.spans = b.candidates[:0], b.observations[:0], b.spans[:0]
	for i := range sequences {
		s := &sequences[i]
		first := len(b.tokens)
		b.sequences = append(b.sequences, C.trtgo_cpu_sequence{
			first_token: C.int32_t(first), num_tokens: C.int32_t(len(s.Tokens)), first_position: C.int32_t(s.Positions[0]),
			num_blocks: C.int32_t(len(s.BlockTable)), first_block: C.int64_t(len(b.blockTables)),
		})
		for _, token := range s.Tokens {
			b.tokens = append(b.tokens, C.int32_t(token))
		}
		for _, block := range s.BlockTable {
			b.blockTables = append(b.blockTables, C.int32_t(block))
		}
		for j := range s.Rows {
			b.addRow(&s.Rows[j], first)
		}
	}
	if observed {
		b.observations = grow(b.observations, numOps)
		b.spans = grow(b.spans, numOps*threads)
	}
	b.fillLogits(sequences, out, vocabSize)
	b.pin()
}

func (b *batch) addRow(r *executor.LogitsRow, firstToken int) {
	temperature := r.Temperature
	if temperature == 0 {
		temperature = 1
	}
	b.rows = append(b.rows, C.trtgo_cpu_row{
		token: C.int32_t(firstToken + r.Index), num_candidates: C.int32_t(r.Candidates), num_edits: C.int32_t(len(r.Edits)), num_targets: C.int32_t(len(r.Targets)),
		inv_temperature: C.float(1 / temperature),
		first_edit:      C.int64_t(len(b.edits)), first_target: C.int64_t(len(b.targets)), first_candidate: C.int64_t(len(b.candidates)),
	})
	for _, e := range r.Edits {
		penalty := e.Penalty
		if penalty == 0 {
			penalty = 1
		}
		b.edits = append(b.edits, C.trtgo_cpu_edit{
			token: C.int32_t(e.Token), bias: C.float(e.Bias), penalty: C.float(penalty), subtract: C.float(e.Subtract),
		})
	}
	for _, token := range r.Targets {
		b.targets = append(b.targets, C.trtgo_cpu_target{token: C.int32_t(token)})
	}
	n := len(b.candidates)
	b.candidates = slices.Grow(b.candidates, r.Candidates)[:n+r.Candidates]
}

// fillLogits sizes out for the rows; full rows are written into it by C.
func (b *batch) fillLogits(sequences []executor.Sequence, out *executor.StepResult, vocabSize int) {
	// Rows between length and capacity keep the slices of a larger step before.
	out.Rows = out.Rows[:cap(out.Rows)]
	if more := len(b.rows) - len(out.Rows); more > 0 {
		out.Rows = slices.Grow(out.Rows, more)
	}
	out.Rows = out.Rows[:len(b.rows)]
	n := 0
	for i := range sequences {
		for j := range sequences[i].Rows {
			if row := &out.Rows[n]; sequences[i].Rows[j].Logits {
				row.Logits = grow(row.Logits, vocabSize)
				b.pinner.Pin(&row.Logits[0])
				b.rows[n].logits = (*C.float)(&row.Logits[0])
			} else {
				row.Logits = row.Logits[:0]
			}
			n++
		}
	}
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// pin keeps the arrays where they are while C reads them.
func (b *batch) pin() {
	b.step = C.trtgo_cpu_step{
		tokens: pinned(&b.pinner, b.tokens), num_tokens: C.int32_t(len(b.tokens)),
		sequences: pinned(&b.pinner, b.sequences), num_sequences: C.int32_t(len(b.sequences)),
		block_tables: pinned(&b.pinner, b.blockTables),
		rows:         pinned(&b.pinner, b.rows), num_rows: C.int32_t(len(b.rows)),
		edits: pinned(&b.pinner, b.edits), targets: pinned(&b.pinner, b.targets), candidates: pinned(&b.pinner, b.candidates),
		observations: pinned(&b.pinner, b.observations), spans: pinned(&b.pinner, b.spans),
	}
}

func pinned[T any](p *runtime.Pinner, s []T) *T {
	if len(s) == 0 {
		return nil
	}
	p.Pin(&s[0])
	return &s[0]
}

// unpin forgets the pointers into what the caller owns.
func (b *batch) unpin() {
	b.pinner.Unpin()
	b.step = C.trtgo_cpu_step{}
	for i := range b.rows {
		b.rows[i].logits = nil
	}
}

// answer copies what C found into out, whose rows fill has made.
func (b *batch) answer(out *executor.StepResult) {
	for i := range b.rows {
		from, to := &b.rows[i], &out.Rows[i]
		to.Max, to.LogSumExp, to.RawLogSumExp = float32(from.max), float32(from.log_sum_exp), float32(from.raw_log_sum_exp)
		to.Candidates = grow(to.Candidates, int(from.num_candidates))
		for j := range to.Candidates {
			c := &b.candidates[int(from.first_candidate)+j]
			to.Candidates[j] = executor.Candidate{Token: int32(c.token), Logit: float32(c.logit), Raw: float32(c.raw)}
		}
		to.Targets = grow(to.Targets, int(from.num_targets))
		for j := range to.Targets {
			to.Targets[j] = float32(b.targets[int(from.first_target)+j].raw)
		}
	}
}

// observe hands each operation to the observer.
func (b *batch) observe(ops []cpuengine.Op, observer executor.Observer) {
	if len(b.observations) == 0 {
		return
	}
	threads := len(b.spans) / len(b.observations)
	workers := make([]executor.WorkerSpan, threads)
	for i := range b.observations {
		for j, s := range b.spans[i*threads : (i+1)*threads] {
			workers[j] = executor.WorkerSpan{Begin: time.Duration(s.begin), Duration: time.Duration(s.end - s.begin), Busy: time.Duration(s.busy)}
		}
		observer(executor.Observation{
			Operation: ops[i].Name,
			Begin:     time.Duration(b.observations[i].begin),
			Duration:  time.Duration(b.observations[i].nanoseconds),
			InputAmax: float32(b.observations[i].input_amax),
			Workers:   workers,
		})
	}
}
