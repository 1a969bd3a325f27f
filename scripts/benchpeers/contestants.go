//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/trtgo/trtgo/internal/benchmark"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

// sample is one measurement.
type sample struct {
	rate   float64 // tokens/s
	stream float64 // GB/s that memory gave beside it; 0 where a program does not measure that
}

// contestant is a program with weights.
type contestant struct {
	name, path string
	// measure runs prompts or decoding in a process of its own.
	measure func(ctx context.Context, threads int, phase benchmark.Phase) (sample, error)
}

// peer is a contestant, and what ours shall reach: its speed over the peer's.
type peer struct {
	*contestant
	goals map[benchmark.Phase]float64
}

// group is weights of about one precision.
type group struct {
	weights string
	own     *contestant
	peers   []peer
}

// contestants puts equals side by side.
func contestants(ctx context.Context, own *benchrun.Trtgo, llama *llamaCpp, torch *transformers, gguf string) ([]*group, error) {
	goals := func(prefill, decode float64) map[benchmark.Phase]float64 {
		return map[benchmark.Phase]float64{benchmark.Prefill: prefill, benchmark.Decode: decode}
	}
	groups := []*group{
		{weights: "16 bits", peers: []peer{{llama.contestant("BF16", llama.file("BF16")), goals(1.2, 1)}, {torch.contestant(), goals(1.2, 3)}}},
		{weights: "8 bits", peers: []peer{{llama.contestant("Q8_0", llama.file("Q8_0")), goals(1.5, 1.1)}}},
		{weights: "4 bits", peers: []peer{{llama.contestant("Q4_0", llama.file("Q4_0")), goals(2, 2)}, {llama.contestant("Q4_1", gguf), goals(2, 2)}}},
	}
	for i, w := range []benchrun.Weights{benchrun.BFloat16, benchrun.Int8.WithHead8(), benchrun.Int4.WithHead8()} {
		say("building an engine with %s", w.Title)
		dir, err := own.Engine(ctx, w)
		if err != nil {
			return nil, err
		}
		groups[i].own = engineContestant(own, w, dir)
	}
	return groups, nil
}

// engineContestant is `trtgo bench` with an engine.
func engineContestant(own *benchrun.Trtgo, w benchrun.Weights, dir string) *contestant {
	return &contestant{name: "trtgo " + w.Name, path: filepath.Join(dir, engineconfig.EngineName(0)), measure: func(ctx context.Context, threads int, phase benchmark.Phase) (sample, error) {
		args := []string{"--engine_dir", dir, "--threads", strconv.Itoa(threads), "--max_time", "1h"}
		context := 0
		if phase == benchmark.Prefill {
			args = append(args, "--prefill", strconv.Itoa(promptTokens), "--batch_size", "0", "--rounds", strconv.Itoa(prompts))
		} else {
			context = decodeContext
			args = append(args, "--prefill", "0", "--batch_size", "1", "--context", strconv.Itoa(context), "--rounds", strconv.Itoa(decodedTokens))
		}
		report, err := own.Bench(ctx, fmt.Sprintf("%s-%s-%d", w.Name, phase, threads), args...)
		if err != nil {
			return sample{}, err
		}
		r, err := benchrun.Find(report, phase, threads, 1, context)
		if err != nil {
			return sample{}, err
		}
		return sample{rate: float64(r.Tokens) / r.MeanSeconds, stream: r.Stream.Median}, nil
	}}
}

// all are the group's contestants, ours first.
func (g *group) all() []*contestant {
	list := []*contestant{g.own}
	for _, p := range g.peers {
		list = append(list, p.contestant)
	}
	return list
}
