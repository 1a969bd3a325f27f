package build

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// ProducerName is the producer's name in the engines that this project builds.
const ProducerName = "trtgo"

// Report is what Build did, or with DryRun would do.
type Report struct {
	Dir         string
	Backend     string
	WeightDtype string   // as the engine has linear weights: float32, float16, bfloat16, or a quant_algo
	Bytes       int64    // of the engines and of the weights beside them; with DryRun of the weights
	Notes       []string // sentences that the user should see

	MaxBatchSize, MaxInputLen, MaxSeqLen, MaxNumTokens int // as obeyed

	Ranks               []RankReport // for TensorRT
	TensorRT            string       // the version that built them, e.g. "10.14.1"; empty with DryRun
	ComputeCapabilities []string     // of the GPUs that the engine is for, where it is known
}

// RankReport is what became of one rank's network.
type RankReport struct {
	Rank    int   `json:"rank"`
	Layers  int   `json:"layers,omitempty"`       // of the TensorRT network
	Weights int64 `json:"weight_bytes,omitempty"` // of its weights
	Engine  int64 `json:"engine_bytes,omitempty"` // of the plan; 0 when none was built
	Managed int64 `json:"managed_weight_bytes,omitempty"`
}

// Build builds the engine of the checkpoint in o.CheckpointDir. The output
// directory appears under its name only when it is complete; an engine of this
// project that stands there is replaced, anything else is refused with
// [ErrExists]. When ctx ends, or on any error, nothing is left behind. Errors wrap
// [ErrOption], [ErrUnsupported], [ErrExists], checkpoint.ErrInvalid,
// checkpoint.ErrUnsupported, those of packages build/cpu, build/model, build/tensorrt and csrc/native, or
// [ErrUpstream].
func Build(ctx context.Context, o Options) (*Report, error) {
	if o.Builder == BuilderTRTLLMBuild {
		return buildUpstream(ctx, o)
	}
	p, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.ckpt.Close() }() // it was only read
	if err := p.plan.draw(); err != nil {
		return nil, err
	}
	if !o.DryRun {
		if err := p.write(ctx); err != nil {
			return nil, err
		}
	}
	return p.report(), nil
}

// plan makes the engines of one backend.
type plan interface {
	// draw writes what shows the network, where the user wants to see it.
	draw() error
	// write writes engines, and what weights stand beside them, into a directory.
	write(ctx context.Context, dir string) error
	// keep writes what belongs to no engine, once the directory has its name.
	keep()
	// complete adds what the backend knows to a report and to config.json.
	complete(*Report, *engineconfig.Trtgo)
}

// prepared is an engine that can be written.
type prepared struct {
	*settings
	ckpt *checkpoint.Checkpoint
	plan plan
}

// prepare checks everything that can be checked before anything is written, for these ranks
// or all. The caller closes ckpt.
func prepare(ctx context.Context, given Options, ranks ...int) (*prepared, error) {
	o := given.withDefaults()
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
		p.given = given
		p.given.ComputeCapabilities = p.ComputeCapabilities // a worker sees its own GPU only, and does not look
		p.plan, err = newPlan(ctx, p.settings, ckpt, ranks)
	}
	if err != nil {
		return nil, errors.Join(err, ckpt.Close())
	}
	return p, nil
}

func newPlan(ctx context.Context, s *settings, ckpt *checkpoint.Checkpoint, ranks []int) (plan, error) {
	if s.Backend == BackendCPU {
		return newCPUPlan(ctx, s, ckpt)
	}
	return newRankPlan(ctx, s, ckpt, ranks)
}

func (p *prepared) report() *Report {
	r := &Report{
		Dir: p.OutputDir, Backend: p.Backend,
		MaxBatchSize: p.MaxBatchSize, MaxInputLen: p.MaxInputLen, MaxSeqLen: p.MaxSeqLen, MaxNumTokens: p.MaxNumTokens,
	}
	p.plan.complete(r, &engineconfig.Trtgo{})
	r.Notes = p.notes
	return r
}

// write fills a temporary sibling of the output directory and renames it.
func (p *prepared) write(ctx context.Context) error {
	d, err := createDirectory(p.OutputDir)
	if err != nil {
		return err
	}
	defer func() { _ = d.abort() }() // after commit there is nothing to remove
	if err := p.plan.write(ctx, d.partial); err != nil {
		return err
	}
	if err := copyTokenizer(d.partial, p.CheckpointDir); err != nil {
		return err
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
	if err := d.commit(); err != nil {
		return err
	}
	p.plan.keep()
	return nil
}

// config makes config.json: the checkpoint's own config is pretrained_config, of no rank.
func (p *prepared) config() (*engineconfig.Config, error) {
	c := p.ckpt.Config().Clone()
	if p.LogitsDtype != "" {
		c.LogitsDtype = p.LogitsDtype
	}
	completeMapping(c, p.Backend)
	pretrained, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	t := &engineconfig.Trtgo{Backend: p.Backend, Producer: engineconfig.Producer{Name: ProducerName, Version: p.Version}}
	p.plan.complete(&Report{}, t)
	return &engineconfig.Config{Version: p.release.Version, PretrainedJSON: pretrained, Build: p.build, Trtgo: t}, nil
}

// completeMapping makes the mapping that of all ranks, with what TensorRT-LLM's runtime reads besides.
func completeMapping(c *checkpoint.Config, backend string) {
	delete(c.Mapping.Extra, "rank")
	if backend != BackendTensorRTLLM {
		return
	}
	if c.Mapping.Extra == nil {
		c.Mapping.Extra = map[string]json.RawMessage{}
	}
	for key, value := range map[string]string{"cp_size": "1", "gpus_per_node": "8"} { // upstream's defaults
		if _, ok := c.Mapping.Extra[key]; !ok {
			c.Mapping.Extra[key] = json.RawMessage(value)
		}
	}
}

// copyTokenizer copies the tokenizer's files of a checkpoint.
func copyTokenizer(to, checkpointDir string) error {
	files, err := checkpoint.TokenizerFiles(checkpointDir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := copyFile(filepath.Join(to, filepath.Base(f)), f); err != nil {
			return err
		}
	}
	return nil
}

// createFile makes a file that must not be there yet, and fills it by write, whose error is returned as it is.
func createFile(path string, write func(f *os.File) error) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func writeFile(path string, data []byte) error {
	return createFile(path, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return createFile(to, func(f *os.File) error {
		_, err := io.Copy(f, source)
		return err
	})
}
