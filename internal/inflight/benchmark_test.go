package inflight_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/inflight"
)

// idle is a runner that computes nothing.
type idle struct {
	limits     executor.Limits
	candidates []executor.Candidate
}

func (r *idle) Limits() executor.Limits       { return r.limits }
func (r *idle) CopyBlock(int, int, int) error { return nil }
func (r *idle) SetObserver(executor.Observer) {}
func (r *idle) Close() error                  { return nil }
func (r *idle) Step(_ context.Context, batch []executor.Sequence, out *executor.StepResult) error {
	out.Rows = out.Rows[:0]
	for _, s := range batch {
		for _, row := range s.Rows {
			out.Rows = append(out.Rows, executor.RowResult{Candidates: r.candidates[:row.Candidates], LogSumExp: 1, RawLogSumExp: 1, Max: 1})
		}
	}
	return nil
}

// BenchmarkStep is what a step of 32 streaming sequences costs beside the runner: one
// operation is one token of each.
func BenchmarkStep(b *testing.B) {
	for name, sampling := range map[string]executor.Sampling{
		"greedy": {TopK: 1}, "sampled": {TopK: 40, TopP: 0.9, Temperature: 0.8},
	} {
		b.Run(name, func(b *testing.B) {
			const batch = 32
			runner := &idle{limits: executor.Limits{
				VocabSize: 49152, MaxSeqLen: 8192, MaxBatchSize: batch, MaxNumTokens: 8192, BlockSize: 32, NumBlocks: 20000,
				SharedBlocks: true, MaxCandidates: 1024,
			}}
			for i := range int32(1024) {
				runner.candidates = append(runner.candidates, executor.Candidate{Token: i, Logit: 1 - float32(i)})
			}
			e, err := inflight.New(runner, inflight.Options{})
			require.NoError(b, err)
			defer e.Close()
			id := uint64(0)
			submit := func() {
				id++
				r := executor.Request{ClientID: id, InputIDs: make([]int32, 128), MaxTokens: 1024, Sampling: sampling, Streaming: true, LogProbs: true, CacheSalt: id}
				require.NoError(b, e.Submit(r))
			}
			for range batch {
				submit()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for tokens := 0; tokens < b.N*batch; {
				responses, err := e.Await(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				for i := range responses {
					tokens += len(responses[i].OutputIDs)
					if responses[i].Final {
						submit()
					}
				}
			}
		})
	}
}
