package rouge_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/rouge"
)

// sampleScores repeats the formula of scripts/rouge_goldens.py.
func sampleScores(n int) []rouge.Scores {
	value := func(i, kind, measure int) float64 {
		return float64(((7*kind+3*measure+1)*i*i+11*kind*i+5*measure)%(97-4*kind-2*measure)) / 97
	}
	score := func(i, kind int) rouge.Score {
		return rouge.Score{Precision: value(i, kind, 0), Recall: value(i, kind, 1), FMeasure: value(i, kind, 2)}
	}
	scores := make([]rouge.Scores, n)
	for i := range scores {
		scores[i] = rouge.Scores{Rouge1: score(i, 0), Rouge2: score(i, 1), RougeL: score(i, 2), RougeLsum: score(i, 3)}
	}
	return scores
}

func TestAggregateEqualsRougeScore(t *testing.T) {
	data, err := os.ReadFile("testdata/bootstrap.json")
	require.NoError(t, err)
	var cases []struct {
		N              int
		Seed           uint32
		Low, Mid, High goldenScores
	}
	require.NoError(t, json.Unmarshal(data, &cases))
	require.Len(t, cases, 40)
	for _, c := range cases {
		t.Run(fmt.Sprintf("n=%d/seed=%d", c.N, c.Seed), func(t *testing.T) {
			got := rouge.AggregateSeed(sampleScores(c.N), c.Seed)
			require.Equal(t, c.N, got.Samples)
			require.Equal(t, c.Low, rows(got.Low), "low")
			require.Equal(t, c.Mid, rows(got.Median), "median")
			require.Equal(t, c.High, rows(got.High), "high")
		})
	}
}

// The vector that was recorded with TensorRT-LLM's own path through "evaluate".
func TestAggregateOfTheRecordedVector(t *testing.T) {
	var scores []rouge.Scores
	for i := 1; i <= 20; i++ {
		scores = append(scores, rouge.Scores{
			Rouge1: rouge.Score{FMeasure: float64(i*i%97) / 97},
			Rouge2: rouge.Score{FMeasure: float64((7*i*i+3)%89) / 89},
		})
	}
	got := rouge.Aggregate(scores)
	require.InDelta(t, 0.37938144, got.Mean.Rouge1.FMeasure, 5e-9)
	require.InDelta(t, 0.47022472, got.Mean.Rouge2.FMeasure, 5e-9)
	require.InDelta(t, 0.38453608, got.Median.Rouge1.FMeasure, 5e-9)
	require.InDelta(t, 0.47162921, got.Median.Rouge2.FMeasure, 5e-9)
}

func TestAggregateUsesSeedZero(t *testing.T) {
	scores := sampleScores(20)
	require.Equal(t, rouge.AggregateSeed(scores, 0), rouge.Aggregate(scores))
	require.NotEqual(t, rouge.AggregateSeed(scores, 1), rouge.Aggregate(scores))
	require.Equal(t, rouge.Aggregate(scores), rouge.Aggregate(scores), "the same input gives the same result")
}

func TestAggregateOfOneIsItself(t *testing.T) {
	one := sampleScores(8)[7:]
	got := rouge.Aggregate(one)
	require.Equal(t, rouge.Interval{Low: one[0], Median: one[0], High: one[0], Mean: one[0], Samples: 1}, got)
}

func TestAggregateOfNothing(t *testing.T) {
	require.Equal(t, rouge.Interval{}, rouge.Aggregate(nil))
}

func TestAggregateDoesNotTouchItsInput(t *testing.T) {
	scores := sampleScores(30)
	rouge.Aggregate(scores)
	require.Equal(t, sampleScores(30), scores)
}

func TestAggregateIsOrdered(t *testing.T) {
	got := rouge.Aggregate(sampleScores(50))
	low, median, high := rows(got.Low), rows(got.Median), rows(got.High)
	for kind := range low {
		for measure := range low[kind] {
			require.Less(t, low[kind][measure], median[kind][measure])
			require.Less(t, median[kind][measure], high[kind][measure])
		}
	}
}

func BenchmarkAggregate(b *testing.B) {
	scores := sampleScores(1000)
	for b.Loop() {
		rouge.Aggregate(scores)
	}
}
