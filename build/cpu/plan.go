package cpu

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
)

var (
	// ErrSharded is wrapped by the error about a checkpoint of several ranks.
	ErrSharded = errors.New("the checkpoint is divided among ranks")
	// ErrHead is wrapped, beside [ErrUnsupported], by the error about Options.HeadDtype.
	ErrHead = errors.New("lm_head stays what it is")
)

// Plan is an engine that can be written: the program and where each section
// comes from. It reads from the checkpoint, which must stay open.
type Plan struct {
	Program  *cpuengine.Program
	Sections []cpuengine.Section // without offsets
	TiedHead bool                // the head shares the embedding's section
	// WeightDtype is float32, float16 or bfloat16, or the quant_algo whose numbers are kept.
	WeightDtype string
	Notes       []string // decisions that the user should know

	sources []cpuengine.Source
}

// Options say what an engine has otherwise than the checkpoint.
type Options struct {
	// HeadDtype is what lm_head's weights become: "int8", a scale for each token, or "" for
	// what they are. An embedding that is equal stays as it is, in a section of its own.
	HeadDtype string
}

// New lowers the checkpoint's model. It reads headers, the whole of embedding and
// head to see whether they are equal, and what quantised linears do to their
// inputs. Errors wrap [ErrSharded],
// [ErrUnsupported] (with [ErrHead]), errors of package model or of the checkpoint.
func New(ctx context.Context, ckpt *checkpoint.Checkpoint, o Options) (*Plan, error) {
	c := ckpt.Config()
	if m := c.Mapping; m.WorldSize != 1 {
		return nil, fmt.Errorf("%s: %w: tp_size %d × pp_size %d, and the CPU backend runs one; export its source again with: trtgo export SOURCE --tp_size 1 --pp_size 1 --output_dir CHECKPOINT",
			ckpt.Dir(), ErrSharded, m.TPSize, m.PPSize)
	}
	net, err := model.New(c, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ckpt.Dir(), err)
	}
	rank, err := ckpt.Rank(0)
	if err != nil {
		return nil, err
	}
	if err := checkDtypes(net, rank, c.Dtype); err != nil {
		return nil, fmt.Errorf("%s: %w", ckpt.Dir(), err)
	}
	p := &Plan{}
	p.noteUnused(rank)
	eightBits, err := roundHead(net, o.HeadDtype)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ckpt.Dir(), err)
	}
	tied := false
	if !eightBits {
		if tied, err = rank.TiedHead(ctx); err != nil {
			return nil, err
		}
	}
	inputs, err := readInputNumbers(net, rank)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ckpt.Dir(), err)
	}
	program, weights, err := lower(net, engineDtypes[c.Dtype], tied, inputs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ckpt.Dir(), err)
	}
	program.KVCacheDtype = cacheDtypes[c.Quantization.KVCacheQuantAlgo]
	p.Program, p.TiedHead, p.WeightDtype = program, tied, c.Dtype
	if slices.ContainsFunc(weights, func(w weight) bool { return w.kept && w.linears[0].Weight.Name != headWeight }) {
		p.WeightDtype = c.Quantization.QuantAlgo
	}
	for _, w := range weights {
		p.Sections = append(p.Sections, w.section)
		source, err := newSource(w, rank, c.Dtype)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ckpt.Dir(), err)
		}
		p.sources = append(p.sources, source)
	}
	p.noteExpanded(c.Quantization.QuantAlgo, weights)
	return p, nil
}

