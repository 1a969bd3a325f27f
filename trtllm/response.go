package trtllm

import (
	"github.com/trtgo/trtgo/internal/executor"
)

// FinishReason tells why a sequence ended. Its String is one of "end", "stop",
// "length", "timeout", "cancelled" and "unknown", or "" while it runs.
type FinishReason = executor.FinishReason

// Reasons for a sequence's end.
const (
	FinishNone      = executor.FinishNone
	FinishEnd       = executor.FinishEnd       // an end id
	FinishStop      = executor.FinishStop      // a stop word
	FinishLength    = executor.FinishLength    // MaxTokens
	FinishTimeout   = executor.FinishTimeout   // Timeout
	FinishCancelled = executor.FinishCancelled // the context, or Close
)

// Response is all that came of a request. The embedded Sequence is the first one.
type Response struct {
	InputIDs []int32
	Sequence
	// Sequences are all of them, NumReturnSequences many; the first one too.
	Sequences []Sequence
	// ContextLogits are raw logits [prompt][vocab_size] when asked for.
	ContextLogits [][]float32
}

// Sequence is one continuation of the prompt.
type Sequence struct {
	OutputIDs    []int32 // without the prompt and without the end id
	Text         string  // OutputIDs decoded; "" without a tokenizer. It ends with a stop word that ended it
	FinishReason FinishReason
	LogProbs     []float32   // of each token under the model, when asked for
	CumLogProb   float32     // their sum, also when LogProbs was not asked for
	Logits       [][]float32 // raw logits [tokens][vocab_size], when asked for
	Timing       Timing
}

// Timing tells when things happened to a sequence, measured from the request.
type Timing = executor.Timing

// Chunk is what is new in a stream. Text never ends inside a character; the texts
// of a sequence's chunks, joined, are its Text, and so are the ids.
type Chunk struct {
	Sequence     int
	Text         string
	OutputIDs    []int32
	LogProbs     []float32
	CumLogProb   float32      // of all tokens so far
	Logits       [][]float32  // raw logits [tokens][vocab_size], when asked for
	FinishReason FinishReason // not FinishNone in a sequence's last chunk
	Timing       Timing       // so far

	// ContextLogits are raw logits [prompt][vocab_size], when asked for, in the
	// request's first chunk.
	ContextLogits [][]float32
}

// Stats is a snapshot of an engine.
type Stats struct {
	ActiveRequests   int
	QueuedRequests   int
	Iterations       uint64 // steps done
	ContextTokens    uint64 // prompt tokens computed
	GeneratedTokens  uint64
	FinishedRequests uint64 // failed and cancelled ones included
	KVBlocksUsed     int    // held by running requests or promised to them
	KVBlocksTotal    int
	TokensPerBlock   int
}

func statsOf(s executor.Stats) Stats {
	return Stats{
		ActiveRequests: s.ActiveRequests, QueuedRequests: s.QueuedRequests, Iterations: s.Iterations, ContextTokens: s.ContextTokens,
		GeneratedTokens: s.GeneratedTokens, FinishedRequests: s.FinishedRequests,
		KVBlocksUsed: s.KVBlocksUsed, KVBlocksTotal: s.KVBlocksTotal, TokensPerBlock: s.TokensPerBlock,
	}
}
