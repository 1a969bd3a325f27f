package evaluation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/evaluation"
)

// The whole of an evaluation against numpy's order and rouge-score's numbers (scripts/rouge_goldens.py): the "model" answers with
// the first characters of the article, so that everything else is what is tested.
func TestSummarizeEqualsTheReference(t *testing.T) {
	all, err := dataset.ReadArticles(filepath.Join("..", "..", "examples", "summarize", "testdata", "articles.jsonl"))
	require.NoError(t, err)
	data, err := os.ReadFile("testdata/lead.json")
	require.NoError(t, err)
	var cases []struct {
		Seed         uint64
		BatchSize    int `json:"batch_size"`
		MaxIte       int `json:"max_ite"`
		Length       int
		Rows         []int
		Median, Mean []float64
	}
	require.NoError(t, json.Unmarshal(data, &cases))
	require.Len(t, cases, 4)
	for _, c := range cases {
		t.Run(fmt.Sprintf("seed=%d/batch=%d", c.Seed, c.BatchSize), func(t *testing.T) {
			lead := func(_ context.Context, prompts [][]int32, _ func(int, []int32)) ([][][]int32, error) {
				outputs := make([][][]int32, len(prompts))
				for i, ids := range prompts {
					text := []rune(strings.TrimSuffix(textOf(t, ids), " TL;DR:"))
					outputs[i] = [][]int32{append(idsOf(t, string(text[:c.Length])), eosID)}
				}
				return outputs, nil
			}
			o := options(byteTokenizer{})
			o.Seed, o.BatchSize, o.MaxIterations, o.MaxInputLength = c.Seed, c.BatchSize, c.MaxIte, 10000
			result, err := evaluation.Summarize(t.Context(), all, lead, o)
			require.NoError(t, err)
			_, rows := rowsOf(result.Samples)
			require.Equal(t, c.Rows, rows)
			report := result.Report()
			four := func(f evaluation.Fmeasures) []float64 { return []float64{f.Rouge1, f.Rouge2, f.RougeL, f.RougeLsum} }
			require.InDeltaSlice(t, c.Median, four(report.Fmeasures), 1e-12)
			require.InDeltaSlice(t, c.Mean, four(report.Mean), 1e-12)
		})
	}
}
