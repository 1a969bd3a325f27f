package native

// ExecutorOptions say which engine to run and how.
type ExecutorOptions struct {
	EngineDir string  // with config.json and rank*.engine
	Plugins   string  // path or name of libnvinfer_plugin_tensorrt_llm.so; "" is the usual name
	Settings  []Field // those of trtgo_executor_options, by name; [Ints], [Floats] and [Text] make them
}

// Array is numbers in row-major order. Type is TensorRT's name: FLOAT, HALF or BF16.
type Array struct {
	Data []byte // little-endian; nil where there is none, or what came is of another type
	Type string
	Dims []int64
}

// Request is a request to an executor.
type Request struct {
	ClientID      uint64 // comes back with each output
	Tokens        []int32
	MaxTokens     int
	Settings      []Field // those of trtgo_request, by name
	EmbeddingBias Array   // [vocab_size], of the type of the engine's logits
}

// Output is what is new of one beam of a request. Its slices are of memory that is freed when the function which got
// the output has returned.
type Output struct {
	ID, ClientID     uint64
	Error            string // why the request failed; "" where it did not
	Final            bool   // nothing follows of this request, but other beams in the same batch
	Beam, NumBeams   int
	FinishReason     int     // TensorRT-LLM's number; -1 for one that is not known
	Tokens           []int32 // since the last output, without the prompt; may be none, also in the last
	LogProbs         []float32
	CumLogProb       float32
	ReusedBlocks     int   // of the KV cache, with returnPerfMetrics, as the times
	Scheduled        int64 // ns since it was enqueued, -1 where it is not known
	FirstToken       int64
	LastToken        int64
	ContextLogits    Array // [prompt tokens, vocab_size_padded]
	GenerationLogits Array // streaming [tokens, beams, vocab_size_padded], else [beams, tokens, vocab_size_padded]
}

// Device is a GPU, as CUDA's driver tells of it.
type Device struct {
	Name       string
	Capability int // times ten, e.g. 89
	Memory     int64
}
