package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/trtllm"
)

// summaryPage is the page of --report. Without the flag there is none.
type summaryPage struct{ page *evaluation.Page }

func createPage(c *cli.Context) (summaryPage, error) {
	path := c.String("report")
	if path == "" {
		return summaryPage{}, nil
	}
	page, err := evaluation.CreatePage(path)
	return summaryPage{page}, err
}

func (p summaryPage) close() {
	if p.page != nil {
		p.page.Close()
	}
}

func (p summaryPage) commit(c *cli.Context, engine trtllm.Config, result evaluation.Result) error {
	if p.page == nil {
		return nil
	}
	return p.page.Commit(&result, pageSettings(c, engine))
}

// pageSettings are what the numbers depend on: the engine, and every flag that was given or decides what is generated.
func pageSettings(c *cli.Context, engine trtllm.Config) []evaluation.Setting {
	settings := []evaluation.Setting{
		{Name: "trtgo", Value: c.App.Version},
		{Name: "model", Value: fmt.Sprintf("%s, %s", engine.Architecture, strings.Join([]string{engine.Dtype, engine.Backend, engine.Precision}, " "))},
	}
	always := []string{"eval-task", "batch-size", "max-ite", "output-len", "max-input-length", "min-input-length", "random-seed", "num-beams", "chat-template", "test-trt-llm"}
	for _, flag := range c.Command.Flags {
		name := flag.Names()[0]
		if !c.IsSet(name) && !slices.Contains(always, name) {
			continue
		}
		value := fmt.Sprint(c.Value(name))
		if list := c.StringSlice(name); list != nil {
			value = strings.Join(list, ", ")
		}
		settings = append(settings, evaluation.Setting{Name: "--" + strings.ReplaceAll(name, "-", "_"), Value: value})
	}
	return settings
}
