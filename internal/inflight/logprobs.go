package inflight

import (
	"fmt"
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// promptRows is what the rows of a prompt's positions gave, until it goes out with
// the first response.
type promptRows struct {
	taken    int // position of the next row to be taken
	complete bool
	logits   [][]float32
	logProbs []float32
	top      [][]executor.LogProb
}

// wantsPromptRows tells whether q has something to say about tokens of its
// prompt, which have to be computed then. It is the same for all sequences of a
// request: the first one delivers it.
func (q *sequence) wantsPromptRows() bool {
	return q.index == 0 && (q.ContextLogits || q.PromptLogProbs || q.PromptTopLogProbs > 0)
}

// wantsPromptRow tells whether the row of a prompt position is asked for and not
// there yet: a sequence that gave its blocks away computes its prompt once more.
func (q *sequence) wantsPromptRow(position int) bool {
	return q.wantsPromptRows() && q.prompt.taken <= position
}

// promptRow asks about the token of the prompt that follows a position, which is not
// the last. The model's own logits count: nothing is edited.
func (q *sequence) promptRow(index, position int) executor.LogitsRow {
	row := executor.LogitsRow{Index: index, Logits: q.ContextLogits, Candidates: q.PromptTopLogProbs}
	if q.PromptLogProbs {
		row.Targets = q.InputIDs[position+1 : position+2]
	}
	return row
}

// takePromptRows takes the answers to promptRow, in the order of their positions.
func (q *sequence) takePromptRows(rows []executor.RowResult) error {
	for i := range rows {
		row := &rows[i]
		if !isNumber(row.RawLogSumExp) {
			return fmt.Errorf("after token %d of the prompt: %w", q.prompt.taken, errNaN)
		}
		if q.ContextLogits {
			q.prompt.logits = append(q.prompt.logits, slices.Clone(row.Logits))
		}
		if q.PromptLogProbs {
			q.prompt.logProbs = append(q.prompt.logProbs, float32(logProb(row.Targets[0], row.RawLogSumExp)))
		}
		if q.PromptTopLogProbs > 0 {
			q.prompt.top = append(q.prompt.top, topLogProbs(row, q.PromptTopLogProbs))
		}
		q.prompt.taken++
	}
	return nil
}

// completePrompt takes the row of the prompt's last position, which the first token
// comes from too.
func (q *sequence) completePrompt(row *executor.RowResult) {
	last := len(q.InputIDs) - 1
	if !q.wantsPromptRow(last) {
		return
	}
	if q.ContextLogits {
		q.prompt.logits = append(q.prompt.logits, slices.Clone(row.Logits))
	}
	q.prompt.taken++
	q.prompt.complete = true
}

// deliverPrompt moves what the prompt's rows gave to the first response. The first
// token has nothing before it: its log-prob is 0, with no others beside it. So it is with
// tokens that nothing was asked about.
func (q *sequence) deliverPrompt(response *executor.Response) {
	if !q.prompt.complete {
		return
	}
	untold := q.FirstRow()
	if q.ContextLogits {
		response.ContextLogits = slices.Concat(make([][]float32, untold), q.prompt.logits)
	}
	if q.PromptLogProbs {
		response.PromptLogProbs = slices.Concat(make([]float32, untold+1), q.prompt.logProbs)
	}
	if q.PromptTopLogProbs > 0 {
		response.PromptTopLogProbs = slices.Concat(make([][]executor.LogProb, untold+1), q.prompt.top)
	}
	q.prompt = promptRows{taken: q.prompt.taken}
}

// topLogProbs are the best n tokens of a row that was asked for without edits and
// temperature.
func topLogProbs(row *executor.RowResult, n int) []executor.LogProb {
	list := make([]executor.LogProb, min(n, len(row.Candidates)))
	for i := range list {
		c := &row.Candidates[i]
		list[i] = executor.LogProb{Token: c.Token, LogProb: float32(logProb(c.Raw, row.RawLogSumExp))}
	}
	return list
}

// logProb is the log-prob of a logit under the model.
func logProb(raw, rawLogSumExp float32) float64 { return float64(raw) - float64(rawLogSumExp) }

func isNumber(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 1) }
