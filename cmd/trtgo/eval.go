package main

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/evaluation"
)

func evalCommand() *cli.Command {
	return &cli.Command{
		Name:        "eval",
		Usage:       "measures of quality",
		Subcommands: []*cli.Command{evalPerplexityCommand(), evalRougeCommand()},
	}
}

func evalRougeCommand() *cli.Command {
	return &cli.Command{
		Name:  "rouge",
		Usage: "ROUGE of predictions against references, as the rouge-score package computes it",
		Description: "Reads JSON lines {\"prediction\":…,\"reference\":…} and prints the aggregate: upstream's bootstrap median,\n" +
			"and the mean beside it. With --per_sample one line for each pair comes first.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", DefaultText: "-, stdin", Usage: "file of JSON lines"},
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
	result, err := evaluation.Rouge(input, evaluation.RougeOptions{UseStemmer: c.Bool("use-stemmer"), Name: name})
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
