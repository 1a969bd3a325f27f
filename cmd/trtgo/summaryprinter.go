package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/tokenizer"
)

// summaryPrinter shows an evaluation as it goes: the warm-up as upstream prints
// it, then with --streaming each summary as it comes, otherwise a line of log for
// each sample.
type summaryPrinter struct {
	c         *cli.Context
	tokenizer *tokenizer.Tokenizer
	log       *slog.Logger
	decoder   *tokenizer.Decoder
	live      int // index of the sample whose text is on the terminal
}

func (p *summaryPrinter) observer() evaluation.Observer {
	o := evaluation.Observer{WarmUp: p.warmUp, Done: p.done}
	if p.streams() {
		o.Begin, o.Tokens = p.begin, p.tokens
	}
	return o
}

func (p *summaryPrinter) streams() bool { return p.c.Bool("streaming") && !p.c.Bool("json") }

// print writes to stdout; an error of it shows again at the report's end.
func (p *summaryPrinter) print(text string) { _ = printf(p.c, "%s", text) }

func (p *summaryPrinter) warmUp(s evaluation.Sample) {
	if p.c.Bool("json") || len(s.Summaries) == 0 {
		return
	}
	p.log.Debug("warm-up on the first article")
	if p.streams() {
		return // it comes again, live, as the first sample
	}
	p.print("---------------------------------------------------------\nTensorRT-LLM Generated:\n" +
		fmt.Sprintf(" Input: %s\n\n Reference: %s\n\n Output: %s\n", s.Article.Text, s.Article.Highlights, strings.Join(s.Summaries, "\n")) +
		"---------------------------------------------------------\n")
}

// begin heads the batch's first sample, whose text is shown as it comes.
func (p *summaryPrinter) begin(batch []evaluation.Sample) {
	p.live = batch[0].Index
	p.decoder = p.tokenizer.NewDecoder(tokenizer.DecodeOptions{SkipSpecialTokens: true})
	p.print(head(&batch[0]))
}

func head(s *evaluation.Sample) string {
	title := s.Article.ID
	if title == "" {
		title = fmt.Sprintf("article %d", s.Row+1)
	}
	return fmt.Sprintf("\n[%d] %s (%d tokens)\n", s.Index+1, title, s.PromptTokens)
}

func (p *summaryPrinter) tokens(index int, ids []int32) {
	if index != p.live {
		return
	}
	for _, id := range ids {
		text, err := p.decoder.Add(id)
		if err != nil {
			return // the sample's own decoding tells
		}
		p.print(text)
	}
}

func (p *summaryPrinter) done(s evaluation.Sample) {
	score := ""
	if len(s.Scores) > 0 {
		score = fmt.Sprintf("rouge1 %.1f, rouge2 %.1f, rougeL %.1f", 100*s.Scores[0].Rouge1.FMeasure,
			100*s.Scores[0].Rouge2.FMeasure, 100*s.Scores[0].RougeL.FMeasure)
	}
	if !p.streams() {
		p.log.Info(fmt.Sprintf("[%d] %d tokens in, %d out; %s", s.Index+1, s.PromptTokens, s.OutputTokens, score))
		return
	}
	if s.Index == p.live {
		p.print(p.decoder.Flush())
	} else {
		p.print(head(&s) + s.Summaries[0])
	}
	p.print("\n    (" + score + ")\n")
}
