package trtllm

import "github.com/trtgo/trtgo/internal/executor"

// LogitsProcessor changes the logits of the next tokens before they are chosen. It is
// called once for each step, with the rows of all sequences in it whose requests have
// ProcessorData, on a goroutine of the engine: while it runs, nothing is generated.
// It must keep neither rows nor their slices, nor call the engine's methods that
// wait, such as Generate and Close. When it returns an error, or panics, the requests
// of these rows fail with ErrFailed, which wraps the error.
type LogitsProcessor func(rows []ProcessorRow) error

// ProcessorRow is the logits of one sequence's next token.
type ProcessorRow struct {
	RequestID uint64
	Sequence  int       // 0 … NumReturnSequences-1; with beams, the beam as it stands
	Data      any       // the request's ProcessorData
	Tokens    []int32   // prompt and output so far; read only
	Generated int       // how many of Tokens are output, at their end
	Logits    []float32 // [vocab_size], the model's; to be changed in place, before penalties, bias and temperature. -Inf forbids a token
}

// leaf gives the executor's form. The executor calls it on one goroutine.
func (p LogitsProcessor) leaf() executor.LogitsProcessor {
	if p == nil {
		return nil
	}
	var own []ProcessorRow
	return func(rows []executor.ProcessorRow) error {
		own = own[:0]
		for _, r := range rows {
			own = append(own, ProcessorRow{
				RequestID: r.ClientID, Sequence: r.Sequence, Data: r.Data, Tokens: r.Tokens, Generated: r.Generated, Logits: r.Logits,
			})
		}
		defer clear(own) // the rows' slices are the executor's
		return p(own)
	}
}
