package export

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
)

// Errors, for errors.Is. Those of the operating system (fs.ErrNotExist, …) and of
// the context come through as they are.
var (
	// ErrInvalid: the source is damaged or contradicts itself.
	ErrInvalid = checkpoint.ErrInvalid
	// ErrUnsupported: a legal source or option that is not supported (yet).
	ErrUnsupported = checkpoint.ErrUnsupported
	// ErrMapping: the model cannot be divided among so many ranks.
	ErrMapping = checkpoint.ErrMapping
	// ErrOutput: the output directory may not be written to or replaced.
	ErrOutput = checkpoint.ErrExists
	// ErrUnknownFormat: the source is of no format known here.
	ErrUnknownFormat = errors.New("unknown format")
	// ErrOverflow: a weight is too large for the dtype asked for.
	ErrOverflow = errors.New("value out of range")
	// ErrOption: an option has a value that is never legal.
	ErrOption = errors.New("illegal option")
)

// DtypeAuto keeps the source's dtype, float32 included (upstream makes that
// float16), and takes bfloat16 for a quantised source.
const DtypeAuto = "auto"

// Options say what to write. Only OutputDir is required.
type Options struct {
	// OutputDir must not exist, or be empty, or hold a checkpoint written by this
	// package and nothing else, which is replaced when the new one is complete. It
	// must not be a mount point or the working directory, which cannot be replaced,
	// nor contain the source or lie inside it.
	OutputDir string
	// Dtype is auto (also ""), float16, bfloat16 or float32.
	Dtype string
	// TPSize and PPSize are the tensor-parallel ranks and pipeline stages; 0
	// means 1. The layers have to be divisible by PPSize: releases of
	// TensorRT-LLM disagree about what the last stage gets otherwise.
	TPSize, PPSize int
	// UseParallelEmbedding divides the embedding among the tensor-parallel ranks,
	// along EmbeddingShardingDim: 0 vocabulary, 1 hidden.
	UseParallelEmbedding bool
	EmbeddingShardingDim int
	// QFormat is the form of the linears' weights: "" keeps the source's, full_prec
	// undoes its quantisation, int8_wo and int4_wo leave rounding weights to the
	// builder; fp8 and int4_awq are for a source that has them, since nothing is
	// calibrated yet.
	QFormat string
	// GroupSize, with int4_wo, is how many inputs share a scale, one of [GroupSizes]: the
	// weights are rounded here, to the nearest, and laid out as AWQ's are. 0 leaves
	// rounding to the builder, with a scale for each output.
	GroupSize int
	// KVCacheDtype is none, fp8 or int8, the latter for a source that has the scales;
	// "" keeps the source's, but not where QFormat changes the weights.
	KVCacheDtype string
	// TargetVersion is one of [TargetVersions]; "" is the first and is not recorded.
	TargetVersion string
	// Source says what the source may lack.
	Source SourceOptions
	// Verify, when not nil, has the finished checkpoint compared with the source, as
	// [VerifyModel] does (Verify's Source counts for nothing, since it is open). When
	// they differ, or ctx ends meanwhile, Convert fails but the checkpoint stays, to be
	// looked at.
	Verify *VerifyOptions
	// Workers is the number of goroutines; 0 chooses.
	Workers int
	// Progress, when not nil, hears of every block written: bytes of weights done
	// and in all, and the tensor. Calls do not overlap.
	Progress func(done, total int64, tensor string)
}

// Report says what was written.
type Report struct {
	Format       string   `json:"format"`       // of the source
	Architecture string   `json:"architecture"` // in the checkpoint
	Dtype        string   `json:"dtype"`
	QuantAlgo    string   `json:"quant_algo,omitempty"`          // "" for none
	KVCacheAlgo  string   `json:"kv_cache_quant_algo,omitempty"` // "" for none
	OutputDir    string   `json:"output_dir"`
	Ranks        int      `json:"ranks"`
	Tensors      int      `json:"tensors"` // in all rank files together
	Bytes        int64    `json:"bytes"`   // of all rank files together
	Files        []string `json:"files"`   // the tokenizer's, beside the rank files
	// PeakBytes is the most that the buffers of all workers held together: what was
	// read, its numbers, the target's bytes, its columns (see [PlanReport.PeakBytes]).
	// The program itself, what a source's reader needs for itself, and garbage come on
	// top.
	PeakBytes int64         `json:"peak_bytes"`
	Elapsed   time.Duration `json:"elapsed_ns"` // without verifying
	// Verified is what Options.Verify found, nil without it.
	Verified *VerifyReport `json:"verified,omitempty"`
	// Notes are sentences that the user should read.
	Notes []string `json:"notes,omitempty"`
}

// Convert writes the model at path as a TensorRT-LLM checkpoint. Cancelling ctx
// stops it and removes what was written; an error does so too.
func Convert(ctx context.Context, path string, o Options) (*Report, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := apart(path, o.OutputDir); err != nil {
		return nil, err
	}
	if err := checkpoint.Replaceable(o.OutputDir); err != nil {
		return nil, err
	}
	if o.Source.TempDir == "" { // beside the output: there has to be room for it anyway
		o.Source.TempDir = beside(o.OutputDir)
	}
	m, err := Open(ctx, path, o.Source)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return ConvertModel(ctx, m, o)
}

