package trtllm

import "github.com/trtgo/trtgo/internal/executor"

// Option changes how Open opens an engine.
type Option func(*options)

type options struct {
	threads       int
	precision     string
	load          string
	maxBatchSize  int
	kvCacheTokens int
	tokenizerDir  string
	tokenizerFile string

	// wrapRunner puts something between executor and runner: tests' faults and
	// benchmarks' clocks. Nil is nothing.
	wrapRunner func(executor.Runner) executor.Runner
}

// namesTokenizer tells whether a tokenizer was asked for.
func (o *options) namesTokenizer() bool { return o.tokenizerDir != "" || o.tokenizerFile != "" }

// WithThreads sets the CPU threads of a step. The default is as many CPUs as the
// process may use. More than that slows steps down.
func WithThreads(n int) Option { return func(o *options) { o.threads = n } }

// WithPrecision chooses "exact" (float32 activations and KV cache) or "fast"
// (bfloat16 ones, the default of bfloat16 engines). Engines with float32 weights
// are always exact.
func WithPrecision(p string) Option { return func(o *options) { o.precision = p } }

// WithLoad chooses "mmap" (the default) or "copy", which reads the weights into
// memory and checks their checksums.
func WithLoad(how string) Option { return func(o *options) { o.load = how } }

// WithMaxBatchSize bounds the sequences in a step below the engine's own limit.
func WithMaxBatchSize(n int) Option { return func(o *options) { o.maxBatchSize = n } }

// WithKVCacheTokens sets how many tokens the KV cache holds, over all sequences.
// The default is what the limits need, at most half of the memory available.
func WithKVCacheTokens(n int) Option { return func(o *options) { o.kvCacheTokens = n } }

// WithTokenizerDir takes the tokenizer from another directory than the engine's.
func WithTokenizerDir(dir string) Option { return func(o *options) { o.tokenizerDir = dir } }

// WithTokenizerFile takes the tokenizer from a file: tokenizer.model or tokenizer.json.
func WithTokenizerFile(path string) Option { return func(o *options) { o.tokenizerFile = path } }
