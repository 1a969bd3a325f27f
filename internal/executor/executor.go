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

	// ErrInvalidOption is returned when an engine is opened with an option whose value
	// makes no sense.
	ErrInvalidOption = errors.New("invalid option")

	// ErrQueueFull is returned by Submit when as many requests wait as the
	// executor's queue may hold.
	ErrQueueFull = errors.New("queue full")

	// ErrOutOfMemory is returned when an engine is opened for which the machine
	// has too little memory.
	ErrOutOfMemory = errors.New("too little memory")

	// ErrFailed marks the error of a request whose step failed: the model's
	// runner returned an error, or logits that are not numbers. The request may
	// be tried again.
	ErrFailed = errors.New("step failed")

	// ErrDead is returned by an executor that has given up: its runner panicked,
	// hangs, or fails at every step. Nothing will run in it any more.
	ErrDead = errors.New("executor dead")
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

	// Stop ends one sequence of a live request as a stop sequence would, after the
	// running step: its final response says FinishStop. It is for ends that only the
	// caller sees, such as words in the text. What is unknown or finished is ignored,
	// and so are beams, which nobody sees before they have ended.
	Stop(clientID uint64, sequence int)

	// Await blocks until there are responses and returns all of them, in order.
	// It returns ctx's error when ctx ends first, and ErrClosed when the
	// executor is closed and every response was taken.
	Await(ctx context.Context) ([]Response, error)

	// Stats is a snapshot, also after Close.
	Stats() Stats

	// IterationStats and RequestStats return what was recorded since the call
	// before, oldest first; the oldest are dropped when more iterations went by
	// than are kept. Iterations without work are not recorded.
	IterationStats() []IterationStats
	RequestStats() []RequestStatsPerIteration

	// Close cancels what runs, gives each live request its final response and
	// frees the executor. It is idempotent and returns when all threads ended, or,
	// when a step does not end, after a while with an error that wraps ErrDead.
	Close() error
}

// CapacityPolicy says how much of the KV cache a request must find free to start.
type CapacityPolicy int

const (
	// GuaranteedNoEvict starts a request when there are blocks for its prompt and
	// all its output. What runs is never paused.
	GuaranteedNoEvict CapacityPolicy = iota
	// MaxUtilization starts a request when there are blocks for its prompt. When
	// blocks run out, requests are paused: the latest of the lowest priority gives
	// its blocks away and is computed again later.
	MaxUtilization
)

// Request is one prompt and what to make of it.
type Request struct {
	ClientID  uint64
	InputIDs  []int32
	MaxTokens int // tokens to generate for each sequence, at least 1

	Sampling      Sampling
	EndIDs        []int32   // generation ends on any of these; they are not in the output
	StopSequences [][]int32 // generation ends when the output ends with one; it stays in the output
	BadSequences  [][]int32 // never generated
	Streaming     bool      // a response for each token, otherwise one at the end; beams come at the end

	LogProbs          bool // of generated tokens
	TopLogProbs       int  // the best tokens beside each generated one, up to Limits.MaxCandidates
	PromptLogProbs    bool // of prompt tokens, in the first response
	PromptTopLogProbs int  // the best tokens beside each prompt token
	ContextLogits     bool // logits of every prompt position, in the first response
	// PromptFrom is the first prompt token that PromptLogProbs, PromptTopLogProbs and
	// ContextLogits tell of, up to the prompt's length; what they would say of those
	// before it is left 0 or nil. ContextLogits begin with the row before that token.
	PromptFrom       int
	GenerationLogits bool // logits of every generated token

	// ProcessorData, when not nil, sends the request's rows through the executor's
	// LogitsProcessor, each with this value.
	ProcessorData any

	// CacheSalt separates prefix reuse: KV blocks are shared only between requests
	// of one salt.
	CacheSalt uint64

	Priority     float32       // 0 to 1, larger first among waiting requests
	AllottedTime time.Duration // 0 is no limit; over it the request ends with FinishTimeout
}

