package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/build/cpu"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// ProducerName is the producer's name in the engines that this project builds.
const ProducerName = "trtgo"

// Report is what Build did, or with DryRun would do.
type Report struct {
	Dir         string
	WeightDtype string   // float32 or bfloat16
	Bytes       int64    // of packed weights
	Notes       []string // sentences that the user should see

	MaxBatchSize, MaxInputLen, MaxSeqLen, MaxNumTokens int // as obeyed
}

// Build builds the engine of the checkpoint in o.CheckpointDir. The output
// directory appears under its name only when it is complete; an engine of this
// project that stands there is replaced, anything else is refused with
// [ErrExists]. When ctx ends, or on any error, nothing is left behind. Errors wrap
// [ErrOption], [ErrUnsupported], [ErrExists], checkpoint.ErrInvalid,
// checkpoint.ErrUnsupported, or those of packages build/cpu and build/model.
func Build(ctx context.Context, o Options) (*Report, error) {
	p, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.ckpt.Close() }() // it was only read
	if !o.DryRun {
		if err := p.write(ctx); err != nil {
			return nil, err
		}
	}
	return p.report(), nil
}

// prepared is an engine that can be written.
type prepared struct {
	*settings
	ckpt *checkpoint.Checkpoint
	plan *cpu.Plan
}

// prepare checks everything that can be checked before anything is written. The
// caller closes ckpt.
func prepare(ctx context.Context, o Options) (*prepared, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	if !o.DryRun {
		if err := replaceable(o.OutputDir); err != nil {
			return nil, err
		}
	}
	ckpt, err := checkpoint.Open(o.CheckpointDir)
	if err != nil {
		return nil, err
	}
	p := &prepared{ckpt: ckpt}
	if p.settings, err = resolve(o, ckpt.Config()); err == nil {
		p.plan, err = cpu.New(ctx, ckpt)
	}
	if err != nil {
		return nil, errors.Join(err, ckpt.Close())
	}
	// The runner goes as far as this says.
	p.plan.Program.MaxPositionEmbeddings = max(p.plan.Program.MaxPositionEmbeddings, p.MaxSeqLen)
	p.notes = append(p.notes, p.plan.Notes...)
	return p, nil
}

func (p *prepared) report() *Report {
	return &Report{
		Dir: p.OutputDir, WeightDtype: p.weightDtype(), Bytes: p.plan.Size(), Notes: p.notes,
		MaxBatchSize: p.MaxBatchSize, MaxInputLen: p.MaxInputLen, MaxSeqLen: p.MaxSeqLen, MaxNumTokens: p.MaxNumTokens,
	}
}

func (p *prepared) weightDtype() string {
	if p.plan.Program.WeightDtype == cpuengine.DtypeBF16 {
		return checkpoint.BFloat16
	}
	return checkpoint.Float32
}

// write fills a temporary sibling of the output directory and renames it.
func (p *prepared) write(ctx context.Context) error {
	d, err := createDirectory(p.OutputDir)
	if err != nil {
		return err
	}
	defer func() { _ = d.abort() }() // after commit there is nothing to remove
	if err := p.writeEngine(ctx, filepath.Join(d.partial, engineconfig.EngineName(0))); err != nil {
		return err
	}
	files, err := checkpoint.TokenizerFiles(p.CheckpointDir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := copyFile(filepath.Join(d.partial, filepath.Base(f)), f); err != nil {
			return err
		}
	}
	config, err := p.config()
	if err != nil {
		return err
	}
	text, err := config.Text()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(d.partial, engineconfig.FileName), text); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.commit()
}

func (p *prepared) writeEngine(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = p.plan.Write(ctx, f, cpu.WriteOptions{Workers: p.Workers, Progress: p.Progress})
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// config makes config.json: the checkpoint's own config is pretrained_config.
func (p *prepared) config() (*engineconfig.Config, error) {
	c := p.ckpt.Config().Clone()
	if p.LogitsDtype != "" {
		c.LogitsDtype = p.LogitsDtype
	}
	pretrained, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return &engineconfig.Config{
		Version: engineconfig.RuntimeVersion, PretrainedJSON: pretrained, Build: p.build,
		Trtgo: &engineconfig.Trtgo{
			Backend: engineconfig.BackendCPU, FormatVersion: cpuengine.FormatVersion,
			Producer:    engineconfig.Producer{Name: ProducerName, Version: p.Version},
			WeightDtype: p.weightDtype(), WeightBytes: p.plan.Size(), TiedHead: p.plan.TiedHead,
		},
	}, nil
}

func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, source)
	return errors.Join(err, f.Sync(), f.Close())
}
