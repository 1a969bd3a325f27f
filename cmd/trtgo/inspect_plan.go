package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// inspection is what inspect prints.
type inspection struct {
	*export.Description
	Tokenizer *tokenizerSummary  `json:"tokenizer,omitempty"`
	Plan      *export.PlanReport `json:"plan,omitempty"`
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
	x := &inspection{Description: d, Tokenizer: lookAtTokenizer(c, path, d)}
	plan, check := c.Bool("plan"), c.Bool("check")
	if engineconfig.IsEngine(path) {
		if plan {
			return nil, fmt.Errorf("%s is an engine (%s): there is nothing to plan, export reads sources", path, d.Format)
		}
		return x, nil
	}
	if !plan && !check {
		return x, nil
	}
	log := newLogger(c)
	options, inflated := sourceOptions(c, path, os.TempDir(), log)
	defer inflated()
	if !plan && d.Format == export.FormatCheckpoint { // which ranks' files have what is asked for
		return x, x.check(c, log, target, func(o export.CheckOptions) ([]string, error) { return export.Check(c.Context, path, o) })
	}
	m, err := export.Open(c.Context, path, options)
	if err != nil {
		return x, x.unlessTold(c, err)
	}
	defer m.Close()
	if plan {
		if x.Plan, err = export.PlanModel(m, target); err != nil {
			return nil, err
		}
	}
	if !check {
		return x, nil
	}
	return x, x.check(c, log, target, func(o export.CheckOptions) ([]string, error) { return export.CheckModel(c.Context, m, o) })
}

// check adds what a look through all weights finds to the problems.
func (x *inspection) check(c *cli.Context, log *slog.Logger, target export.Options, run func(export.CheckOptions) ([]string, error)) error {
	bar := newProgress(c, "check", log)
	defer bar.end()
	o := export.CheckOptions{Workers: target.Workers, Progress: func(done, total int64, _ string) { bar.set(done, total) }}
	if target.Dtype != export.DtypeAuto {
		o.Dtype = target.Dtype
	}
	problems, err := run(o)
	x.Problems = append(x.Problems, problems...)
	return x.unlessTold(c, err)
}

// unlessTold drops an error that the description's problems tell already.
func (x *inspection) unlessTold(c *cli.Context, err error) error {
	if err != nil && c.Context.Err() == nil && len(x.Problems) > 0 {
		return nil
	}
	return err
}

// printPlan shows a line for each part of each tensor.
func printPlan(c *cli.Context, p *export.PlanReport) error {
	form := p.Dtype
	for _, algo := range []string{p.QuantAlgo, p.KVCacheAlgo} {
		if algo != "" {
			form += ", " + algo
		}
	}
	if err := printf(c, "\nplan: %s as %s, %d ranks, %d tensors\nread %s, write %s, buffers of %d workers %s\n",
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
