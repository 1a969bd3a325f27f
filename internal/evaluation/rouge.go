package evaluation

import (
	"cmp"
	"fmt"
	"io"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/rouge"
)

// RougeOptions are those of the command eval rouge.
type RougeOptions struct {
	// UseStemmer compares stems instead of words.
	UseStemmer bool
	// Name stands for the input in errors; "stdin" if empty.
	Name string
}

// RougeResult is the ROUGE of many pairs.
type RougeResult struct {
	// Samples are the scores of each pair, in the order of the input.
	Samples []rouge.Scores
	// Aggregate is upstream's bootstrap median, with the mean beside it.
	Aggregate RougeAggregate
}

// RougeAggregate is the JSON form of an aggregate: the median's scores at the top, all values between 0 and 1.
type RougeAggregate struct {
	rouge.Scores
	Samples int          `json:"samples"`
	Low     rouge.Scores `json:"low"`
	High    rouge.Scores `json:"high"`
	Mean    rouge.Scores `json:"mean"`
}

// Rouge scores JSON lines with the fields prediction and reference. Errors name the line; a line that lacks a field is one, as
// is an input without lines (ErrNoSamples).
func Rouge(input io.Reader, options RougeOptions) (RougeResult, error) {
	scorer := rouge.New(rouge.Options{Stemmer: options.UseStemmer})
	name := cmp.Or(options.Name, "stdin")
	var result RougeResult
	for line, err := range dataset.Lines(name, input) {
		if err != nil {
			return RougeResult{}, err
		}
		scores, err := scoreLine(scorer, line)
		if err != nil {
			return RougeResult{}, err
		}
		result.Samples = append(result.Samples, scores)
	}
	if len(result.Samples) == 0 {
		return RougeResult{}, fmt.Errorf("%w: %s holds no lines", ErrNoSamples, name)
	}
	total := rouge.Aggregate(result.Samples)
	result.Aggregate = RougeAggregate{total.Median, total.Samples, total.Low, total.High, total.Mean}
	return result, nil
}

func scoreLine(scorer *rouge.Scorer, line dataset.Line) (rouge.Scores, error) {
	pair, err := line.Object()
	if err != nil {
		return rouge.Scores{}, err
	}
	prediction, err := line.Field(pair, "prediction")
	if err != nil {
		return rouge.Scores{}, err
	}
	reference, err := line.Field(pair, "reference")
	if err != nil {
		return rouge.Scores{}, err
	}
	return scorer.Score(prediction, reference), nil
}
