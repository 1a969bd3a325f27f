package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// maxListedTensors is how many tensors the table for people shows.
const maxListedTensors = 40

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "what a file or directory is: format, configuration, tensors, problems",
		ArgsUsage: "PATH",
		Description: "PATH is " + sourceForms + ", or an engine.\n" +
			"Problems are what export, build or run would refuse; with --check they make the exit status 1.",
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "one JSON object on stdout"},
			&cli.BoolFlag{Name: "check", Usage: "also read all weights: NaN, infinity and what --dtype cannot hold are problems, of an engine wrong checksums; exit with status 1 if there are problems"},
			&cli.BoolFlag{Name: "plan", Usage: "also tell what export would do with these flags: what each tensor is made of, bytes read and written, memory"},
			&cli.BoolFlag{Name: "tensors", Usage: "list every tensor, not only the first"},
		}, sourceFlags("the system's"), planned(targetFlags())),
		Action: inspect,
	}
}

func inspect(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return usagef("inspect needs one path")
	}
	if err := checkPlanFlags(c); err != nil {
		return err
	}
	x, err := look(c, c.Args().First())
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = printJSON(c, x)
	} else {
		err = printInspection(c, x)
	}
	if err == nil && len(x.Problems) > 0 && c.Bool("check") {
		return errReported
	}
	return err
}

func describe(c *cli.Context, path string) (*export.Description, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	if engineconfig.IsEngine(path) {
		return build.Inspect(c.Context, path, c.Bool("check"))
	}
	log := newLogger(c)
	options, inflated := sourceOptions(c, path, os.TempDir(), log)
	defer inflated()
	return export.Inspect(c.Context, path, options)
}

func printInspection(c *cli.Context, x *inspection) error {
	if err := printDescription(c, x); err != nil {
		return err
	}
	if x.Plan != nil {
		return printPlan(c, x.Plan)
	}
	return printTensors(c, x.Description)
}

func printDescription(c *cli.Context, x *inspection) error {
	d := x.Description
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "format\t%s\narchitecture\t%s\n", d.Format, d.Architecture)
	var total int64
	for _, t := range d.Tensors {
		total += t.Bytes
	}
	fmt.Fprintf(w, "tensors\t%d, %s\n", len(d.Tensors), humanBytes(total))
	printTokenizer(w, x.Tokenizer)
	if len(d.Problems) == 0 {
		fmt.Fprintf(w, "problems\tnone\n")
	}
	for _, p := range d.Problems {
		fmt.Fprintf(w, "problem\t%s\n", p)
	}
	for _, n := range d.Notes {
		fmt.Fprintf(w, "note\t%s\n", n)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if d.Config != nil {
		config, err := json.MarshalIndent(d.Config, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(c.App.Writer, "\nconfig\n%s\n", config)
	}
	return nil
}

func printTensors(c *cli.Context, d *export.Description) error {
	shown := d.Tensors
	if len(shown) > maxListedTensors && !c.Bool("tensors") {
		shown = shown[:maxListedTensors]
	}
	fmt.Fprintln(c.App.Writer)
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	for _, t := range shown {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, t.Dtype, shapeText(t.Shape), humanBytes(t.Bytes))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if n := len(d.Tensors) - len(shown); n > 0 {
		fmt.Fprintf(c.App.Writer, "… and %d more (--tensors lists all)\n", n)
	}
	return nil
}

func shapeText(shape []int64) string {
	text := make([]string, len(shape))
	for i, n := range shape {
		text[i] = fmt.Sprint(n)
	}
	return "[" + strings.Join(text, ", ") + "]"
}
