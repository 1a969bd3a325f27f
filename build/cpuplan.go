package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/build/cpu"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// cpuPlan makes the engine of the CPU backend.
type cpuPlan struct {
	*cpu.Plan
	s *settings
}

func newCPUPlan(ctx context.Context, s *settings, ckpt *checkpoint.Checkpoint) (*cpuPlan, error) {
	p, err := cpu.New(ctx, ckpt, cpu.Options{HeadDtype: s.HeadDtype})
	if errors.Is(err, cpu.ErrHead) {
		return nil, fmt.Errorf("%w: --lm_head_dtype: %w", ErrOption, err)
	}
	if err != nil {
		return nil, err
	}
	// The runner goes as far as this says.
	p.Program.MaxPositionEmbeddings = max(p.Program.MaxPositionEmbeddings, s.MaxSeqLen)
	s.notes = append(s.notes, p.Notes...)
	return &cpuPlan{p, s}, nil
}

func (p *cpuPlan) write(ctx context.Context, dir string) error {
	path := filepath.Join(dir, engineconfig.EngineName(0))
	err := createFile(path, func(f *os.File) error {
		return p.Write(ctx, f, cpu.WriteOptions{Workers: p.s.Workers, Progress: p.s.Progress})
	})
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func (p *cpuPlan) draw() error { return nil } // --explain prints it

func (p *cpuPlan) keep() {}

func (p *cpuPlan) complete(r *Report, t *engineconfig.Trtgo) {
	dtype := p.WeightDtype
	r.WeightDtype, r.Bytes = dtype, p.Size()
	t.WeightDtype, t.WeightBytes, t.FormatVersion, t.TiedHead = dtype, p.Size(), cpuengine.FormatVersion, p.TiedHead
}
