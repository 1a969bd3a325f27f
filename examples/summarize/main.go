// Command summarize embeds an engine in a Go program: it streams a summary of
// each article to the terminal and scores it against the reference.
//
//	go run ./examples/summarize -engine out/demo/SmolLM2-135M-Instruct.Q4_1/engine
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/trtgo/trtgo/rouge"
	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// article has cnn_dailymail's columns.
type article struct {
	Article    string `json:"article"`
	Highlights string `json:"highlights"`
	ID         string `json:"id"`
}

func main() {
	engineDir := flag.String("engine", "engine", "`directory` that trtgo build wrote")
	dataset := flag.String("dataset", "examples/summarize/testdata/articles.jsonl", "`file` of articles, JSON lines with article, highlights and id")
	maxTokens := flag.Int("max-tokens", 100, "tokens of a summary at most")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := summarize(ctx, *engineDir, *dataset, *maxTokens); err != nil {
		fmt.Fprintln(os.Stderr, "summarize:", err)
		os.Exit(1)
	}
}

func summarize(ctx context.Context, engineDir, dataset string, maxTokens int) error {
	articles, err := readArticles(dataset)
	if err != nil {
		return err
	}
	engine, err := trtllm.Open(ctx, engineDir)
	if err != nil {
		return err
	}
	defer engine.Close()

	scorer := rouge.New(rouge.Options{})
	var scores []rouge.Scores
	for _, a := range articles {
		fmt.Printf("\n%s\n  ", a.ID)
		summary, err := streamSummary(ctx, engine, a.Article, maxTokens)
		if err != nil {
			return fmt.Errorf("article %s: %w", a.ID, err)
		}
		score := scorer.Score(summary, a.Highlights)
		fmt.Printf("\n  rouge1 %.1f, rougeL %.1f\n", 100*score.Rouge1.FMeasure, 100*score.RougeL.FMeasure)
		scores = append(scores, score)
	}
	// The median of a bootstrap is what TensorRT-LLM and Hugging Face's
	// evaluate report.
	total := rouge.Aggregate(scores).Median
	fmt.Printf("\nrouge1 %.2f  rouge2 %.2f  rougeL %.2f  rougeLsum %.2f\n",
		100*total.Rouge1.FMeasure, 100*total.Rouge2.FMeasure, 100*total.RougeL.FMeasure, 100*total.RougeLsum.FMeasure)
	return nil
}

// streamSummary prints the summary as it is generated and returns it whole. The
// messages are rendered with the model's own chat template; a base model, which
// has none, takes a Prompt instead.
func streamSummary(ctx context.Context, engine *trtllm.Engine, text string, maxTokens int) (string, error) {
	request := trtllm.Request{
		Messages: []tokenizer.Message{
			{Role: "user", Content: "Summarize this news article in two or three sentences.\n\n" + text},
		},
		MaxTokens: maxTokens,
	}
	var summary strings.Builder
	for chunk, err := range engine.Stream(ctx, request) {
		if err != nil {
			return "", err
		}
		fmt.Print(chunk.Text)
		summary.WriteString(chunk.Text)
	}
	return summary.String(), nil
}

func readArticles(path string) ([]article, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var articles []article
	for decoder := json.NewDecoder(file); ; {
		var a article
		err := decoder.Decode(&a)
		if errors.Is(err, io.EOF) && len(articles) > 0 {
			return articles, nil
		}
		if err == nil && (a.Article == "" || a.Highlights == "") {
			err = errors.New("article or highlights missing")
		}
		if err != nil {
			return nil, fmt.Errorf("%s, article %d: %w", path, len(articles)+1, err)
		}
		articles = append(articles, a)
	}
}
