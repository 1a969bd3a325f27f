package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// inspection is what inspect prints.
type inspection struct {
	*export.Description
	Plan *export.PlanReport `json:"plan,omitempty"`
}

const planCategory = "with --plan: as for export"

// planned puts export's flags under a heading of their own.
func planned(flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Category = planCategory
		case *cli.IntFlag:
			f.Category = planCategory
		case *cli.BoolFlag:
			f.Category = planCategory
		}
	}
	return flags
}

// checkPlanFlags refuses flags that would change nothing. --check reads --dtype and
// --workers too.
func checkPlanFlags(c *cli.Context) error {
	if c.Bool("plan") {
		return nil
	}
	for _, f := range targetFlags() {
		name := f.Names()[0]
		if c.IsSet(name) && !(c.Bool("check") && (name == "dtype" || name == "workers")) {
			return usagef("--%s belongs to --plan", name)
		}
	}
	return nil
}

// look describes what is at the path, and plans and checks where that was asked
// for. What keeps the two from being done is a problem of the description.
func look(c *cli.Context, path string) (*inspection, error) {
	target, err := targetOptions(c)
	if err != nil {
		return nil, err
	}
	d, err := describe(c, path)
	if err != nil {
		return nil, err
	}
	x := &inspection{Description: d}
	if engineconfig.IsEngine(path) {
		if c.Bool("plan") {
			return nil, fmt.Errorf("%s is an engine (%s): there is nothing to plan, export reads sources", path, d.Format)
		}
		return x, nil
	}
	log := newLogger(c)
	options, inflated := sourceOptions(c, path, os.TempDir(), log)
	defer inflated()
	if c.Bool("plan") {
		target.Source = options
		x.Plan, err = export.Plan(c.Context, path, target)
		if err != nil && (len(d.Problems) == 0 || errors.Is(err, export.ErrOption) || errors.Is(err, export.ErrMapping)) {
			return nil, err
		}
	}
	if !c.Bool("check") {
		return x, nil
	}
	bar := newProgress(c, "check", log)
	defer bar.end()
	check := export.CheckOptions{Source: options, Workers: target.Workers, Progress: func(done, total int64, _ string) { bar.set(done, total) }}
	if target.Dtype != export.DtypeAuto {
		check.Dtype = target.Dtype
	}
	problems, err := export.Check(c.Context, path, check)
	if err != nil && (len(d.Problems) == 0 || c.Context.Err() != nil) {
		return nil, err
	}
	d.Problems = append(d.Problems, problems...)
	return x, nil
}

// printPlan shows a line for each part of each tensor.
func printPlan(c *cli.Context, p *export.PlanReport) error {
	form := p.Dtype
	for _, algo := range []string{p.QuantAlgo, p.KVCacheAlgo} {
		if algo != "" {
			form += ", " + algo
		}
	}
	if err := printf(c, "\nplan: %s as %s, %d ranks, %d tensors\nread %s, write %s, memory for %d workers %s\n",
		p.Architecture, form, len(p.Ranks), p.Tensors, exactBytes(p.BytesIn), exactBytes(p.BytesOut), p.Workers, humanBytes(p.PeakBytes)); err != nil {
		return err
	}
	left := maxListedTensors
	if c.Bool("tensors") {
		left = p.Tensors
	}
	for _, r := range p.Ranks {
		if err := printf(c, "\n%s: %s in tensors, %s with the header\n", r.File, exactBytes(r.TensorBytes), exactBytes(r.Bytes)); err != nil {
			return err
		}
		shown := r.Tensors[:min(left, len(r.Tensors))]
		left -= len(shown)
		w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
		for _, t := range shown {
			planRows(w, &t)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if n := len(r.Tensors) - len(shown); n > 0 {
			if err := printf(c, "… and %d more (--tensors lists all)\n", n); err != nil {
				return err
			}
		}
	}
	return nil
}

func planRows(w *tabwriter.Writer, t *export.PlannedTensor) {
	target := fmt.Sprintf("%s\t%s\t%s\t%s", t.Name, t.Dtype, shapeText(t.Shape), humanBytes(t.Bytes))
	for _, p := range t.Parts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", target, cmp.Or(p.Source, "-"), p.Dtype, p.Transform)
		target = "\t\t\t"
	}
}

// exactBytes is for sizes that are compared with a file's.
func exactBytes(n int64) string { return fmt.Sprintf("%d bytes (%s)", n, humanBytes(n)) }
