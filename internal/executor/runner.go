package executor

import (
	"context"
	"errors"
	"time"
)

// MaxCandidates is the largest number of candidates a runner returns for a row.
const MaxCandidates = 1024

// MinTemperature is the smallest temperature of a row: it is small enough for any
// use, and large enough that a logit divided by it is no infinity.
const MinTemperature = 1e-30

var (
	// ErrAborted is returned by Runner.Step when its context ended before the
	// step did. The step has committed nothing and may be repeated.
	ErrAborted = errors.New("step aborted")

	// ErrClosed is returned by every method of a closed runner or executor.
	ErrClosed = errors.New("closed")
)

// Limits are the sizes a runner was opened with. They do not change.
type Limits struct {
	VocabSize    int // width of a row of logits
	MaxSeqLen    int // tokens of one sequence, prompt and output together
	MaxBatchSize int // sequences in one step
	MaxNumTokens int // tokens in one step, over all sequences

	BlockSize    int  // tokens in one KV block
	NumBlocks    int  // KV blocks in the arena, numbered from 0
	SharedBlocks bool // whether a block may stand in several block tables

	StateSlots    int    // recurrent state slots; 0 when no layer needs one
	MaxCandidates int    // largest LogitsRow.Candidates
	KVCacheDtype  string // "float32" or "bfloat16"

	Memory Memory // what the runner was opened with
}

// Runner does forward steps. Step, CopyBlock and SetObserver must not be called
// concurrently; Close may be called once nothing else runs. A runner owns its
// memory: it keeps no slice it was given.
type Runner interface {
	Limits() Limits

	// Step runs one forward pass over the sequences of the batch, writes their
	// keys and values into their blocks and fills out.Rows with one entry for
	// each wanted row, in order of sequences and, within one, of Rows. out and
	// its slices are reused when they have room.
	//
	// A sequence's results do not depend on the other sequences of the batch,
	// nor on how its tokens were divided into steps. When ctx ends first the
	// error is ErrAborted (wrapping nothing of ctx) and nothing is committed:
	// blocks hold what they held for positions before the step's first.
	Step(ctx context.Context, batch []Sequence, out *StepResult) error

	// CopyBlock copies the first n tokens of KV block src to dst, in all layers.
	CopyBlock(src, dst, n int) error

	// SetObserver makes the following steps report each operation; nil stops.
	SetObserver(Observer)

	// Close frees the runner. It is idempotent.
	Close() error
}

// Sequence is the part of a step that belongs to one sequence: a chunk of its
// prompt, or the token that was decoded last.
type Sequence struct {
	Tokens     []int32 // token ids, at least one
	Positions  []int32 // absolute position of each token; ascending by one
	BlockTable []int32 // KV block of positions [i*BlockSize, (i+1)*BlockSize)
	SeqLen     int     // tokens in the KV cache after this step: last position + 1
	StateSlot  int     // recurrent state slot; ignored when Limits.StateSlots is 0
	Rows       []LogitsRow
}

// LogitsRow asks for the logits after one token of a sequence. Two rows may ask
// about one token, with different edits; a runner may compute its logits twice.
type LogitsRow struct {
	Index       int     // index into Sequence.Tokens
	Temperature float32 // divides the edited logits; 0 is taken as 1, otherwise at least MinTemperature
	Edits       []LogitEdit
	Candidates  int     // how many candidates come back, 0 to Limits.MaxCandidates
	Logits      bool    // also return the full row, raw
	Targets     []int32 // tokens whose raw logits come back
}

// LogitEdit changes the logit of one token before temperature: Bias is added; then
// what is positive is divided by Penalty and another multiplied by it; then Subtract
// is taken off. That is the order of TensorRT-LLM's batchApplyPenalty. Penalty 0 is
// taken as 1. A ban is a Bias of -Inf; NaN and +Inf are no bias, what is no finite
// number is nothing to subtract, and a step with one is refused.
type LogitEdit struct {
	Token    int32
	Bias     float32
	Penalty  float32
	Subtract float32
}

// Candidate is one token of a row. Logit is edited and divided by the
// temperature, Raw is the model's own.
type Candidate struct {
	Token int32
	Logit float32
	Raw   float32
}

// RowResult answers one LogitsRow. Candidates descend by Logit; equal logits
// ascend by token id. Max and LogSumExp are over the edited logits divided by
// the temperature, RawLogSumExp over the model's own: a candidate's probability
// is exp(Logit-LogSumExp), its log-prob under the model Raw-RawLogSumExp.
type RowResult struct {
	Candidates   []Candidate
	Max          float32
	LogSumExp    float32
	RawLogSumExp float32
	Logits       []float32 // VocabSize values, only when asked for
	Targets      []float32 // raw logits of LogitsRow.Targets
}

// StepResult is what a step returns, one entry for each LogitsRow.
type StepResult struct {
	Rows []RowResult
}

// Observer is told about each operation of a step, after the step, in order.
type Observer func(Observation)

// Observation is one operation of a step. Begin is counted from the step's beginning; an
// operation that ran for several groups of rows has the first one's, and a Duration of
// them all. InputAmax is the largest magnitude among a linear operation's inputs, 0 for
// other operations.
type Observation struct {
	Operation string
	Begin     time.Duration
	Duration  time.Duration
	InputAmax float32
	// Workers tells what each thread of the step did of the operation, in the order of
	// their numbers; empty when the runner does not know. It is the observer's to read
	// until it returns.
	Workers []WorkerSpan
}

// WorkerSpan is a thread's part of an operation: from the Begin of its first piece of
// work to the end of its last, of which it worked for Busy. All are 0 when it did none.
type WorkerSpan struct {
	Begin    time.Duration // counted from the step's beginning
	Duration time.Duration
	Busy     time.Duration
}
