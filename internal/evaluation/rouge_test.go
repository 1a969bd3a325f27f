package evaluation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/rouge"
)

const pairs = `{"prediction": "the cat sat", "reference": "the cats sat down"}

{"reference": "a\nb", "prediction": "b\na", "note": 1}
{"prediction": "", "reference": "x"}
`

func TestRougeOfPairs(t *testing.T) {
	result, err := evaluation.Rouge(strings.NewReader(pairs), evaluation.RougeOptions{})
	require.NoError(t, err)
	scorer := rouge.New(rouge.Options{})
	want := []rouge.Scores{scorer.Score("the cat sat", "the cats sat down"), scorer.Score("b\na", "a\nb"), {}}
	require.Len(t, result.Samples, len(want))
	for i := range want {
		require.Equal(t, want[i].Set(), result.Samples[i])
	}
	total := rouge.Aggregate(want)
	require.Equal(t, total.Median.Set(), result.Aggregate.Median)
	require.Equal(t, total.Mean.Set(), result.Aggregate.Mean)
	require.Equal(t, 3, result.Aggregate.Samples)

	stemmed, err := evaluation.Rouge(strings.NewReader(pairs), evaluation.RougeOptions{UseStemmer: true})
	require.NoError(t, err)
	require.Greater(t, stemmed.Samples[0].Of("rouge1").FMeasure, result.Samples[0].Of("rouge1").FMeasure)

	// Other types, in the order that was asked for.
	chosen, err := evaluation.Rouge(strings.NewReader(pairs), evaluation.RougeOptions{Types: []rouge.Type{"rougeL", "rouge3"}})
	require.NoError(t, err)
	require.Equal(t, result.Samples[0].Of("rougeL"), chosen.Samples[0].Of("rougeL"))
	require.Zero(t, chosen.Samples[0].Of("rouge1"))
	text, err := json.Marshal(chosen.Aggregate)
	require.NoError(t, err)
	require.Regexp(t, `^\{"rougeL":\{[^}]*\},"rouge3":\{[^}]*\},"samples":3,"low":\{"rougeL":.*,"high":\{"rougeL":.*,"mean":\{"rougeL":.*\}\}\}$`, string(text))
}

func TestRougeAggregateAsJSON(t *testing.T) {
	result, err := evaluation.Rouge(strings.NewReader(pairs), evaluation.RougeOptions{})
	require.NoError(t, err)
	text, err := json.Marshal(result.Aggregate)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(text, &fields))
	for _, name := range []string{"rouge1", "rouge2", "rougeL", "rougeLsum", "samples", "mean", "low", "high"} {
		require.Contains(t, fields, name)
	}
	require.Contains(t, fields["rouge1"], "fmeasure")
}

func TestRougeOfBadLines(t *testing.T) {
	good := `{"prediction": "a", "reference": "b"}` + "\n"
	for content, says := range map[string]string{
		good + `{"prediction": "a"}`:                  `stdin, line 2: no field "reference"; the line has prediction`,
		good + "\n" + `{"reference": "a"}`:            `stdin, line 3: no field "prediction"`,
		`{"prediction": ["a"], "reference": "b"}`:     `line 1: field "prediction" is a list`,
		`{"prediction": "a", "reference": null}`:      `line 1: field "reference" is null`,
		good + `["a", "b"]`:                           "line 2: a list where a JSON object should be",
		good + `{"prediction": "a", "reference": "b"`: "line 2: not valid JSON",
	} {
		_, err := evaluation.Rouge(strings.NewReader(content), evaluation.RougeOptions{})
		require.ErrorIs(t, err, dataset.ErrFormat, content)
		require.ErrorContains(t, err, says, content)
	}
	_, err := evaluation.Rouge(strings.NewReader("\n \n"), evaluation.RougeOptions{Name: "pairs.jsonl"})
	require.ErrorIs(t, err, evaluation.ErrNoSamples)
	require.ErrorContains(t, err, "pairs.jsonl holds no lines")

	broken := errors.New("cable pulled")
	_, err = evaluation.Rouge(io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken)), evaluation.RougeOptions{})
	require.ErrorIs(t, err, broken)
}

func ExampleRouge() {
	input := strings.NewReader(`{"prediction": "a ferry broke down", "reference": "the ferry broke down"}`)
	result, err := evaluation.Rouge(input, evaluation.RougeOptions{})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(result.Aggregate.Median.Of("rouge1").FMeasure, result.Aggregate.Samples)
	// Output: 0.75 1
}
