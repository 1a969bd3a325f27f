package evaluator_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
)

// echo is an engine whose logits [tokens, 4] are ids and positions, twice: it shows how the
// runtime lays a step out. It wants other inputs, too, and reads none.
func echo(t *testing.T, logits graph.DataType, extra ...string) *graph.Network {
	t.Helper()
	b := graph.NewBuilder("rank0")
	n := graph.Dynamic("num_tokens")
	ids, positions := b.Input("input_ids", graph.Int32, n), b.Input("position_ids", graph.Int32, n)
	for _, name := range extra {
		b.Input(name, graph.Int32, graph.Dynamic(""))
	}
	columns := []*graph.Tensor{}
	for _, x := range []*graph.Tensor{ids, positions, ids, positions} {
		columns = append(columns, b.Reshape(x, n, graph.Fixed(1)))
	}
	b.Output("logits", b.Cast(b.Concatenate(1, columns...), logits))
	net, err := b.Network()
	require.NoError(t, err)
	return net
}

func echoConfig() evaluator.Config {
	return evaluator.Config{TPSize: 1, PPSize: 1, NumLayers: 2, NumKVHeads: 1, HeadSize: 1, HiddenSize: 4, CacheBytes: 2, TokensPerBlock: 2,
		MaxBatchSize: 2, MaxBeamWidth: 1, MaxSeqLen: 8, GatherContextLogits: true, VocabSize: 4, LogitsType: graph.Float}
}

func echoRuntime(t *testing.T, net *graph.Network, c evaluator.Config, blocks int) *evaluator.Runtime {
	t.Helper()
	r, err := evaluator.NewRuntime([]*graph.Network{net}, []graph.Source{nil}, c, false, blocks)
	require.NoError(t, err)
	return r
}

func TestStep(t *testing.T) {
	r := echoRuntime(t, echo(t, graph.Float, "sequence_length", "host_context_lengths"), echoConfig(), 8)
	a, b := r.Add([]int32{10, 11, 12}), r.Add([]int32{20, 21})
	got, err := r.Step([]evaluator.Work{{Sequence: a, Tokens: 2}, {Sequence: b, Tokens: 2}})
	require.NoError(t, err)
	require.Equal(t, [][][]float32{{{10, 0, 10, 0}, {11, 1, 11, 1}}, {{20, 0, 20, 0}, {21, 1, 21, 1}}}, got)
	b.Append([]int32{22}, nil)
	got, err = r.Step([]evaluator.Work{{Sequence: a, Tokens: 1}, {Sequence: b}})
	require.NoError(t, err)
	require.Equal(t, [][][]float32{{{12, 2, 12, 2}}, {{22, 2, 22, 2}}}, got)
	require.Equal(t, []int32{20, 21, 22}, b.Tokens(0))
	require.Zero(t, a.Left())
}

func TestStepRefuses(t *testing.T) {
	net := echo(t, graph.Float)
	for want, step := range map[string]func(r *evaluator.Runtime) []evaluator.Work{
		"3 tokens of a sequence that has 2 left": func(r *evaluator.Runtime) []evaluator.Work {
			return []evaluator.Work{{Sequence: r.Add([]int32{1, 2}), Tokens: 3}}
		},
		"0 tokens of a sequence that has 2 left": func(r *evaluator.Runtime) []evaluator.Work { return []evaluator.Work{{Sequence: r.Add([]int32{1, 2})}} },
		"work 1: a context behind a generation": func(r *evaluator.Runtime) []evaluator.Work {
			a := r.Add([]int32{1})
			_, err := r.Step([]evaluator.Work{{Sequence: a, Tokens: 1}})
			require.NoError(t, err)
			a.Append([]int32{2}, nil)
			return []evaluator.Work{{Sequence: a}, {Sequence: r.Add([]int32{1}), Tokens: 1}}
		},
		"no block of the KV cache is left": func(r *evaluator.Runtime) []evaluator.Work {
			return []evaluator.Work{{Sequence: r.Add([]int32{1, 2, 3, 4, 5}), Tokens: 5}}
		},
	} {
		r := echoRuntime(t, net, echoConfig(), 2)
		_, err := r.Step(step(r))
		require.ErrorContains(t, err, want)
	}
	one := func(r *evaluator.Runtime) []evaluator.Work {
		return []evaluator.Work{{Sequence: r.Add([]int32{1}), Tokens: 1}}
	}
	r := echoRuntime(t, echo(t, graph.Float, "lora_ranks"), echoConfig(), 2)
	_, err := r.Step(one(r))
	require.ErrorContains(t, err, "rank 0: input lora_ranks, INT32[?], is not bound")
	r = echoRuntime(t, echo(t, graph.Half), echoConfig(), 2)
	_, err = r.Step(one(r))
	require.ErrorContains(t, err, "rank 0 has logits HALF[1 4], the runtime expects FLOAT[1 4]")
	c := echoConfig()
	c.VocabSize = 5
	r = echoRuntime(t, net, c, 2)
	_, err = r.Step(one(r))
	require.ErrorContains(t, err, "the runtime expects FLOAT[1 5]")
	c.TPSize = 2
	_, err = evaluator.NewRuntime([]*graph.Network{net}, []graph.Source{nil}, c, false, 2)
	require.ErrorContains(t, err, "1 networks and 1 checkpoints for tp_size 2 and pp_size 1")
}

