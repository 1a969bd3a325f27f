package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/outputfile"
)

// rankPlan makes the TensorRT engines of a checkpoint, one for each rank.
type rankPlan struct {
	s        *settings
	ckpt     *checkpoint.Checkpoint
	networks []*graph.Network // of each rank
	built    []RankReport
	version  string // of the TensorRT that built them
	cache    []byte // the timing cache after the build
}

// newRankPlan lowers these ranks, or all: what cannot be lowered is known before anything is
// compiled. Weights are read only to see whether the head is the embedding.
func newRankPlan(ctx context.Context, s *settings, ckpt *checkpoint.Checkpoint, ranks []int) (*rankPlan, error) {
	world := ckpt.Config().Mapping.WorldSize
	p := &rankPlan{s: s, ckpt: ckpt, networks: make([]*graph.Network, world), built: make([]RankReport, world)}
	for rank := range world {
		if len(ranks) > 0 && !slices.Contains(ranks, rank) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		net, err := p.lower(ctx, rank)
		if err != nil {
			return nil, fmt.Errorf("%s: rank %d: %w", ckpt.Dir(), rank, err)
		}
		p.networks[rank], p.built[rank] = net, RankReport{Rank: rank, Layers: len(net.Layers)}
		for _, w := range net.Weights() {
			p.built[rank].Weights += w.Bytes()
		}
	}
	return p, nil
}

// lower makes the TensorRT network of a rank.
func (p *rankPlan) lower(ctx context.Context, number int) (*graph.Network, error) {
	c := p.ckpt.Config()
	net, err := model.New(c, number)
	if err != nil {
		return nil, err
	}
	rank, err := p.ckpt.Rank(number)
	if err != nil {
		return nil, err
	}
	if unused := rank.Unexpected(); len(unused) > 0 {
		p.s.note("rank %d of the checkpoint has %d tensors that config.json does not call for, %.200s among them; they are left out", number, len(unused), unused[0])
	}
	tied, err := rank.TiedHead(ctx)
	if err != nil {
		return nil, err
	}
	source, err := tensorrt.OpenSource(p.ckpt, number)
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }() // it was only read
	logits := p.s.LogitsDtype
	if logits == "" {
		logits = c.LogitsDtype
	}
	if p.s.Backend == BackendTensorRTRTX {
		return tensorrt.LowerNative(net, tensorrt.NativeOptions{
			MaxBatchSize: p.s.MaxBatchSize, MaxInputLen: p.s.MaxInputLen, MaxSeqLen: p.s.MaxSeqLen,
			LogitsDtype: logits, GatherContextLogits: p.s.GatherContextLogits, TiedHead: tied,
		})
	}
	return tensorrt.Lower(net, tensorrt.Options{
		Release:      p.s.release,
		MaxBatchSize: p.s.MaxBatchSize, MaxBeamWidth: p.s.MaxBeamWidth, MaxInputLen: p.s.MaxInputLen, MaxSeqLen: p.s.MaxSeqLen,
		MaxNumTokens: p.s.MaxNumTokens, OptNumTokens: p.s.OptNumTokens, LogitsDtype: logits, GatherContextLogits: p.s.GatherContextLogits,
		TiedHead: tied, ComputeCapability: p.s.gpu, Scale: source.Scale, Plugins: p.s.build.Plugins,
	})
}

// draw writes a drawing of each network into the directory that the user wants them in.
func (p *rankPlan) draw() error {
	dir := p.s.VisualizeNetwork
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--visualize_network: %w", err)
	}
	for rank, net := range p.networks {
		f, err := outputfile.Create(filepath.Join(dir, fmt.Sprintf("rank%d.dot", rank)))
		if err != nil {
			return fmt.Errorf("--visualize_network: %w", err)
		}
		err = net.WriteDOT(f)
		if err == nil {
			err = f.Commit()
		}
		f.Discard() // does nothing after Commit
		if err != nil {
			return fmt.Errorf("--visualize_network: %w", err)
		}
	}
	return nil
}

func (p *rankPlan) complete(r *Report, t *engineconfig.Trtgo) {
	c := p.ckpt.Config()
	dtype := c.Quantization.QuantAlgo
	if dtype == "" {
		dtype = c.Dtype
	}
	r.WeightDtype, r.Ranks, r.TensorRT = dtype, p.built, p.version
	r.ComputeCapabilities = p.s.ComputeCapabilities
	for _, rank := range p.built {
		if rank.Engine == 0 {
			r.Bytes += rank.Weights
		}
		r.Bytes += rank.Engine + rank.Managed
	}
	t.WeightDtype, t.TensorRT, t.ComputeCapabilities = dtype, p.version, p.s.ComputeCapabilities
}

// Networks returns the TensorRT network of each rank that Build would compile for o.Backend. It needs no
// TensorRT and writes nothing. What o asks for is checked as by Build.
func Networks(ctx context.Context, o Options) ([]*graph.Network, *Report, error) {
	o.DryRun = true
	if o.Backend == "" || o.Backend == BackendCPU {
		return nil, nil, fmt.Errorf("%w: --backend %s has no TensorRT network: choose %s or %s", ErrOption, BackendCPU, BackendTensorRTLLM, BackendTensorRTRTX)
	}
	if o.VisualizeNetwork != "" {
		return nil, nil, fmt.Errorf("%w: the network alone is not drawn; use --visualize_network with --dry_run", ErrOption)
	}
	p, err := prepare(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = p.ckpt.Close() }() // it was only read
	return p.plan.(*rankPlan).networks, p.report(), nil
}
