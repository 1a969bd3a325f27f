//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/inflight"
)

// beamGolden is a search of scripts/beam_goldens.py.
type beamGolden struct {
	Model         string       `json:"model"`
	Prompt        []int32      `json:"prompt"`
	Width         int          `json:"width"`
	LengthPenalty float32      `json:"length_penalty"`
	EarlyStopping int          `json:"early_stopping"`
	EndIDs        []int32      `json:"end_ids"`
	MaxTokens     int          `json:"max_tokens"`
	Beams         []beamResult `json:"beams"`    // of transformers' generate
	Upstream      []beamResult `json:"upstream"` // by TensorRT-LLM's rules, where that is something else
}

type beamResult struct {
	IDs []int32 `json:"ids"`
	End bool    `json:"end"` // an end id follows
	Cum float64 `json:"cum"`
}

// Beams are those of transformers' generate, to the same bits whatever else runs and
// however it is scheduled.
func TestBeamsAreThoseOfTransformers(t *testing.T) {
	data, err := os.ReadFile("testdata/beams.json")
	require.NoError(t, err)
	var golden struct {
		Searches []beamGolden `json:"searches"`
	}
	require.NoError(t, json.Unmarshal(data, &golden))
	models := map[string][]beamGolden{}
	for _, g := range golden.Searches {
		models[g.Model] = append(models[g.Model], g)
	}
	require.Len(t, models, 3)
	for name, searches := range models {
		t.Run(name, func(t *testing.T) {
			engine := filepath.Join(engineDir(t, name, "float32"), engineconfig.EngineName(0))
			open := func(o inflight.Options, tokens int64) *inflight.Executor {
				x, err := inflight.New(openRunner(t, engine, cpu.Options{MaxBatchSize: 11, Threads: 1, KVCacheTokens: tokens}), o)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, x.Close()) })
				return x
			}
			got := runBeams(t, open(inflight.Options{ChunkTokens: 4}, 0), searches, len(searches))
			for i, g := range searches {
				want := g.Beams
				if g.Upstream != nil {
					want = g.Upstream
				}
				requireBeams(t, want, got[i], g)
			}
			require.Equal(t, got, runBeams(t, open(inflight.Options{NoBlockReuse: true}, 0), searches, 1), "each alone")
			small := open(inflight.Options{Policy: executor.MaxUtilization, ChunkTokens: 1}, 128)
			require.Equal(t, got, runBeams(t, small, searches, len(searches)), "few at once")
		})
	}
}

// runBeams runs searches, so many at once, and returns what each gave.
func runBeams(t *testing.T, x *inflight.Executor, searches []beamGolden, atOnce int) [][]executor.Response {
	t.Helper()
	got := make([][]executor.Response, len(searches))
	for i, live := 0, 0; i < len(searches) || live > 0; {
		for ; i < len(searches) && live < atOnce; i++ {
			g := searches[i]
			require.NoError(t, x.Submit(executor.Request{
				ClientID: uint64(i), InputIDs: g.Prompt, MaxTokens: g.MaxTokens, EndIDs: g.EndIDs, LogProbs: true,
				Sampling: executor.Sampling{BeamWidth: g.Width, LengthPenalty: g.LengthPenalty, EarlyStopping: &g.EarlyStopping},
			}))
			live++
		}
		responses, err := x.Await(t.Context())
		require.NoError(t, err)
		for _, r := range responses {
			require.NoError(t, r.Err)
			require.Equal(t, len(got[r.ClientID]), r.Sequence, "in order")
			r.Timing, r.KVCache = executor.Timing{}, executor.RequestCache{}
			if got[r.ClientID] = append(got[r.ClientID], r); r.Final {
				live--
			}
		}
	}
	require.Zero(t, x.Stats().KVBlocksUsed)
	return got
}

func requireBeams(t *testing.T, want []beamResult, got []executor.Response, g beamGolden) {
	t.Helper()
	require.Len(t, got, g.Width, "%+v", g)
	for i, r := range got {
		require.Equal(t, want[i].IDs, append([]int32{}, r.OutputIDs...), "beam %d of %+v", i, g)
		reason := executor.FinishLength
		if want[i].End {
			reason = executor.FinishEnd
		}
		require.Equal(t, reason, r.FinishReason, "beam %d of %+v", i, g)
		require.InDelta(t, want[i].Cum, r.CumLogProb, 5e-4, "beam %d of %+v", i, g)
		sum := 0.0
		for _, p := range r.LogProbs {
			sum += float64(p)
		}
		if want[i].End { // its log-prob counts, too
			require.Greater(t, sum, want[i].Cum)
		} else {
			require.InDelta(t, want[i].Cum, sum, 5e-4)
		}
	}
}