// slotted is an engine without plugins whose logits are ids and positions, and whose cache keeps ids.
func slotted(t *testing.T) *evaluator.Slots {
	t.Helper()
	b := graph.NewBuilder("rank0")
	batch, steps := graph.Dynamic("batch_size"), graph.Dynamic("sequence_length")
	ids, positions := b.Input("input_ids", graph.Int32, batch, steps), b.Input("position_ids", graph.Int32, batch, steps)
	cache := b.Input("k_cache_0", graph.Float, batch, graph.Fixed(1), graph.Fixed(8), graph.Fixed(1))
	rows := b.ReshapeTo(ids, b.Concatenate(0, b.ShapeOf(ids), b.Scalars(graph.Int64, []int64{2}, 1, 1)), batch, steps, graph.Fixed(1), graph.Fixed(1))
	update := b.Transpose(b.Cast(rows, graph.Float), 0, 2, 1, 3)
	b.Output("updated_k_cache_0", b.Add(graph.KVCacheUpdate{}, cache, update, b.Input("write_indices", graph.Int32, batch))[0])
	column := func(x *graph.Tensor) *graph.Tensor {
		return b.ReshapeTo(b.Cast(x, graph.Float), b.Concatenate(0, b.ShapeOf(x), b.Scalars(graph.Int64, []int64{1}, 1)), batch, steps, graph.Fixed(1))
	}
	b.Output("logits", b.Concatenate(2, column(ids), column(positions)))
	net, err := b.Network()
	require.NoError(t, err)
	s, err := evaluator.NewSlots(net, nil, evaluator.SlotsConfig{MaxSeqLen: 8, GatherContextLogits: true, VocabSize: 2}, false)
	require.NoError(t, err)
	return s
}

func TestSlots(t *testing.T) {
	s := slotted(t)
	var caches []*evaluator.Tensor
	s.Bound = func(inputs map[string]*evaluator.Tensor) { caches = append(caches, inputs["k_cache_0"]) }
	a := s.Add([]int32{10, 11, 12})
	got, err := s.Step([]evaluator.Work{{Sequence: a, Tokens: 2}})
	require.NoError(t, err)
	require.Equal(t, [][][]float32{{{10, 0}, {11, 1}}}, got)
	b := s.Add([]int32{20})
	got, err = s.Step([]evaluator.Work{{Sequence: b, Tokens: 1}, {Sequence: a, Tokens: 1}})
	require.NoError(t, err)
	require.Equal(t, [][][]float32{{{20, 0}}, {{12, 2}}}, got)
	b.Append([]int32{21}, nil)
	got, err = s.Step([]evaluator.Work{{Sequence: b}})
	require.NoError(t, err)
	require.Equal(t, [][][]float32{{{21, 1}}}, got)
	// What a step wrote is in the next one's cache; nothing else is 0. The idle slot's padding lies behind its tokens.
	require.Equal(t, []float32{10, 11, 1000, 1000}, caches[1].Float[:4])
	require.Equal(t, []float32{10, 11, 12, 1000}, caches[2].Float[:4])
	require.Equal(t, []float32{20, 1000}, caches[2].Float[8:10])

	_, err = s.Step([]evaluator.Work{{Sequence: b}})
	require.ErrorContains(t, err, "1 tokens of a sequence with 0")
	_, err = s.Step([]evaluator.Work{{Sequence: slotted(t).Add([]int32{1}), Tokens: 1}})
	require.ErrorContains(t, err, "1 tokens of a sequence with 1")
}
