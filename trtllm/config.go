package trtllm

// Config is what an engine was built and opened with.
type Config struct {
	Architecture string
	Dtype        string // of the weights
	Backend      string // "cpu"
	Precision    string // "exact" or "fast"
	VocabSize    int
	MaxBatchSize int // sequences in a step
	MaxInputLen  int // tokens of a prompt
	MaxSeqLen    int // tokens of prompt and output
	MaxNumTokens int // tokens in a step
}

// Config returns what the engine was built and opened with.
func (e *Engine) Config() Config { return e.config }
