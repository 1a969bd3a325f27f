package nativeexecutor

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

// Native is TensorRT-LLM's executor as csrc/native binds it. Its methods may be called
// at the same time by any goroutines, but Await by one at a time, each of the two
// statistics by one at a time, and Close after all others.
type Native interface {
	// Leader tells whether this process takes requests.
	Leader() bool
	// Enqueue queues a request. Outputs may come before it returns.
	Enqueue(native.Request) (id uint64, err error)
	// Cancel asks for the end of a request, by the id that Enqueue gave.
	Cancel(id uint64) error
	// Await waits for outputs and gives all there are to each, whose argument is valid
	// until it returns. None in time is no error; native.ErrClosed comes after Drain,
	// when all requests have ended.
	Await(timeout time.Duration, each func(*native.Output)) error
	// IterationStats and RequestStats give upstream's JSON arrays.
	IterationStats() ([]byte, error)
	RequestStats() ([]byte, error)
	// Drain takes no more requests and asks for the end of all.
	Drain() error
	// Shutdown ends the engine; in a process that is not the leader it waits until the
	// leader does.
	Shutdown() error
	// Close frees everything.
	Close()
}

// Options describe the engine, and bound the executor.
type Options struct {
	// Of the engine's config.json: the sizes, and the type of its logits, "FLOAT",
	// "HALF" or "BF16". MaxBeamWidth 0 is 1; LogitsType "" is "FLOAT".
	VocabSize    int
	MaxInputLen  int
	MaxSeqLen    int
	MaxBeamWidth int
	LogitsType   string

	// Ranks are the processes that compute, 0 is 1: upstream pads the vocabulary to a
	// multiple of them.
	Ranks int

	// ContextLogits says that the engine was built with gather_context_logits,
	// GenerationLogits that the native executor was opened with gatherGenerationLogits.
	ContextLogits    bool
	GenerationLogits bool

	// Orchestrator says that other processes run the engine for this one, which cannot
	// carry logits to it.
	Orchestrator bool

	// MaxQueueSize is how many requests may wait. 0: no limit. A request counts as
	// waiting until its first token has come, one for beams until its end.
	MaxQueueSize int

	// MaxSeqIdle is how long live requests may get nowhere before the executor gives
	// itself up as dead. 0: 3 minutes, as upstream's maxSeqIdleMicroseconds. A prompt in
	// chunks gets somewhere with each iteration, so the native executor should keep
	// statistics of iterations.
	MaxSeqIdle time.Duration

	// IterationStats and RequestStats are how many iterations are kept for the methods of
	// the same name. 0: 1000, and none; negative: none. The native executor must keep
	// them too: iterStatsMaxIterations 1000 in any case, for the sizes of the KV cache
	// come from there, and requestStatsMaxIterations where RequestStats is not 0.
	IterationStats, RequestStats int

	// Memory is what the engine takes, as far as it is known.
	Memory executor.Memory

	// Logger gets the executor's log. nil: none.
	Logger *slog.Logger

	// Now is the clock of time limits and timings. nil: time.Now.
	Now func() time.Time
}

// withDefaults gives the zero values their meaning.
func (o Options) withDefaults() Options {
	o.MaxBeamWidth = cmp.Or(o.MaxBeamWidth, 1)
	o.Ranks = cmp.Or(o.Ranks, 1)
	o.LogitsType = cmp.Or(o.LogitsType, logitsFloat)
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

// check refuses an engine that nothing could run on.
func (o *Options) check() error {
	for _, size := range []struct {
		name  string
		value int
	}{
		{"vocab_size", o.VocabSize}, {"max_input_len", o.MaxInputLen}, {"max_seq_len", o.MaxSeqLen}, {"max_beam_width", o.MaxBeamWidth},
	} {
		if size.value < 1 {
			return fmt.Errorf("%w: the engine's %s is %d, at least 1 is needed: build the engine again", executor.ErrInvalidOption, size.name, size.value)
		}
	}
	if formats[o.LogitsType] == "" {
		return fmt.Errorf("%w: the engine's logits are %q, FLOAT, HALF or BF16 are known", executor.ErrInvalidOption, o.LogitsType)
	}
	return nil
}
