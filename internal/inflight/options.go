package inflight

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// Options bound an executor below its runner's limits. The zero value takes
// the runner's.
type Options struct {
	// MaxInputLen is the longest prompt in tokens. 0: MaxSeqLen - 1.
	MaxInputLen int

	// MaxSeqLen, MaxBatchSize and MaxNumTokens lower the runner's limits of the
	// same name. 0, and what is larger than the runner's: the runner's.
	MaxSeqLen    int
	MaxBatchSize int
	MaxNumTokens int

	// ChunkTokens bounds the prompt tokens of one sequence in one step. 0: no
	// bound but MaxNumTokens.
	ChunkTokens int

	// ChunkTime bounds the time that the prompt tokens of a step should take, so that
	// a long prompt does not hold up those that generate. 0: 50 ms.
	ChunkTime time.Duration

	// Policy says when a request may start. The zero value is guaranteed-no-evict.
	Policy executor.CapacityPolicy

	// MaxQueueSize is how many requests may wait. 0: no limit.
	MaxQueueSize int

	// NoBlockReuse computes every prompt anew; NoPartialReuse takes over full blocks only.
	NoBlockReuse, NoPartialReuse bool

	// MaxSeqIdle is how long a step, or the logits processor, may take before the
	// executor gives itself up as dead. 0: 3 minutes, as upstream's
	// maxSeqIdleMicroseconds.
	MaxSeqIdle time.Duration

	// LogitsProcessor is called for requests with ProcessorData.
	LogitsProcessor executor.LogitsProcessor

	// IterationStats and RequestStats are how many iterations are kept for the
	// methods of the same name. 0: 1000, and none; negative: none.
	IterationStats, RequestStats int

	// Logger gets the executor's log. nil: none.
	Logger *slog.Logger

	// Now is the clock of time limits and timings. nil: time.Now.
	Now func() time.Time
}

// withDefaults gives the zero values their meaning.
func (o Options) withDefaults() Options {
	o.ChunkTime = cmp.Or(o.ChunkTime, 50*time.Millisecond)
	o.MaxSeqIdle = cmp.Or(o.MaxSeqIdle, 3*time.Minute)
	o.IterationStats = cmp.Or(o.IterationStats, 1000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// lowered are a runner's limits below which o keeps an executor, or an error when they
// make none.
func (o *Options) lowered(limits executor.Limits) (executor.Limits, error) {
	lower(&limits.MaxSeqLen, o.MaxSeqLen)
	lower(&limits.MaxBatchSize, o.MaxBatchSize)
	lower(&limits.MaxNumTokens, o.MaxNumTokens)
	if limits.StateSlots > 0 {
		lower(&limits.MaxBatchSize, limits.StateSlots)
	}
	for _, l := range []struct {
		name  string
		value int
	}{
		{"vocab size", limits.VocabSize}, {"max_seq_len", limits.MaxSeqLen}, {"max_batch_size", limits.MaxBatchSize},
		{"max_num_tokens", limits.MaxNumTokens}, {"block size", limits.BlockSize}, {"number of KV blocks", limits.NumBlocks},
	} {
		if l.value < 1 {
			return limits, fmt.Errorf("inflight: the runner's %s is %d", l.name, l.value)
		}
	}
	return limits, nil
}

// lower lowers a limit, unless to is 0.
func lower(limit *int, to int) {
	if to > 0 {
		*limit = min(*limit, to)
	}
}
