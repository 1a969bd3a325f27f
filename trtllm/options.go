package trtllm

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// Option changes how Open opens an engine.
type Option func(*options)

type options struct {
	threads         int
	precision       string
	load            string
	maxBatchSize    int
	maxNumTokens    int
	maxQueueSize    int
	kvCacheTokens   int
	kvCacheFraction *float64
	noBlockReuse    bool
	policy          CapacityPolicy
	maxSeqIdle      time.Duration
	processor       LogitsProcessor
	iterationStats  *int
	requestStats    int
	logger          *slog.Logger
	tokenizerDir    string
	tokenizerFile   string

	nativeOptions

	// wrapRunner puts something between executor and runner: tests' faults and
	// benchmarks' clocks. Nil is nothing.
	wrapRunner func(executor.Runner) executor.Runner
}

// WithThreads sets the CPU threads of a step. The default is as many CPUs as the
// process may use. More than that slows steps down. For engines of the CPU backend.
func WithThreads(n int) Option { return func(o *options) { o.threads = n } }

// WithPrecision chooses "exact" (float32 activations and KV cache) or "fast"
// (bfloat16 ones). The default is fast for models in bfloat16, exact for others. Engines with float32 weights
// are always exact. For engines of the CPU backend: those for GPUs compute in the types
// that they were built with.
func WithPrecision(p string) Option { return func(o *options) { o.precision = p } }

// WithLoad chooses "mmap" (the default) or "copy", which reads the weights into
// memory and checks their checksums. For engines of the CPU backend.
func WithLoad(how string) Option { return func(o *options) { o.load = how } }

// WithMaxBatchSize bounds the sequences in a step below the engine's own limit.
// Zero is that limit.
func WithMaxBatchSize(n int) Option { return func(o *options) { o.maxBatchSize = n } }

// WithMaxNumTokens bounds the tokens in a step, over all sequences, below the
// engine's own limit. Zero is that limit. Smaller steps need less memory for
// activations, and make prompts slower.
func WithMaxNumTokens(n int) Option { return func(o *options) { o.maxNumTokens = n } }

// WithMaxQueueSize bounds how many requests may wait; one more fails with
// ErrQueueFull. A request waits until the step that runs has ended, also when the engine
// has room for it, and a paused one waits too. Zero, the default, is no bound.
func WithMaxQueueSize(n int) Option { return func(o *options) { o.maxQueueSize = n } }

// WithKVCacheTokens sets how many tokens the KV cache holds, over all sequences; fewer
// when WithKVCacheFraction, by default 0.9 then, has no room for them.
// Config.KVCacheTokens tells. Without both, the cache has what the limits need, at most
// half of the memory that weights and activations leave; of a GPU's 0.9, whatever the
// limits need.
func WithKVCacheTokens(n int) Option { return func(o *options) { o.kvCacheTokens = n } }

// WithKVCacheFraction sets how much of the memory that weights and activations leave
// the KV cache takes, above 0 and below 1. With WithKVCacheTokens the smaller of both
// counts. It is TensorRT-LLM's kv_cache_free_gpu_memory_fraction, here of the memory
// that the backend computes in. A share without room for one block of the cache is
// ErrOutOfMemory.
func WithKVCacheFraction(f float64) Option { return func(o *options) { o.kvCacheFraction = &f } }

// WithBlockReuse says whether a prompt takes over the KV cache of an earlier one that
// began with the same tokens, which is the default. It changes no result but the
// time that it takes.
func WithBlockReuse(reuse bool) Option { return func(o *options) { o.noBlockReuse = !reuse } }

// CapacityPolicy says how much of the KV cache must be free for a request to start.
type CapacityPolicy int

// Capacity policies.
const (
	// GuaranteedNoEvict starts a request when there is KV cache for its prompt and all
	// its output: MaxTokens of each sequence. What runs is never paused. It is the
	// default.
	GuaranteedNoEvict CapacityPolicy = iota
	// MaxUtilization starts a request when there is KV cache for its prompt, so more
	// run at once. When it runs out, the latest of the lowest priority is paused: it
	// gives its KV cache away and is computed again later, with the same result.
	MaxUtilization
)