// roundHead makes lm_head a linear whose weights are rounded to 8 bits, if that is asked for.
func roundHead(net *network.Network, dtype string) (bool, error) {
	switch dtype {
	case "":
		return false, nil
	case cpuengine.DtypeInt8:
	default:
		return false, fmt.Errorf("%w: %w: %q is asked for, it can become %s", ErrUnsupported, ErrHead, dtype, cpuengine.DtypeInt8)
	}
	for _, op := range net.Ops {
		head, ok := op.(*network.Linear)
		if !ok || head.Weight.Name != headWeight {
			continue
		}
		if head.Quantisation != nil {
			return false, fmt.Errorf("%w: %w: the checkpoint has it in %s", ErrUnsupported, ErrHead, head.Quantisation.Algo)
		}
		head.Quantisation = &network.Quantisation{Scheme: network.Scheme{Algo: checkpoint.W8A16}}
		return true, nil
	}
	return false, fmt.Errorf("%w: %w: the network has none", ErrUnsupported, ErrHead)
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// noteUnused tells of tensors that the config does not call for, which upstream also
// leaves out with a warning: config.json may lack a bias that the model needs.
func (p *Plan) noteUnused(rank *checkpoint.Rank) {
	if unused := rank.Unexpected(); len(unused) > 0 {
		p.note("the checkpoint has %d tensors that config.json does not call for, %.200s among them; they are left out", len(unused), unused[0])
	}
}

// noteExpanded tells of quantised weights whose numbers are not kept.
func (p *Plan) noteExpanded(algo string, weights []weight) {
	var names []string
	dtype, matrices := "", 0
	for _, w := range weights {
		if w.linears == nil {
			continue
		}
		matrices++
		if !w.kept {
			names, dtype = append(names, w.section.Name), w.section.Dtype
		}
	}
	if len(names) > 0 {
		p.note("the CPU backend expands %d of %d %s weights to %s, %s among them: they take the memory and time of weights that are not quantised (it keeps groups of 32, 64 and 128 inputs, and factors of inputs that a norm, an activation or an attention can apply)",
			len(names), matrices, algo, dtype, names[0])
	}
}

// Size is the size of all sections in bytes.
func (p *Plan) Size() int64 {
	var n int64
	for _, s := range p.Sections {
		size, err := cpuengine.PackedSize(s)
		if err == nil { // Write reports it
			n += size
		}
	}
	return n
}

// WriteOptions say how an engine is written.
type WriteOptions struct {
	Workers int // goroutines that read and pack; 0 means GOMAXPROCS
	// Progress, which may be nil, hears of every block: bytes of sections done and
	// in all, and the section's name. One goroutine calls it.
	Progress func(done, total int64, section string)
}

// Write writes the engine file. After an error, ctx's among them, file is
// incomplete and is refused when opened; the caller removes it.
func (p *Plan) Write(ctx context.Context, file cpuengine.Output, o WriteOptions) error {
	w, err := cpuengine.NewWriter(file, p.Program, p.Sections)
	if err != nil {
		return err
	}
	w.Workers = o.Workers
	total := w.Size()
	for i, source := range p.sources {
		if o.Progress != nil {
			w.Progress = func(done int64) { o.Progress(done, total, p.Sections[i].Name) }
		}
		if err := w.WriteSection(ctx, source); err != nil {
			return err
		}
	}
	return w.Close()
}

// isMatrix tells whether a weight is a linear's or an embedding's: what is kept
// in the checkpoint's dtype, or expanded to it.
func isMatrix(w *network.Weight) bool { return len(w.Shape) == 2 }

// storedDtypes are safetensors' names.
var storedDtypes = map[network.Dtype]string{
	network.Float32: "F32", network.Float16: "F16", network.BFloat16: "BF16", network.Float8: floatformat.E4M3, network.Int4: "I8",
}

// checkDtypes refuses a checkpoint whose matrices are not of the dtype that
// config.json gives: upstream only warns, and the engine would be wrong or slow.
func checkDtypes(net *network.Network, rank *checkpoint.Rank, dtype string) error {
	for _, w := range net.Weights {
		t, ok := rank.Tensor(w.Name)
		if !ok {
			return fmt.Errorf("tensor %s is missing", w.Name)
		}
		if stored := w.Stored(); !slices.EqualFunc(t.Shape, stored, func(a int64, b int) bool { return a == int64(b) }) {
			return fmt.Errorf("tensor %s has shape %v, the network needs %v", w.Name, t.Shape, stored)
		}
		if isMatrix(w) && t.Dtype != storedDtypes[w.Dtype] {
			return fmt.Errorf("tensor %s is %s, config.json says dtype %s; export the checkpoint again with --dtype %s", w.Name, t.Dtype, dtype, dtype)
		}
	}
	return nil
}

// cacheDtypes are those of a cache, by kv_cache_quant_algo; without one the runner chooses.
var cacheDtypes = map[string]string{checkpoint.KVCacheFP8: cpuengine.DtypeFP8, "INT8": cpuengine.DtypeInt8}

// engineDtypes are those of matrices that are not quantised: their own.
var engineDtypes = map[string]string{checkpoint.Float32: cpuengine.DtypeF32, checkpoint.Float16: cpuengine.DtypeF16, checkpoint.BFloat16: cpuengine.DtypeBF16}
