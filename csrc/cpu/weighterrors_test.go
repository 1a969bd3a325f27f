//go:build cgo && linux && (amd64 || arm64)

package cpu_test

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	buildcpu "github.com/trtgo/trtgo/build/cpu"
	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/testmodel"
	"github.com/trtgo/trtgo/tokenizer"
)

// BenchmarkWeightErrors tells what rounding weights costs SmolLM2-135M, whatever its time:
//
//	go test -run '^$' -bench WeightErrors -benchtime 1x ./csrc/cpu
//
// The logits after each of the first 256 tokens of four articles are compared with those of
// the weights that are not rounded, in exact: root mean square of the differences, share of
// equal best tokens, Kullback-Leibler divergence, and the perplexity of the articles. The
// form "fast" has the weights as they are, and bfloat16 activations.
func BenchmarkWeightErrors(b *testing.B) {
	gguf := testmodel.SmolLM2GGUF(b)
	o := export.Options{Dtype: "bfloat16", OutputDir: filepath.Join(b.TempDir(), "checkpoint")}
	_, err := export.Convert(b.Context(), gguf, o)
	require.NoError(b, err)
	articles := articleTokens(b, o.OutputDir, 4, 256)
	plain, head := checkpointEngine(b, o.OutputDir), checkpointEngineWith(b, o.OutputDir, buildcpu.Options{HeadDtype: "int8"})
	want := articleLogits(b, plain, "exact", articles)
	for _, form := range []struct {
		name, precision string
		export.Options
	}{
		{"unrounded", "exact", export.Options{}},
		{"fast", "fast", export.Options{}},
		{"head-int8", "exact", export.Options{}},
		{"int8_wo", "exact", export.Options{QFormat: "int8_wo"}},
		{"int8_wo-fast", "fast", export.Options{QFormat: "int8_wo"}},
		{"int4_wo", "exact", export.Options{QFormat: "int4_wo"}},
		{"int4_wo-group64", "exact", export.Options{QFormat: "int4_wo", GroupSize: 64}},
		{"int4_wo-group32", "exact", export.Options{QFormat: "int4_wo", GroupSize: 32}},
		{"int4_wo-group32-fast", "fast", export.Options{QFormat: "int4_wo", GroupSize: 32}},
	} {
		b.Run(form.name, func(b *testing.B) {
			engine := plain
			if form.name == "head-int8" {
				engine = head
			}
			if form.QFormat != "" {
				form.Dtype = "bfloat16"
				engine = engineOf(b, gguf, form.Options)
			}
			for b.Loop() {
				reportErrors(b, want, articleLogits(b, engine, form.precision, articles), articles)
			}
		})
	}
}

// articleTokens gives the first n tokens of articles of the summarising example.
func articleTokens(b *testing.B, checkpoint string, articles, n int) [][]int32 {
	tok, err := tokenizer.Open(checkpoint)
	require.NoError(b, err)
	file, err := os.Open("../../examples/summarize/testdata/articles.jsonl")
	require.NoError(b, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	var all [][]int32
	for lines.Scan() && len(all) < articles {
		var line struct{ Article string }
		require.NoError(b, json.Unmarshal(lines.Bytes(), &line))
		ids, err := tok.Encode(line.Article, tokenizer.EncodeOptions{})
		require.NoError(b, err)
		require.Greater(b, len(ids), n)
		all = append(all, ids[:n])
	}
	require.NoError(b, lines.Err())
	require.Len(b, all, articles)
	return all
}

func articleLogits(b *testing.B, engine, precision string, articles [][]int32) [][]float32 {
	r := openRunner(b, engine, cpu.Options{Precision: precision, Threads: 2, MaxSeqLen: 512, MaxBatchSize: 1})
	var logits [][]float32
	for _, ids := range articles {
		for _, row := range forward(b, r, ids, 128, 0) {
			logits = append(logits, slices.Clone(row))
		}
	}
	return logits
}

func reportErrors(b *testing.B, want, got [][]float32, articles [][]int32) {
	_, rms := difference(want, got)
	same, divergence, surprise, predicted := 0, 0.0, 0.0, 0
	position := 0
	for _, ids := range articles {
		for i := range ids {
			p, q := logProbs(want[position]), logProbs(got[position])
			if best(want[position]) == best(got[position]) {
				same++
			}
			for token := range p {
				divergence += math.Exp(p[token]) * (p[token] - q[token])
			}
			if i+1 < len(ids) {
				surprise, predicted = surprise-q[ids[i+1]], predicted+1
			}
			position++
		}
	}
	b.ReportMetric(rms, "rms")
	b.ReportMetric(100*float64(same)/float64(position), "%same-best")
	b.ReportMetric(divergence/float64(position), "KL")
	b.ReportMetric(math.Exp(surprise/float64(predicted)), "perplexity")
}

func logProbs(logits []float32) []float64 {
	most := float64(slices.Max(logits))
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - most)
	}
	sum = most + math.Log(sum)
	out := make([]float64, len(logits))
	for i, v := range logits {
		out[i] = float64(v) - sum
	}
	return out
}

func best(logits []float32) int {
	at := 0
	for i, v := range logits {
		if v > logits[at] {
			at = i
		}
	}
	return at
}
