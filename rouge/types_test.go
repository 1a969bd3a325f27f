package rouge_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/rouge"
)

// All types, in several orders, with rouge-score's options (scripts/rouge_goldens.py).
func TestTypesEqualRougeScore(t *testing.T) {
	data, err := os.ReadFile("testdata/types.json")
	require.NoError(t, err)
	var golden struct {
		Pairs [][2]string
		Cases []struct {
			Types          []string
			Stemmer        bool `json:"use_stemmer"`
			Split          bool `json:"split_summaries"`
			Scores         [][][3]float64
			Low, Mid, High [][3]float64
		}
	}
	require.NoError(t, json.Unmarshal(data, &golden))
	require.Len(t, golden.Cases, 4)
	end := regexp.MustCompile(`[.?!] `)
	sentences := func(text string) (parts []string) {
		start := 0
		for _, at := range end.FindAllStringIndex(text, -1) {
			parts, start = append(parts, text[start:at[0]+1]), at[1]
		}
		return append(parts, text[start:])
	}
	for i, c := range golden.Cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			types, err := rouge.ParseTypes(c.Types)
			require.NoError(t, err)
			options := rouge.Options{Stemmer: c.Stemmer}
			if c.Split {
				options.Sentences = sentences
			}
			scorer := rouge.New(options)
			var sets []rouge.Set
			for j, pair := range golden.Pairs {
				set := scorer.ScoreTypes(pair[0], pair[1], types)
				if j%3 == 0 {
					require.Equal(t, c.Scores[j/3], numbersOf(set), pair)
				}
				sets = append(sets, set)
			}
			total := rouge.AggregateSets(sets, 0)
			require.Equal(t, len(sets), total.Samples)
			require.Equal(t, c.Low, numbersOf(total.Low))
			require.Equal(t, c.Mid, numbersOf(total.Median))
			require.Equal(t, c.High, numbersOf(total.High))
		})
	}
}

func numbersOf(set rouge.Set) (out [][3]float64) {
	for _, s := range set.Scores {
		out = append(out, [3]float64{s.Precision, s.Recall, s.FMeasure})
	}
	return out
}

func TestParseTypes(t *testing.T) {
	types, err := rouge.ParseTypes([]string{"rougeLsum", "rouge7"})
	require.NoError(t, err)
	require.Equal(t, []rouge.Type{"rougeLsum", "rouge7"}, types)
	for says, names := range map[string][]string{
		`"rouge0"; there are rouge1 to rouge9`: {"rouge1", "rouge0"}, `"rouge10"`: {"rouge10"}, `"ROUGE1"`: {"ROUGE1"}, `"rougel"`: {"rougel"},
		"rouge1 is given twice": {"rouge1", "rougeL", "rouge1"}, "none is given": nil,
	} {
		_, err := rouge.ParseTypes(names)
		require.ErrorIs(t, err, rouge.ErrType)
		require.ErrorContains(t, err, says)
	}
	require.Equal(t, rouge.SetInterval{}, rouge.AggregateSets(nil, 0))
}

func TestSetAsJSON(t *testing.T) {
	text, err := json.Marshal(rouge.New(rouge.Options{}).ScoreTypes("a b", "a b", []rouge.Type{"rougeL", "rouge2"}))
	require.NoError(t, err)
	require.Equal(t, `{"rougeL":{"precision":1,"recall":1,"fmeasure":1},"rouge2":{"precision":1,"recall":1,"fmeasure":1}}`, string(text))
	text, err = json.Marshal(rouge.Set{})
	require.NoError(t, err)
	require.Equal(t, "{}", string(text))
}