// ConvertModel is [Convert] for an open source, which stays open.
func ConvertModel(ctx context.Context, m source.Model, o Options) (*Report, error) {
	start := time.Now()
	if err := o.validate(); err != nil {
		return nil, err
	}
	config, err := target(m.Config(), o)
	if err != nil {
		return nil, err
	}
	jobs, err := plan(inGroups(m, config), config)
	if err != nil {
		return nil, err
	}
	w, err := checkpoint.Create(o.OutputDir, config)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	report := &Report{
		Format: m.Format(), Architecture: config.Architecture, Dtype: config.Dtype, OutputDir: o.OutputDir,
		QuantAlgo: config.Quantization.QuantAlgo, KVCacheAlgo: config.Quantization.KVCacheQuantAlgo,
		Ranks: config.Mapping.WorldSize, Bytes: w.Bytes(),
	}
	for r := range report.Ranks {
		report.Tensors += len(config.RankTensors(r))
	}
	// Before the weights, which take long: what cannot be read ends the export early.
	if report.Files, err = addFiles(w, m); err != nil {
		return nil, err
	}
	if report.PeakBytes, err = stream(ctx, w, jobs, o); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.Commit(); err != nil {
		return nil, err
	}
	report.Notes = m.Notes()
	report.Elapsed = time.Since(start)
	if o.Verify != nil {
		if report.Verified, err = VerifyModel(ctx, m, o.OutputDir, *o.Verify); err != nil {
			return nil, fmt.Errorf("%s was written but is not verified, do not use it: %w", o.OutputDir, err)
		}
	}
	return report, nil
}

// addFiles writes the tokenizer's files and gives their names.
func addFiles(w *checkpoint.Writer, m source.Model) ([]string, error) {
	files, err := m.Files()
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, f := range files {
		if f.Path != "" {
			err = w.CopyFile(f.Path)
		} else {
			err = w.AddFile(f.Name, f.Data)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		names = append(names, f.Name)
	}
	return names, nil
}

func (o *Options) validate() error {
	switch o.Dtype {
	case "", DtypeAuto, checkpoint.Float16, checkpoint.BFloat16, checkpoint.Float32:
	default:
		return fmt.Errorf("%w: dtype %q is none of auto, float16, bfloat16, float32", ErrOption, o.Dtype)
	}
	if err := o.validateFormat(); err != nil {
		return err
	}
	if o.OutputDir == "" {
		return fmt.Errorf("%w: no output directory is given", ErrOption)
	}
	if o.TPSize < 0 || o.PPSize < 0 || o.Workers < 0 {
		return fmt.Errorf("%w: tp_size %d, pp_size %d and workers %d must not be negative", ErrOption, o.TPSize, o.PPSize, o.Workers)
	}
	if o.EmbeddingShardingDim != 0 && o.EmbeddingShardingDim != 1 {
		return fmt.Errorf("%w: embedding_sharding_dim %d is neither 0 (vocabulary) nor 1 (hidden)", ErrOption, o.EmbeddingShardingDim)
	}
	return nil
}

// target is the config to write.
func target(model *checkpoint.Config, o Options) (*checkpoint.Config, error) {
	c := model.Clone()
	if o.Dtype != "" && o.Dtype != DtypeAuto {
		c.Dtype = o.Dtype
	}
	tp, pp := max(o.TPSize, 1), max(o.PPSize, 1)
	if tp > 1<<16 || pp > 1<<16 {
		return nil, fmt.Errorf("%w: tp_size %d × pp_size %d", ErrMapping, tp, pp)
	}
	c.Mapping = checkpoint.Mapping{WorldSize: tp * pp, TPSize: tp, PPSize: pp}
	c.UseParallelEmbedding, c.EmbeddingShardingDim = o.UseParallelEmbedding, int64(o.EmbeddingShardingDim)
	c.Producer = &checkpoint.Producer{Name: checkpoint.ProducerName, Version: Version(), TargetVersion: o.TargetVersion}
	if err := o.quantise(c); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.NumHiddenLayers%int64(pp) != 0 {
		return nil, fmt.Errorf("%w: num_hidden_layers %d is no multiple of pp_size %d", ErrMapping, c.NumHiddenLayers, pp)
	}
	return c, nil
}

// Version is this module's version as the build recorded it.
func Version() string {
	const module = "github.com/trtgo/trtgo"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	version := info.Main.Version
	if info.Main.Path != module {
		for _, d := range info.Deps {
			if d.Path == module {
				version = d.Version
			}
		}
	}
	if version == "" || version == "(devel)" {
		return "devel"
	}
	return version
}

// workersOf is the number of goroutines for an option that may be 0.
func workersOf(option int) int {
	if option > 0 {
		return option
	}
	return min(runtime.GOMAXPROCS(0), 8)
}

// beside gives the directory that dir is or will be in, as far as it exists.
func beside(dir string) string {
	for parent := filepath.Dir(filepath.Clean(dir)); ; parent = filepath.Dir(parent) {
		if _, err := os.Stat(parent); err == nil || parent == filepath.Dir(parent) {
			return parent
		}
	}
}

// apart refuses an output that is the source, lies inside it or contains it.
func apart(in, out string) error {
	from, err := resolve(in)
	if err != nil {
		return err
	}
	to, err := resolve(out)
	if err != nil {
		return err
	}
	if within(from, to) || within(to, from) {
		return fmt.Errorf("%w: output %s and source %s must not be the same or inside each other", ErrOption, out, in)
	}
	return nil
}

func within(inner, outer string) bool {
	rel, err := filepath.Rel(outer, inner)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// resolve follows the links in the part of the path that exists.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rest := ""
	for {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !os.IsNotExist(err) || filepath.Dir(path) == path {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		path, rest = filepath.Dir(path), filepath.Join(filepath.Base(path), rest)
	}
}
