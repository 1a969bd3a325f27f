package executortest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/trtgo/trtgo/internal/executor"
)

// Toy is a language model made for tests of schedulers: an [executor.Runner] in
// plain Go whose logits are a hash of what its KV cache really holds for the
// sequence, read block by block through the block table. A wrong block table,
// position, chunk or copy therefore changes the tokens, and reading a cell that
// was never written for that position is an error that names the cell.
//
// Step refuses what the door forbids: concurrent steps, tables that are too
// short, positions with gaps, and two sequences that write to one block.
type Toy struct {
	limits executor.Limits
	blocks [][]cell
	slots  []uint64
	busy   atomic.Bool
	closed atomic.Bool

	mu       sync.Mutex
	steps    []Step
	observer executor.Observer
}

// Step is the record of one step of a [Toy].
type Step struct {
	Sequences int // sequences in the batch
	Decode    int // of these with one token
	Tokens    int // tokens over all sequences
	Edits     int // logit edits over all rows
	Full      int // rows that asked for all logits
}

// cell is the keys and values of one token: which position it belongs to and a
// hash of the token and everything before it. Position -1 is never written.
type cell struct {
	position int32
	value    uint64
}

// ToyLimits are the limits of a small toy: a vocabulary of 97 tokens, sequences
// of up to 192 tokens, 8 sequences in a step and 64 blocks of 8 tokens.
func ToyLimits() executor.Limits {
	return executor.Limits{
		VocabSize: 97, MaxSeqLen: 192, MaxBatchSize: 8, MaxNumTokens: 48,
		BlockSize: 8, NumBlocks: 64, SharedBlocks: true,
		MaxCandidates: 16, KVCacheDtype: "float32",
	}
}

// NewToy returns a toy with the given limits.
func NewToy(limits executor.Limits) *Toy {
	t := &Toy{limits: limits, blocks: make([][]cell, limits.NumBlocks), slots: make([]uint64, limits.StateSlots)}
	for i := range t.blocks {
		t.blocks[i] = make([]cell, limits.BlockSize)
		for j := range t.blocks[i] {
			t.blocks[i][j] = cell{position: -1, value: mix(uint64(i*limits.BlockSize + j))}
		}
	}
	return t
}

// Limits returns what NewToy was given.
func (t *Toy) Limits() executor.Limits { return t.limits }

// Steps returns a record of every step that was done.
func (t *Toy) Steps() []Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.steps)
}

// Step implements [executor.Runner].
func (t *Toy) Step(ctx context.Context, batch []executor.Sequence, out *executor.StepResult) error {
	if !t.busy.CompareAndSwap(false, true) {
		return errors.New("executortest: concurrent use of a runner")
	}
	defer t.busy.Store(false)
	if t.closed.Load() {
		return executor.ErrClosed
	}
	if ctx.Err() != nil {
		return executor.ErrAborted
	}
	record, err := t.check(batch)
	if err != nil {
		return err
	}
	out.Rows = out.Rows[:0]
	for _, s := range batch {
		hidden, err := t.forward(s)
		if err != nil {
			return err
		}
		for _, row := range s.Rows {
			out.Rows = append(out.Rows, t.row(hidden[row.Index], row))
			record.Edits += len(row.Edits)
			if row.Logits {
				record.Full++
			}
		}
	}
	t.mu.Lock()
	t.steps = append(t.steps, record)
	observer := t.observer
	t.mu.Unlock()
	if observer != nil {
		observer(executor.Observation{Operation: "toy"})
	}
	return nil
}

