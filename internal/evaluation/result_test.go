package evaluation_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/rouge"
)

// resultOf has one beam and the given F-measures of rouge1; those of the other kinds are halves of it.
func resultOf(values ...float64) evaluation.Result {
	r := evaluation.Result{Latency: 2500 * time.Millisecond, OutputTokens: 100}
	var all []rouge.Scores
	for _, v := range values {
		half := rouge.Score{FMeasure: v / 2}
		s := rouge.Scores{Rouge1: rouge.Score{FMeasure: v}, Rouge2: half, RougeL: half, RougeLsum: half}
		all = append(all, s)
		r.Samples = append(r.Samples, evaluation.Sample{Scores: []rouge.Scores{s}})
	}
	r.Beams = []rouge.Interval{rouge.Aggregate(all)}
	return r
}

// vector are 20 values whose bootstrap median is known to differ from their mean.
func vector() []float64 {
	var values []float64
	for i := 1; i <= 20; i++ {
		values = append(values, float64(i*i%97)/97)
	}
	return values
}

func TestWriteTextIsUpstreams(t *testing.T) {
	r := resultOf(0.25, 0.25)
	var out bytes.Buffer
	require.NoError(t, r.WriteText(&out, false))
	require.Equal(t, `TensorRT-LLM (total latency: 2.5 sec)
TensorRT-LLM (total output tokens: 100)
TensorRT-LLM (tokens per second: 40.0)
TensorRT-LLM beam 0 result
  rouge1: 25.0
  rouge2: 12.5
  rougeL: 12.5
  rougeLsum: 12.5
  (mean of 2: rouge1 25.00 rouge2 12.50 rougeL 12.50 rougeLsum 12.50)
`, out.String())
	require.Len(t, regexp.MustCompile(`rouge1:`).FindAllString(out.String(), -1), 1, "scripts search for it")
}

func TestWriteTextHasAllDigits(t *testing.T) {
	r := resultOf(1./3, 1./3, 1./3)
	var out bytes.Buffer
	require.NoError(t, r.WriteText(&out, false))
	require.Contains(t, out.String(), "  rouge1: 33.33333333333333")
	r = resultOf(0)
	r.Latency, r.OutputTokens = 0, 0
	out.Reset()
	require.NoError(t, r.WriteText(&out, false))
	require.Contains(t, out.String(), "(tokens per second: 0.0)")
	require.Contains(t, out.String(), "  rouge1: 0.0\n")
}

func TestWriteTextWithStandardDeviation(t *testing.T) {
	r := resultOf(0.25, 0.75)
	var out bytes.Buffer
	require.NoError(t, r.WriteText(&out, true))
	require.Contains(t, out.String(), "  rouge1: 50.0 (25.0)\n  rouge2: 25.0 (12.5)\n")
	require.NotContains(t, out.String(), "mean of")
}

func TestWriteTextOfSeveralBeams(t *testing.T) {
	r := resultOf(0.5)
	r.Beams = append(r.Beams, resultOf(0.25).Beams...)
	var out bytes.Buffer
	require.NoError(t, r.WriteText(&out, false))
	require.Regexp(t, `(?s)beam 0 result\n  rouge1: 50\.0.*beam 1 result\n  rouge1: 25\.0`, out.String())
}

func TestReportAsJSON(t *testing.T) {
	r := resultOf(vector()...)
	text, err := json.Marshal(r.Report())
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, 20.0, got["samples"])
	require.Equal(t, 40.0, got["tokens_per_second"])
	require.Equal(t, 100*r.Beams[0].Median.Rouge1.FMeasure, got["rouge1"])
	require.InDelta(t, 37.938144, got["mean"].(map[string]any)["rouge1"], 1e-6)
	require.InDelta(t, 38.453608, got["rouge1"], 1e-6)
	for _, name := range []string{"rouge2", "rougeL", "rougeLsum"} {
		require.InDelta(t, got["rouge1"].(float64)/2, got[name], 5, name)
	}
	require.Equal(t, evaluation.Report{}, (&evaluation.Result{}).Report())
}

func TestCheckAccuracyIsStrict(t *testing.T) {
	r := resultOf(0.25, 0.25)
	require.NoError(t, r.CheckAccuracy(24.999, false))
	err := r.CheckAccuracy(25, false)
	require.ErrorIs(t, err, evaluation.ErrAccuracy)
	require.ErrorContains(t, err, "[FAILED] rouge1 (25.0) is not greater than threshold (25.0)")
	require.ErrorIs(t, (&evaluation.Result{}).CheckAccuracy(0, false), evaluation.ErrAccuracy)

	skewed := resultOf(vector()...) // median 38.45, mean 37.94
	require.NoError(t, skewed.CheckAccuracy(38, false))
	require.ErrorIs(t, skewed.CheckAccuracy(38, true), evaluation.ErrAccuracy)
}

type fullDisk struct{}

var errFull = errors.New("disk full")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestWriteTextReportsItsWriter(t *testing.T) {
	r := resultOf(0.5)
	require.ErrorIs(t, r.WriteText(fullDisk{}, false), errFull)
}

func ExampleResult_CheckAccuracy() {
	r := resultOf(0.125)
	fmt.Println(r.CheckAccuracy(15, false))
	// Output: accuracy check failed: [FAILED] rouge1 (12.5) is not greater than threshold (15.0)
}
