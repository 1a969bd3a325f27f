package tensorrt_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// calls are what a rank's plugins took and gave in one run.
type calls struct {
	bound   map[string]*evaluator.Tensor
	in, out [][]*evaluator.Tensor
}

// observe notes the calls of each rank's plugins in a first step.
func observe(t testing.TB, e *engine, prompt []int32) []calls {
	t.Helper()
	r, seen := e.load(t, false), make([]calls, len(e.networks))
	for rank := range seen {
		own := r.Engine(rank)
		own.Bound = func(inputs map[string]*evaluator.Tensor) { seen[rank].bound = maps.Clone(inputs) }
		own.Observe = func(l *graph.Layer, in, out []*evaluator.Tensor) {
			if _, ok := l.Op.(graph.Plugin); ok {
				seen[rank].in, seen[rank].out = append(seen[rank].in, in), append(seen[rank].out, out)
			}
		}
	}
	_, err := r.Step([]evaluator.Work{{Sequence: r.Add(prompt), Tokens: len(prompt)}})
	require.NoError(t, err)
	return seen
}

// A network whose plugins were cut out computes what it computed between them: fed with what the
// plugins gave, it gives what they took.
func TestNumbersOfCutNetworks(t *testing.T) {
	auto := "auto"
	for name, c := range map[string]struct {
		dir  func(t testing.TB) string
		name string
		with []func(o *tensorrt.Options)
	}{
		"one rank": {func(t testing.TB) string { return tinycheckpoint.Dir(t, "llama-gqa", nil) }, "llama-gqa", nil},
		"ranks, GEMM plugin": {func(t testing.TB) string {
			return tinycheckpoint.Dir(t, "nemotron", divided(2, 2, embeddingDivided(0), func(c *checkpoint.Config) { c.Dtype = "float16" }))
		}, "nemotron", []func(o *tensorrt.Options){plugins(func(p *engineconfig.Plugin) { p.GemmPlugin = &auto })}},
		"FP8": {func(t testing.TB) string { return exported(t, "nemotron.fp8_kv", 1, 1) }, "nemotron", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := lowered(t, c.dir(t), options(append([]func(o *tensorrt.Options){small}, c.with...)...))
			for rank, seen := range observe(t, e, testmodel.Golden(t, c.name).Prompts[1]) {
				cut, err := graph.Cut(e.networks[rank])
				require.NoError(t, err)
				own, err := evaluator.New(cut, evaluator.Options{Source: e.sources[rank]})
				require.NoError(t, err)
				inputs := seen.bound
				for n := range seen.out {
					for k, x := range seen.out[n] {
						inputs[fmt.Sprintf("cut%d.out%d", n, k)] = x
					}
				}
				outputs, err := own.Run(inputs)
				require.NoError(t, err)
				compared := 0
				for n := range seen.in {
					for k, want := range seen.in[n] {
						if got, ok := outputs[fmt.Sprintf("cut%d.in%d", n, k)]; ok {
							require.Equal(t, want.Float, got.Float, "rank %d, plugin %d, input %d", rank, n, k)
							compared++
						}
					}
				}
				if _, ok := outputs["logits"]; ok {
					compared++
				}
				require.GreaterOrEqual(t, compared, 4)
				require.Len(t, outputs, compared)
			}
		})
	}
}
