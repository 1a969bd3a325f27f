package rouge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/numpyrandom"
)

// Type is a kind of ROUGE by rouge-score's name for it: "rouge1" to "rouge9" count shared runs of so many words, "rougeL" and
// "rougeLsum" are those of Scores.
type Type string

// ErrType is wrapped by errors about a name that is no kind of ROUGE.
var ErrType = errors.New("no kind of ROUGE")

// DefaultTypes are the four that summarize.py and "evaluate" compute, in their order. Scores has the same.
var DefaultTypes = []Type{"rouge1", "rouge2", "rougeL", "rougeLsum"}

// ParseTypes checks names. Their order is kept, since the bootstrap depends on it; a name that is given twice is an error.
func ParseTypes(names []string) ([]Type, error) {
	var types []Type
	for _, name := range names {
		t := Type(name)
		if t != "rougeL" && t != "rougeLsum" && t.length() == 0 {
			return nil, fmt.Errorf("%w: %q; there are rouge1 to rouge9, rougeL and rougeLsum", ErrType, name)
		}
		if slices.Contains(types, t) {
			return nil, fmt.Errorf("%w: %s is given twice", ErrType, name)
		}
		types = append(types, t)
	}
	if len(types) == 0 {
		return nil, fmt.Errorf("%w: none is given", ErrType)
	}
	return types, nil
}

// length is the number of words of an n-gram, 0 for other types.
func (t Type) length() int {
	digit, found := strings.CutPrefix(string(t), "rouge")
	if !found || len(digit) != 1 || digit[0] < '1' || digit[0] > '9' {
		return 0
	}
	return int(digit[0] - '0')
}

// Set holds the scores of some types, in their order. Its JSON is an object with the types' names.
type Set struct {
	Types  []Type
	Scores []Score // one for each of Types
}

// Of returns the score of a type, which is zero for one that the set has not.
func (s Set) Of(t Type) Score {
	if i := slices.Index(s.Types, t); i >= 0 {
		return s.Scores[i]
	}
	return Score{}
}

// MarshalJSON writes the scores in the order of the types.
func (s Set) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, t := range s.Types {
		value, err := json.Marshal(s.Scores[i])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, ",%q:%s", t, value)
	}
	if b.Len() == 0 {
		return []byte("{}"), nil
	}
	return append(append([]byte("{"), b.Bytes()[1:]...), '}'), nil
}

// Set returns the four scores as a set of DefaultTypes.
func (s Scores) Set() Set {
	return Set{DefaultTypes, []Score{s.Rouge1, s.Rouge2, s.RougeL, s.RougeLsum}}
}

// ScoreTypes is Score for the types that ParseTypes took.
func (s *Scorer) ScoreTypes(prediction, reference string, types []Type) Set {
	var words vocabulary
	predicted := words.number(s.Tokenize(prediction))
	referred := words.number(s.Tokenize(reference))
	set := Set{types, make([]Score, len(types))}
	for i, t := range types {
		switch n := t.length(); {
		case t == "rougeL":
			set.Scores[i] = scoreLCS(predicted, referred)
		case t == "rougeLsum":
			set.Scores[i] = scoreUnionLCS(s.lines(&words, prediction), s.lines(&words, reference))
		case n == 1:
			set.Scores[i] = scoreUnigrams(predicted, referred)
		case n == 2:
			set.Scores[i] = scoreBigrams(predicted, referred)
		case n > 2:
			set.Scores[i] = scoreNgrams(predicted, referred, ngramKey, n)
		}
	}
	return set
}

// ngramKey makes one value of up to nine tokens.
func ngramKey(tokens []int32) (key [9]int32) {
	copy(key[:], tokens)
	return key
}

// SetInterval is an Interval of any types.
type SetInterval struct {
	Low, Median, High, Mean Set
	Samples                 int
}

// AggregateSets is AggregateSeed for sets, which must all have the types of the first. The random stream runs through the types in
// their order, so that a type's bounds depend on which types stand before it; those of the mean do not.
func AggregateSets(sets []Set, seed uint32) SetInterval {
	if len(sets) == 0 {
		return SetInterval{}
	}
	types := sets[0].Types
	empty := func() Set { return Set{types, make([]Score, len(types))} }
	result := SetInterval{Low: empty(), Median: empty(), High: empty(), Mean: empty(), Samples: len(sets)}
	random := numpyrandom.NewRandomState(seed)
	column := make([]Score, len(sets))
	for kind := range types {
		for i, set := range sets {
			column[i] = set.Scores[kind]
		}
		result.Low.Scores[kind], result.Median.Scores[kind], result.High.Scores[kind] = bootstrap(column, random)
		result.Mean.Scores[kind] = meanOf(column)
	}
	return result
}
