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
	"github.com/trtgo/trtgo/internal/testmodel"
	"github.com/trtgo/trtgo/tokenizer"
)

// The whole of an evaluation against numpy's order and rouge-score's numbers (scripts/rouge_goldens.py): the "model" answers with
// the first characters of the article, so that everything else is what is tested.
func TestSummarizeEqualsTheReference(t *testing.T) {
	all, err := dataset.ReadArticles(filepath.Join("..", "..", "examples", "summarize", "testdata", "articles.jsonl"), dataset.CNNDailyMail)
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

// summarizeGolden is testdata/summarize.json: upstream's loop written in Python, with transformers' tokenizer and model
// (scripts/summarize_goldens.py).
type summarizeGolden struct {
	Articles []dataset.Article
	Cases    []struct {
		Seed             uint64
		BatchSize        int  `json:"batch_size"`
		MaxIte           int  `json:"max_ite"`
		MaxInputLength   int  `json:"max_input_length"`
		MinInputLength   int  `json:"min_input_length"`
		AddSpecialTokens bool `json:"add_special_tokens"`
		Samples          []struct {
			Index, Row     int
			Prompt, Output []int32
			Summary        string
		}
		TrtllmOut    string `json:"trtllm_out"`
		OutputTokens int    `json:"output_tokens"`
		Median       []float64
	}
	Chats []struct {
		Row            int
		MaxInputLength int `json:"max_input_length"`
		Prompt         []int32
	}
}

func loadSummarizeGolden(t *testing.T) (summarizeGolden, *tokenizer.Tokenizer) {
	t.Helper()
	data, err := os.ReadFile("testdata/summarize.json")
	require.NoError(t, err)
	var g summarizeGolden
	require.NoError(t, json.Unmarshal(data, &g))
	require.Len(t, g.Articles, 18)
	require.Len(t, g.Cases, 4)
	require.Len(t, g.Chats, 14)
	tok, err := tokenizer.Open(testmodel.Dir(t, "llama-text"))
	require.NoError(t, err)
	return g, tok
}

// Prompts, order, what is skipped, texts and trtllm.out, with a real tokenizer: the "model" knows what transformers' model
// generated from each prompt, and no other prompts.
func TestSummarizeEqualsUpstreamsLoop(t *testing.T) {
	golden, tok := loadSummarizeGolden(t)
	for i, c := range golden.Cases {
		t.Run(fmt.Sprintf("case %d", i), func(t *testing.T) {
			answers := map[string][]int32{}
			for _, s := range c.Samples {
				answers[fmt.Sprint(s.Prompt)] = s.Output
			}
			calls, warmUp := 0, true
			generate := func(_ context.Context, prompts [][]int32, _ func(int, []int32)) ([][][]int32, error) {
				outputs := make([][][]int32, len(prompts))
				for j, ids := range prompts {
					answer, known := answers[fmt.Sprint(ids)]
					require.True(t, known, "a prompt that transformers did not make: %v", ids)
					outputs[j] = [][]int32{answer}
				}
				calls++
				return outputs, nil
			}
			dir := t.TempDir()
			result, err := evaluation.Summarize(t.Context(), golden.Articles, generate, evaluation.SummarizeOptions{
				Prompter: evaluation.Prompter{Tokenizer: tok, MaxInputLength: c.MaxInputLength, AddSpecialTokens: c.AddSpecialTokens},
				Seed:     c.Seed, BatchSize: c.BatchSize, MaxIterations: c.MaxIte, MinInputLength: c.MinInputLength,
				Observer: evaluation.Observer{WarmUp: func(s evaluation.Sample) { warmUp = len(s.Summaries) > 0 }},
				Outputs:  evaluation.Outputs{Dir: dir, EngineDir: "e", TokenizerDir: "t"},
			})
			require.NoError(t, err)
			require.Len(t, result.Samples, len(c.Samples))
			batches := map[int]bool{}
			for j, want := range c.Samples {
				got := result.Samples[j]
				require.Equal(t, []int{want.Index, want.Row, len(want.Prompt), len(want.Output)}, []int{got.Index, got.Row, got.PromptTokens, got.OutputTokens})
				require.Equal(t, []string{want.Summary}, got.Summaries)
				require.Equal(t, golden.Articles[want.Row], got.Article)
				batches[want.Index/c.BatchSize] = true
			}
			if warmUp {
				calls--
			}
			require.Equal(t, len(batches), calls)
			require.Equal(t, c.OutputTokens, result.OutputTokens)
			report := result.Report()
			require.InDeltaSlice(t, c.Median, []float64{report.Rouge1, report.Rouge2, report.RougeL, report.RougeLsum}, 1e-12)
			kept, err := os.ReadFile(filepath.Join(dir, "trtllm.out"))
			require.NoError(t, err)
			require.Equal(t, "Engine path: e\nTokenizer path: t\n"+c.TrtllmOut, string(kept))
		})
	}
}

// The conversation that transformers renders and encodes; where it is too long, without tokens from the article's beginning.
func TestChatPromptsEqualTransformers(t *testing.T) {
	golden, tok := loadSummarizeGolden(t)
	for _, c := range golden.Chats {
		p := evaluation.Prompter{Tokenizer: tok, MaxInputLength: c.MaxInputLength, ChatTemplate: true}
		got, err := p.Prompt(golden.Articles[c.Row].Text)
		require.NoError(t, err)
		require.Equal(t, c.Prompt, got, "article %d within %d tokens", c.Row, c.MaxInputLength)
	}
}
