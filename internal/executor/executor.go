package executor

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrTooLong is returned by Submit when a prompt and its output exceed the
	// engine's max_seq_len, or a prompt its max_input_len.
	ErrTooLong = errors.New("request too long for the engine")

	// ErrInvalidRequest is returned by Submit for a request that no engine
	// could run: no tokens, a token outside the vocabulary, a bad sampling value.
	ErrInvalidRequest = errors.New("invalid request")

	// ErrUnsupported is returned by Submit for a feature that this executor
	// does not have.
	ErrUnsupported = errors.New("not supported by this executor")

	// ErrNoBackend is returned when an engine is opened that nothing on this
	// machine, or in this build of the program, can run.
	ErrNoBackend = errors.New("no backend for this engine here")
)

// Executor runs requests. All methods may be called by any goroutine, except
// that Await has one caller at a time.
type Executor interface {
	// Submit queues a request under its ClientID, which must not be in use by a
	// live request. On an error nothing was queued and no response will come.
	Submit(Request) error

	// Cancel ends a live request after the running step; its final response
	// says FinishCancelled. An unknown or finished id is ignored.
	Cancel(clientID uint64)

	// Await blocks until there are responses and returns all of them, in order.
	// It returns ctx's error when ctx ends first, and ErrClosed when the
	// executor is closed and every response was taken.
	Await(ctx context.Context) ([]Response, error)

	Stats() Stats

	// Close cancels what runs, gives each live request its final response and
	// frees the executor. It is idempotent and returns when all threads ended.
	Close() error
}

// Request is one prompt and what to make of it.
type Request struct {
	ClientID  uint64
	InputIDs  []int32
	MaxTokens int // tokens to generate for each sequence, at least 1

	Sampling         Sampling
	EndIDs           []int32   // generation ends on any of these; they are not in the output
	StopSequences    [][]int32 // generation ends when the output ends with one; it stays in the output
	BadSequences     [][]int32 // never generated
	Streaming        bool      // a response for each token, otherwise one at the end
	LogProbs         bool
	ContextLogits    bool          // logits of every prompt position, in the first response
	GenerationLogits bool          // logits of every generated token
	Priority         float32       // 0 to 1, larger first among waiting requests
	AllottedTime     time.Duration // 0 is no limit; over it the request ends with FinishTimeout
}

// Sampling says how tokens are chosen. TopK 1 is greedy; the zero value draws
// from the model's whole distribution with seed 0.
type Sampling struct {
	NumReturnSequences int     // 0 is 1
	BeamWidth          int     // 0 and 1: no beam search
	TopK               int     // 0: all tokens; 1: greedy
	TopP               float32 // 0 and 1: all tokens
	MinP               float32 // 0: off
	Temperature        float32 // 0 is 1
	Seed               uint64
	MinTokens          int // end ids and stop sequences are held back until then

	RepetitionPenalty float32 // 0 and 1: off
	PresencePenalty   float32
	FrequencyPenalty  float32
	NoRepeatNgramSize int
	Bias              map[int32]float32 // added to the logit of a token
}

// Greedy tells whether s always takes the token with the largest logit.
func (s Sampling) Greedy() bool { return s.TopK == 1 }

// FinishReason tells why a sequence ended. The numbers are TensorRT-LLM's.
type FinishReason int

const (
	FinishNone FinishReason = iota
	FinishEnd
	FinishStop
	FinishLength
	FinishTimeout
	FinishCancelled
)

var finishNames = [...]string{"", "end", "stop", "length", "timeout", "cancelled"}

// String gives the word used in JSON output; numbers that are not known give
// "unknown".
func (f FinishReason) String() string {
	if f < 0 || int(f) >= len(finishNames) {
		return "unknown"
	}
	return finishNames[f]
}

// Response carries what is new for one sequence of a request. The receiver
// owns its slices.
type Response struct {
	ClientID      uint64
	Sequence      int // 0 … NumReturnSequences-1
	OutputIDs     []int32
	LogProbs      []float32 // of OutputIDs, when asked for; under the model, before sampling
	CumLogProb    float32   // of all tokens so far
	ContextLogits [][]float32
	Logits        [][]float32 // of OutputIDs, when asked for
	FinishReason  FinishReason
	Timing        Timing // so far
	SequenceFinal bool   // no more for this sequence
	Final         bool   // no more for this request
	Err           error  // the request failed; Final is set
}

// Timing tells when things happened to a sequence, each measured from Submit.
// What never happened is 0.
type Timing struct {
	Scheduled  time.Duration // left the queue
	FirstToken time.Duration
	LastToken  time.Duration
}

// Stats is a snapshot of an executor.
type Stats struct {
	ActiveRequests   int
	QueuedRequests   int
	Iterations       uint64
	ContextTokens    uint64 // prompt tokens computed
	GeneratedTokens  uint64
	FinishedRequests uint64
	KVBlocksUsed     int
	KVBlocksTotal    int
	TokensPerBlock   int
}
