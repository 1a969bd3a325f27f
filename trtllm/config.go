package trtllm

// Config is what an engine was built and opened with.
type Config struct {
	Architecture  string // of the model, "LlamaForCausalLM"
	Dtype         string // of the weights
	Backend       string // "cpu" or "tensorrt-llm"
	Precision     string // "exact" or "fast"; "" for tensorrt-llm
	VocabSize     int    // width of a row of logits
	MaxBatchSize  int    // sequences in a step
	MaxInputLen   int    // tokens of a prompt
	MaxSeqLen     int    // tokens of prompt and output
	MaxNumTokens  int    // tokens in a step
	KVCacheTokens int    // tokens in the KV cache, over all sequences; 0 is unknown, as where this is not the leader
	Ranks         int    // processes that run it together
}
