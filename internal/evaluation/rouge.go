package evaluation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/rouge"
)

// RougeOptions are those of the command eval rouge.
type RougeOptions struct {
	// Types are the kinds that are computed, in their order; nil: rouge.DefaultTypes.
	Types []rouge.Type
	// UseStemmer compares stems instead of words.
	UseStemmer bool
	// Name stands for the input in errors; "stdin" if empty.
	Name string
}

// RougeResult is the ROUGE of many pairs.
type RougeResult struct {
	// Samples are the scores of each pair, in the order of the input.
	Samples []rouge.Set
	// Aggregate is upstream's bootstrap median, with low, high and the mean beside it.
	Aggregate RougeAggregate
}

// RougeAggregate sums pairs up. Its JSON has the median's scores at the top, rouge-score's "mid", and beside them "samples",
// "low", "high" and "mean"; all values lie between 0 and 1.
type RougeAggregate struct{ rouge.SetInterval }

// MarshalJSON puts the median's types in front.
func (a RougeAggregate) MarshalJSON() ([]byte, error) {
	median, err := json.Marshal(a.Median)
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(struct {
		Samples int       `json:"samples"`
		Low     rouge.Set `json:"low"`
		High    rouge.Set `json:"high"`
		Mean    rouge.Set `json:"mean"`
	}{a.Samples, a.Low, a.High, a.Mean})
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{bytes.TrimSuffix(median, []byte("}")), bytes.TrimPrefix(rest, []byte("{"))}, []byte(",")), nil
}

// Rouge scores JSON lines with the fields prediction and reference. Errors name the line; a line that lacks a field is one, as
// is an input without lines (ErrNoSamples).
func Rouge(input io.Reader, options RougeOptions) (RougeResult, error) {
	scorer := rouge.New(rouge.Options{Stemmer: options.UseStemmer})
	types := options.Types
	if types == nil {
		types = rouge.DefaultTypes
	}
	name := cmp.Or(options.Name, "stdin")
	var result RougeResult
	for line, err := range dataset.Lines(name, input) {
		if err != nil {
			return RougeResult{}, err
		}
		prediction, reference, err := pairOf(line)
		if err != nil {
			return RougeResult{}, err
		}
		result.Samples = append(result.Samples, scorer.ScoreTypes(prediction, reference, types))
	}
	if len(result.Samples) == 0 {
		return RougeResult{}, fmt.Errorf("%w: %s holds no lines", ErrNoSamples, name)
	}
	result.Aggregate = RougeAggregate{rouge.AggregateSets(result.Samples, 0)}
	return result, nil
}

func pairOf(line dataset.Line) (prediction, reference string, err error) {
	pair, err := line.Object()
	if err != nil {
		return "", "", err
	}
	if prediction, err = line.Field(pair, "prediction"); err != nil {
		return "", "", err
	}
	reference, err = line.Field(pair, "reference")
	return prediction, reference, err
}