// check refuses a batch that breaks the rules of the door.
func (t *Toy) check(batch []executor.Sequence) (Step, error) {
	record := Step{Sequences: len(batch)}
	written := map[int32]int{}
	for i, s := range batch {
		n := len(s.Tokens)
		switch {
		case n == 0 || len(s.Positions) != n:
			return record, fmt.Errorf("executortest: sequence %d has %d tokens and %d positions", i, n, len(s.Positions))
		case s.SeqLen != int(s.Positions[n-1])+1:
			return record, fmt.Errorf("executortest: sequence %d says length %d, its last position is %d", i, s.SeqLen, s.Positions[n-1])
		case s.SeqLen > t.limits.MaxSeqLen:
			return record, fmt.Errorf("executortest: sequence %d has length %d, the limit is %d", i, s.SeqLen, t.limits.MaxSeqLen)
		case len(s.BlockTable)*t.limits.BlockSize < s.SeqLen:
			return record, fmt.Errorf("executortest: sequence %d has length %d and %d blocks of %d", i, s.SeqLen, len(s.BlockTable), t.limits.BlockSize)
		case t.limits.StateSlots > 0 && (s.StateSlot < 0 || s.StateSlot >= t.limits.StateSlots):
			return record, fmt.Errorf("executortest: sequence %d has state slot %d of %d", i, s.StateSlot, t.limits.StateSlots)
		}
		for j, p := range s.Positions {
			if p < 0 || j > 0 && p != s.Positions[j-1]+1 {
				return record, fmt.Errorf("executortest: sequence %d position %d is %d", i, j, p)
			}
			if id := s.Tokens[j]; id < 0 || int(id) >= t.limits.VocabSize {
				return record, fmt.Errorf("executortest: sequence %d token %d is %d, outside the vocabulary of %d", i, j, id, t.limits.VocabSize)
			}
			b := s.BlockTable[int(p)/t.limits.BlockSize]
			if b < 0 || int(b) >= t.limits.NumBlocks {
				return record, fmt.Errorf("executortest: sequence %d uses block %d of %d", i, b, t.limits.NumBlocks)
			}
			if owner, ok := written[b]; ok && owner != i {
				return record, fmt.Errorf("executortest: sequences %d and %d both write to block %d", owner, i, b)
			}
			written[b] = i
		}
		for _, row := range s.Rows {
			if row.Index < 0 || row.Index >= n || row.Candidates < 0 || row.Candidates > t.limits.MaxCandidates {
				return record, fmt.Errorf("executortest: sequence %d wants row %d of %d with %d candidates", i, row.Index, n, row.Candidates)
			}
			if t := row.Temperature; t != 0 && !(t >= executor.MinTemperature && t <= math.MaxFloat32) {
				return record, fmt.Errorf("executortest: sequence %d has temperature %v", i, t)
			}
			for _, id := range row.Targets {
				if id < 0 || int(id) >= t.limits.VocabSize {
					return record, fmt.Errorf("executortest: sequence %d has target %d, outside the vocabulary of %d", i, id, t.limits.VocabSize)
				}
			}
			for _, e := range row.Edits {
				if !(e.Penalty >= 0 && e.Penalty <= math.MaxFloat32 && e.Bias <= math.MaxFloat32 && math.Abs(float64(e.Subtract)) <= math.MaxFloat32) {
					return record, fmt.Errorf("executortest: sequence %d has an edit %+v", i, e)
				}
			}
		}
		record.Tokens += n
		if n == 1 {
			record.Decode++
		}
	}
	if len(batch) > t.limits.MaxBatchSize || record.Tokens > t.limits.MaxNumTokens {
		return record, fmt.Errorf("executortest: a step of %d sequences and %d tokens, the limits are %d and %d",
			len(batch), record.Tokens, t.limits.MaxBatchSize, t.limits.MaxNumTokens)
	}
	return record, nil
}

// forward writes the cells of s and returns the hidden state after each of its tokens.
func (t *Toy) forward(s executor.Sequence) ([]uint64, error) {
	hidden := make([]uint64, len(s.Tokens))
	for i, id := range s.Tokens {
		p := s.Positions[i]
		context, err := t.context(s.BlockTable, p)
		if err != nil {
			return nil, err
		}
		if t.limits.StateSlots > 0 {
			// A recurrent state: a token that is run twice changes it twice.
			if p == 0 {
				t.slots[s.StateSlot] = 0
			}
			t.slots[s.StateSlot] = mix(t.slots[s.StateSlot] + uint64(id))
			context ^= t.slots[s.StateSlot]
		}
		block := t.blocks[s.BlockTable[int(p)/t.limits.BlockSize]]
		block[int(p)%t.limits.BlockSize] = cell{position: p, value: mix(context + uint64(id)<<20 + uint64(p))}
		if hidden[i], err = t.context(s.BlockTable, p+1); err != nil {
			return nil, err
		}
		if t.limits.StateSlots > 0 {
			hidden[i] ^= t.slots[s.StateSlot]
		}
	}
	return hidden, nil
}

// context folds the cells of positions 0 … n-1.
func (t *Toy) context(table []int32, n int32) (uint64, error) {
	h := uint64(n)
	for p := range n {
		b := table[int(p)/t.limits.BlockSize]
		c := t.blocks[b][int(p)%t.limits.BlockSize]
		if c.position != p {
			return 0, fmt.Errorf("executortest: block %d holds position %d where position %d is read", b, c.position, p)
		}
		h = mix(h*31 + c.value)
	}
	return h, nil
}

