package main

import (
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/rouge"
)

func evalCommand() *cli.Command {
	return &cli.Command{
		Name:        "eval",
		Usage:       "measures of quality",
		Subcommands: []*cli.Command{evalCompareCommand(), evalMMLUCommand(), evalPerplexityCommand(), evalRougeCommand()},
	}
}

func evalRougeCommand() *cli.Command {
	return &cli.Command{
		Name:  "rouge",
		Usage: "ROUGE of predictions against references, as the rouge-score package computes it",
		Description: "Reads JSON lines {\"prediction\":…,\"reference\":…} and prints the aggregate: upstream's bootstrap median\n" +
			"(rouge-score's mid, seed 0), its bounds of 95 percent (low, high) and the mean. With --per_sample one line for each pair comes first.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", DefaultText: "-, stdin", Usage: "file of JSON lines"},
			&cli.StringSliceFlag{Name: "rouge-types", DefaultText: "rouge1,rouge2,rougeL,rougeLsum", Usage: "kinds to compute, of rouge1 to rouge9, rougeL and rougeLsum"},
			&cli.BoolFlag{Name: "per-sample", Usage: "print precision, recall and F of each pair first"},
			&cli.BoolFlag{Name: "use-stemmer", Usage: "compare stems (Porter); off as in summarize"},
			jsonAlways(),
		},
		Action: evalRouge,
	}
}

func evalRouge(c *cli.Context) error {
	if err := noOperands(c); err != nil {
		return err
	}
	input, name := c.App.Reader, "stdin"
	if path := c.String("input"); path != "" && path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		input, name = file, path
	}
	return printRouge(c, input, name)
}

func printRouge(c *cli.Context, input io.Reader, name string) error {
	types, err := rougeTypes(c)
	if err != nil {
		return err
	}
	result, err := evaluation.Rouge(input, evaluation.RougeOptions{Types: types, UseStemmer: c.Bool("use-stemmer"), Name: name})
	if err != nil {
		return err
	}
	if c.Bool("per-sample") {
		for _, sample := range result.Samples {
			if err := printJSON(c, sample); err != nil {
				return err
			}
		}
	}
	return printJSON(c, result.Aggregate)
}

// rougeTypes reads --rouge_types: names after one flag, after several, or with commas between them.
func rougeTypes(c *cli.Context) ([]rouge.Type, error) {
	if !c.IsSet("rouge-types") {
		return rouge.DefaultTypes, nil
	}
	var names []string
	for _, value := range c.StringSlice("rouge-types") {
		names = append(names, strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	types, err := rouge.ParseTypes(names)
	if err != nil {
		return nil, usagef("--rouge_types: %v", err)
	}
	return types, nil
}

// whereKept tells what becomes of the results of an evaluation that ended early.
func whereKept(c *cli.Context) string {
	path := c.String("output")
	if path == "" {
		return "give --output to keep them"
	}
	return "they are kept in " + path + ".partial: the same command goes on from there"
}