// Sampling says how tokens are chosen, with the fields and meanings of
// TensorRT-LLM's SamplingConfig. TopK 1 is greedy; the zero value draws from the
// model's whole distribution with seed 0.
type Sampling struct {
	NumReturnSequences int     // 0 is 1, with beams BeamWidth
	TopK               int     // 0: all tokens; 1: greedy
	TopP               float32 // 0 and 1: all tokens
	MinP               float32 // 0: off
	Temperature        float32 // 0 is 1
	Seed               uint64
	MinTokens          int // end ids and stop sequences are held back until then

	// TopP is multiplied by TopPDecay after each token, down to TopPMin, and is
	// as at first again after one of TopPResetIDs.
	TopPDecay    float32 // 0 is 1
	TopPMin      float32 // 0 is 1e-6
	TopPResetIDs []int32

	RepetitionPenalty  float32 // 0 and 1: off
	PresencePenalty    float32
	FrequencyPenalty   float32
	PromptIgnoreLength int // tokens at the prompt's beginning that presence and frequency penalty do not count
	NoRepeatNgramSize  int
	Bias               map[int32]float32 // added to the logit of a token

	// BeamWidth above 1 is beam search: Temperature, penalties, bias and bans
	// work on the logits, TopK, TopP, MinP and Seed do nothing.
	BeamWidth               int     // 0 and 1: no beam search
	LengthPenalty           float32 // a finished beam's score is cumulative log-prob / length^LengthPenalty
	EarlyStopping           *int    // nil is 1: end with BeamWidth finished beams; 0: when none can become better, by the present length; else: by the length that is best for it
	BeamSearchDiversityRate float32 // times the rank of a beam, from 0, it is added to what ranks the beam's next tokens; scores are without it
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
	ClientID  uint64
	Sequence  int // 0 … NumReturnSequences-1; beams are ordered by score, the best is 0
	OutputIDs []int32

	LogProbs       []float32   // of OutputIDs, when asked for; under the model, before sampling
	TopLogProbs    [][]LogProb // the best tokens at each of OutputIDs, when asked for; descending
	CumLogProb     float32     // of all tokens so far; a beam's is that of its score: after edits and temperature, with its end id
	Logits         [][]float32 // of OutputIDs, when asked for
	ContextLogits  [][]float32 // of every prompt position, when asked for; nil before PromptFrom-1
	PromptLogProbs []float32   // of every prompt token, when asked for; 0 for the first and before PromptFrom
	// PromptTopLogProbs are the best tokens at each prompt token, when asked for;
	// those of the first, and before PromptFrom, are none.
	PromptTopLogProbs [][]LogProb

	FinishReason  FinishReason
	Timing        Timing       // so far
	KVCache       RequestCache // so far
	SequenceFinal bool         // no more for this sequence
	Final         bool         // no more for this request
	Err           error        // the request failed; Final is set
}

// LogProb is a token and its log-prob under the model.
type LogProb struct {
	Token   int32
	LogProb float32
}

// Timing tells when things happened to a sequence, each measured from Submit.
// What never happened is 0.
type Timing struct {
	Scheduled  time.Duration // left the queue
	FirstToken time.Duration
	LastToken  time.Duration
}

// RequestCache tells what the KV cache did for a sequence.
type RequestCache struct {
	ReusedTokens int // tokens that were there already, not computed
	Paused       int // how often it gave its blocks away and was computed again
}

// LogitsProcessor changes the logits of the next tokens before they are chosen: of
// all sequences of a step whose requests have ProcessorData, in one call, on the
// executor's goroutine. It must not keep the rows' slices. An error fails the
// requests of these rows.
type LogitsProcessor func(rows []ProcessorRow) error

// ProcessorRow is the logits of one sequence's next token.
type ProcessorRow struct {
	ClientID  uint64
	Sequence  int
	Data      any       // the request's ProcessorData
	Tokens    []int32   // prompt and output; read only
	Generated int       // how many of Tokens are output
	Logits    []float32 // [vocab_size], the model's; to be changed in place, before penalties, bias and temperature
}