// row computes the logits after a hidden state and answers one request for them.
func (t *Toy) row(hidden uint64, row executor.LogitsRow) executor.RowResult {
	raw := ToyLogits(hidden, t.limits.VocabSize)
	result := executor.RowResult{RawLogSumExp: logSumExp(raw)}
	if row.Logits {
		result.Logits = raw
	}
	for _, id := range row.Targets {
		result.Targets = append(result.Targets, raw[id])
	}
	edited := slices.Clone(raw)
	for _, e := range row.Edits {
		l := edited[e.Token] + e.Bias
		if e.Penalty != 0 && e.Penalty != 1 {
			if l > 0 {
				l /= e.Penalty
			} else {
				l *= e.Penalty
			}
		}
		edited[e.Token] = l - e.Subtract
	}
	if row.Temperature != 0 && row.Temperature != 1 {
		for i := range edited {
			edited[i] /= row.Temperature
		}
	}
	candidates := make([]executor.Candidate, len(edited))
	for i, l := range edited {
		candidates[i] = executor.Candidate{Token: int32(i), Logit: l, Raw: raw[i]}
	}
	slices.SortFunc(candidates, func(a, b executor.Candidate) int {
		return cmp.Or(cmp.Compare(b.Logit, a.Logit), cmp.Compare(a.Token, b.Token))
	})
	result.Max = candidates[0].Logit
	result.LogSumExp = logSumExp(edited)
	result.Candidates = candidates[:row.Candidates:row.Candidates]
	return result
}

// CopyBlock implements [executor.Runner].
func (t *Toy) CopyBlock(src, dst, n int) error {
	if !t.busy.CompareAndSwap(false, true) {
		return errors.New("executortest: concurrent use of a runner")
	}
	defer t.busy.Store(false)
	if src < 0 || dst < 0 || src >= len(t.blocks) || dst >= len(t.blocks) || n < 0 || n > t.limits.BlockSize || src == dst {
		return fmt.Errorf("executortest: copy of %d tokens from block %d to %d", n, src, dst)
	}
	copy(t.blocks[dst][:n], t.blocks[src][:n])
	return nil
}

// SetObserver implements [executor.Runner].
func (t *Toy) SetObserver(observer executor.Observer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.observer = observer
}

// Close implements [executor.Runner].
func (t *Toy) Close() error {
	t.closed.Store(true)
	return nil
}

// Closed tells whether Close was called.
func (t *Toy) Closed() bool { return t.closed.Load() }

// Hidden returns the hidden state after tokens, computed without a KV cache,
// for runners without recurrent state.
func Hidden(tokens []int32) uint64 {
	fold := func(values []uint64) uint64 {
		h := uint64(len(values))
		for _, v := range values {
			h = mix(h*31 + v)
		}
		return h
	}
	var values []uint64
	for p, id := range tokens {
		values = append(values, mix(fold(values)+uint64(id)<<20+uint64(p)))
	}
	return fold(values)
}

// ToyLogits returns the toy's logits for a hidden state: about normal, with
// standard deviation 3.
func ToyLogits(hidden uint64, vocabSize int) []float32 {
	logits := make([]float32, vocabSize)
	for i := range logits {
		h := mix(hidden + uint64(i)*0x9E3779B97F4A7C15)
		sum := 0.0
		for range 4 { // four uniforms of 16 bits
			sum += float64(h&0xFFFF)/65536 - 0.5
			h >>= 16
		}
		logits[i] = float32(sum * 3 * math.Sqrt(3))
	}
	return logits
}

// Greedy continues prompt by n tokens, each the one with the largest logit.
func Greedy(prompt []int32, n, vocabSize int) []int32 {
	tokens := slices.Clone(prompt)
	for range n {
		best := int32(0)
		logits := ToyLogits(Hidden(tokens), vocabSize)
		for i, l := range logits {
			if l > logits[best] {
				best = int32(i)
			}
		}
		tokens = append(tokens, best)
	}
	return tokens[len(prompt):]
}

func logSumExp(logits []float32) float32 {
	top := slices.Max(logits)
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - float64(top))
	}
	return float32(float64(top) + math.Log(sum))
}

// mix is the finaliser of SplitMix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