// String gives TensorRT-LLM's name: "guaranteed_no_evict" or "max_utilization".
func (p CapacityPolicy) String() string {
	switch p {
	case GuaranteedNoEvict:
		return "guaranteed_no_evict"
	case MaxUtilization:
		return "max_utilization"
	default:
		return fmt.Sprintf("CapacityPolicy(%d)", int(p))
	}
}

// WithCapacityPolicy chooses when a request may start.
func WithCapacityPolicy(p CapacityPolicy) Option { return func(o *options) { o.policy = p } }

// WithMaxSeqIdle sets how long a step, or a call of the logits processor, may take
// before the engine gives itself up: all requests then fail with ErrDead. Zero, the
// default, is three minutes.
func WithMaxSeqIdle(d time.Duration) Option { return func(o *options) { o.maxSeqIdle = d } }

// WithLogitsProcessor makes p change the logits of requests with ProcessorData. For
// engines of the CPU backend: with others Open fails with ErrUnsupported.
func WithLogitsProcessor(p LogitsProcessor) Option { return func(o *options) { o.processor = p } }

// WithIterationStats sets how many iterations are kept for [Engine.IterationStats]:
// 1000 by default, as in TensorRT-LLM. Zero keeps none.
func WithIterationStats(n int) Option { return func(o *options) { o.iterationStats = &n } }

// WithRequestStats sets how many iterations are kept for [Engine.RequestStats]: none
// by default, as in TensorRT-LLM, for each iteration lists all live requests.
func WithRequestStats(n int) Option { return func(o *options) { o.requestStats = n } }

// WithLogger makes the engine log. By default it says nothing. At level debug it says
// what it opened, with its memory plan, what it had done when it is closed, and when a
// request is paused; at level warn, that it has given itself up. Errors of requests are
// returned and not logged.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithTokenizerDir takes the tokenizer from another directory than the engine's.
func WithTokenizerDir(dir string) Option { return func(o *options) { o.tokenizerDir = dir } }

// WithTokenizerFile takes the tokenizer from a file: tokenizer.model or tokenizer.json.
func WithTokenizerFile(path string) Option { return func(o *options) { o.tokenizerFile = path } }

// namesTokenizer tells whether a tokenizer was asked for.
func (o *options) namesTokenizer() bool { return o.tokenizerDir != "" || o.tokenizerFile != "" }

// check refuses what makes no sense for any engine.
func (o *options) check() error {
	for _, number := range []struct {
		name  string
		value int
	}{
		{"threads", o.threads}, {"max_batch_size", o.maxBatchSize}, {"max_num_tokens", o.maxNumTokens},
		{"max queue size", o.maxQueueSize}, {"KV cache tokens", o.kvCacheTokens}, {"request stats", o.requestStats},
	} {
		if number.value < 0 {
			return invalidOption("%s is %d, want 0 (the default) or more", number.name, number.value)
		}
	}
	for _, choice := range []struct {
		name, value string
		allowed     []string
	}{
		{"precision", o.precision, []string{"", "exact", "fast"}}, {"load", o.load, []string{"", "mmap", "copy"}},
	} {
		if !slices.Contains(choice.allowed, choice.value) {
			return invalidOption("%s %q is none of %v", choice.name, choice.value, choice.allowed[1:])
		}
	}
	if f := o.kvCacheFraction; f != nil && !(*f > 0 && *f < 1) { // false for NaN
		return invalidOption("KV cache fraction is %v, above 0 and below 1 is wanted", *f)
	}
	if o.iterationStats != nil && *o.iterationStats < 0 {
		return invalidOption("iteration stats is %d, want 0 (none) or more", *o.iterationStats)
	}
	if o.policy != GuaranteedNoEvict && o.policy != MaxUtilization {
		return invalidOption("capacity policy is %d, GuaranteedNoEvict and MaxUtilization are known", int(o.policy))
	}
	if o.maxSeqIdle < 0 {
		return invalidOption("max sequence idle time is %v, want 0 (the default) or more", o.maxSeqIdle)
	}
	return o.nativeOptions.check()
}

// capacityPolicy is the executor's.
func (o *options) capacityPolicy() executor.CapacityPolicy {
	if o.policy == MaxUtilization {
		return executor.MaxUtilization
	}
	return executor.GuaranteedNoEvict
}

// log is the logger, which may be one that discards.
func (o *options) log() *slog.Logger {
	if o.logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.logger
}
