package evaluator_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// Sizes of the attention that is tested: one layer of two, blocks of 2 tokens.
const (
	heads, kvHeads, headSize, rotaryDim = 4, 2, 4, 2
	positions                           = 16
	width                               = (heads + 2*kvHeads) * headSize
)

// attentionCase is what is tested of GPTAttention.
type attentionCase struct {
	position int64 // 0 none, 1 neighbours turn, 2 halves turn
	scaling  float32
	window   int64
	cache    float32 // scale of an FP8 cache; 0 is none
	output   float32 // scale of FP8 output; 0 is none
	paged    int64
}

// fields of the plugin, all of them.
func (c attentionCase) fields() []graph.Field {
	list := []graph.Field{
		graph.Float32Field("q_scaling", c.scaling), graph.Float32Field("attn_logit_softcapping_scale", 0), graph.Float32Field("rotary_embedding_base", 1),
		graph.Float32Field("rotary_embedding_scale", 1), graph.Float32Field("rotary_embedding_short_m_scale", 1), graph.Float32Field("rotary_embedding_long_m_scale", 1),
		graph.Int32Field("cp_group", 0),
	}
	quantised, fp8, dim := int64(0), int64(0), int64(0)
	if c.cache > 0 {
		quantised = 128
	}
	if c.output > 0 {
		fp8 = 1
	}
	if c.position > 0 {
		dim = rotaryDim
	}
	for name, v := range map[string]int64{
		"layer_idx": 1, "num_heads": heads, "num_kv_heads": kvHeads, "num_kv_heads_origin": kvHeads, "head_size": headSize, "vision_start": -1, "vision_length": -1,
		"unidirectional": 1, "rotary_embedding_dim": dim, "rotary_embedding_max_positions": positions, "rotary_embedding_original_max_positions": 1024,
		"tp_size": 1, "tp_rank": 0, "kv_cache_quant_mode": quantised, "mask_type": 1, "block_sparse_block_size": 64, "block_sparse_num_local_blocks": 16,
		"block_sparse_vertical_stride": 8, "paged_kv_cache": 1, "tokens_per_block": 2, "type_id": 0, "max_context_length": 8, "max_distance": 0, "use_cache": 1,
		"spec_decoding_max_generation_length": 1, "q_lora_rank": 0, "kv_lora_rank": 0, "qk_nope_head_dim": 0, "qk_rope_head_dim": 0, "v_head_dim": 0,
		"cp_size": 1, "cp_rank": 0,
	} {
		list = append(list, graph.Int32Field(name, v))
	}
	for name, v := range map[string]int64{
		"position_embedding_type": c.position, "rotary_embedding_scale_type": 0, "unfuse_qkv_gemm": 0, "use_logn_scaling": 0, "context_fmha_type": 1, "remove_input_padding": 1,
		"block_sparse_homo_head_pattern": 0, "qkv_bias_enabled": 0, "do_cross_attention": 0, "pos_shift_enabled": 0, "dense_context_fmha": 0,
		"use_paged_context_fmha": c.paged, "use_fp8_context_fmha": fp8, "has_full_attention_mask": 0, "is_spec_decoding_enabled": 0,
		"spec_decoding_is_generation_length_variable": 0, "is_mla_enabled": 0, "fuse_fp4_quant": 0, "skip_attn": 0,
	} {
		list = append(list, graph.Int8Field(name, v))
	}
	return list
}

func frequency() float32 { return .7 }

// network is the plugin alone, with the runtime's inputs.
func (c attentionCase) network(t *testing.T, change func(p *graph.Plugin)) *graph.Network {
	t.Helper()
	b := graph.NewBuilder("test")
	b.At("attention")
	n, s, batch := graph.Dynamic("tokens"), graph.Dynamic("sequences"), graph.Dynamic("")
	one := func(values ...float32) *graph.Tensor {
		data := make([]byte, 4*len(values))
		floatformat.Encode(data, values, "F32")
		return b.Constant(graph.Literal("c", graph.Float, []int64{int64(len(values))}, data))
	}
	blocks := []graph.Dim{graph.Fixed(1), s, graph.Fixed(2), graph.Dynamic("")}
	in := []*graph.Tensor{
		b.Input("qkv", graph.Float, n, graph.Fixed(width)), b.Input("sequence_length", graph.Int32, s), b.HostInput("host_past_key_value_lengths", graph.Int32, s),
		b.HostInput("host_max_attention_window_sizes", graph.Int32, graph.Fixed(2)), b.HostInput("host_sink_token_length", graph.Int32, graph.Fixed(1)),
		b.Input("context_lengths", graph.Int32, s), b.Input("cache_indirection", graph.Int32, batch, batch, batch), b.HostInput("host_request_types", graph.Int32, s),
		b.Input("kv_cache_block_offsets", graph.Int32, blocks...), b.HostInput("host_kv_cache_block_offsets", graph.Int32, blocks...),
		b.HostInput("host_kv_cache_pool_pointers", graph.Int64, graph.Fixed(1), graph.Fixed(2)), b.HostInput("host_kv_cache_pool_mapping", graph.Int32, graph.Fixed(2), graph.Fixed(2)),
	}
	if c.cache > 0 {
		in = append(in, one(1/c.cache), one(c.cache))
	}
	out := graph.Float
	if c.output > 0 {
		in, out = append(in, one(1/c.output)), graph.FP8
	}
	if c.position > 0 {
		var table []float32
		for p := range positions {
			angle := float64(p) * float64(frequency())
			table = append(table, float32(math.Cos(angle)), float32(math.Sin(angle)))
		}
		in = append(in, one(frequency()), b.Reshape(one(table...), graph.Fixed(1), graph.Fixed(int64(len(table)))))
	}
	in = append(in, b.HostInput("host_context_lengths", graph.Int32, s), b.HostInput("host_runtime_perf_knobs", graph.Int64, graph.Fixed(16)),
		b.HostInput("host_context_progress", graph.Int64, graph.Fixed(1)))
	p := graph.Plugin{Creator: "GPTAttention", Version: "1", Namespace: "tensorrt_llm", Attributes: c.fields(),
		Outputs: []graph.Tensor{{Type: out, Shape: graph.Shape{n, graph.Fixed(heads * headSize)}}}}
	if change != nil {
		change(&p)
	}
	b.Output("y", b.Add(p, in...)[0])
	net, err := b.Network()
	require.NoError(t, err)
	return net
}

// naive is attention after every token of a sequence, from the textbook. fp8 gives the cache's rounding.
func (c attentionCase) naive(qkv [][]float32) [][]float64 {
	round := func(v float64) float64 {
		if c.cache == 0 {
			return v
		}
		return float64(floatformat.FromE4M3(floatformat.ToE4M3(float32(v)*(1/c.cache)))) * float64(c.cache)
	}
	turned := make([][]float64, len(qkv))
	for p, row := range qkv {
		for i, v := range row {
			x := float64(v)
			h, d := i/headSize, i%headSize
			if pair := d < rotaryDim; c.position > 0 && pair && h < heads+kvHeads { // of 2 that turn, halves and neighbours are one pair
				a, b := float64(row[h*headSize]), float64(row[h*headSize+1])
				sin, cos := math.Sincos(float64(p) * float64(frequency()))
				x = []float64{a*cos - b*sin, b*cos + a*sin}[d]
			}
			if h >= heads {
				x = round(x)
			}
			turned[p] = append(turned[p], x)
		}
	}
	out := make([][]float64, len(qkv))
	for p := range qkv {
		for h := range heads {
			sum, values := 0.0, make([]float64, headSize)
			for past := max(0, p-int(c.window)+1); past <= p; past++ {
				kv, score := heads+h/2, 0.0
				for d := range headSize {
					score += turned[p][h*headSize+d] * turned[past][kv*headSize+d]
				}
				weight := math.Exp(score / float64(c.scaling) / 2) // √4
				sum += weight
				for d := range headSize {
					values[d] += weight * turned[past][(kv+kvHeads)*headSize+d]
				}
			}
			for _, v := range values {
				v /= sum
				if c.output > 0 {
					v = float64(floatformat.FromE4M3(floatformat.ToE4M3(float32(v) * (1 / c.output))))
				}
				out[p] = append(out[p], v)
			}
		}
	}
	return out
}

// attentionBatch is a step of sequences, each with its tokens up to now and how many are new; a
// context has kind 0.
type attentionBatch struct {
	kind, length, fresh []int32
	prompt              int32
	tables              [][]int32 // blocks of each
}

func (b attentionBatch) inputs(sequences [][][]float32, pool, window int64) map[string]*evaluator.Tensor {
	var qkv []float32
	var past, context []int32
	blocks := len(b.tables[0])
	offsets := make([]int32, 2*blocks*len(b.tables))
	for i, length := range b.length {
		for _, row := range sequences[i][length-b.fresh[i] : length] {
			qkv = append(qkv, row...)
		}
		past, context = append(past, length-b.kind[i]), append(context, b.fresh[i])
		if b.kind[i] == 1 {
			context[i] = b.prompt
		}
		for k, block := range b.tables[i] { // 2 layers; keys, then values
			offsets[2*i*blocks+k], offsets[(2*i+1)*blocks+k] = block*4, block*4+1
		}
	}
	n := int64(len(b.length))
	vector := func(values []int32) *evaluator.Tensor { return evaluator.Int32s(values, n) }
	table := evaluator.Int32s(offsets, 1, n, 2, int64(blocks))
	return map[string]*evaluator.Tensor{
		"qkv":             evaluator.Floats(graph.Float, qkv, int64(len(qkv)/width), width),
		"sequence_length": vector(b.length), "host_past_key_value_lengths": vector(past), "host_max_attention_window_sizes": evaluator.Int32s([]int32{99, int32(window)}, 2),
		"host_sink_token_length": evaluator.Int32s([]int32{0}, 1), "context_lengths": vector(context), "host_context_lengths": vector(context),
		"cache_indirection": evaluator.Int32s(make([]int32, 8), 1, 1, 8), "host_request_types": vector(b.kind),
		"kv_cache_block_offsets": table, "host_kv_cache_block_offsets": table,
		"host_kv_cache_pool_pointers": evaluator.Ints(graph.Int64, []int64{pool, 0}, 1, 2), "host_kv_cache_pool_mapping": evaluator.Int32s([]int32{0, 0, 0, 1}, 2, 2),
		"host_runtime_perf_knobs": wide(make([]int64, 16)...), "host_context_progress": wide(0),
	}
}

// One plugin over three steps - a chunk of a prompt beside another prompt, the rest of it beside a token
// that is generated, tokens of both - gives textbook attention.
func TestGPTAttention(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	sequences := make([][][]float32, 2)
	for i := range sequences {
		for range 7 {
			row := make([]float32, width)
			for k := range row {
				row[k] = float32(chance.NormFloat64())
			}
			sequences[i] = append(sequences[i], row)
		}
	}
	for name, c := range map[string]attentionCase{
		"plain":             {0, 1, 99, 0, 0, 1},
		"halves turn":       {2, 1, 99, 0, 0, 1},
		"neighbours turn":   {1, 1, 99, 0, 0, 1},
		"scaled":            {2, 3, 99, 0, 0, 1},
		"window":            {2, 1, 3, 0, 0, 1},
		"FP8 cache":         {2, 1, 99, .01, 0, 1},
		"FP8 output":        {2, 1, 99, 0, .02, 1},
		"FP8 of both":       {2, 1, 2, .03, .02, 1},
		"contexts, unpaged": {2, 1, 99, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			memory, bytes := &evaluator.Memory{}, int64(4)
			if c.cache > 0 {
				bytes = 1
			}
			pool := memory.Allocate(8*2*2*2*kvHeads*headSize, bytes)
			e, err := evaluator.New(c.network(t, nil), evaluator.Options{Memory: memory})
			require.NoError(t, err)
			want := [][][]float64{c.naive(sequences[0]), c.naive(sequences[1])}
			first, second := []int32{5, 2, 7, 0}, []int32{1, 6, 3, 4}
			for _, step := range []struct {
				batch attentionBatch
				order []int // which sequences
			}{
				{attentionBatch{[]int32{0, 0}, []int32{3, 4}, []int32{3, 4}, 4, [][]int32{first, second}}, []int{0, 1}},
				{attentionBatch{[]int32{0, 1}, []int32{5, 5}, []int32{2, 1}, 4, [][]int32{first, second}}, []int{0, 1}},
				{attentionBatch{[]int32{1, 1}, []int32{6, 6}, []int32{1, 1}, 4, [][]int32{second, first}}, []int{1, 0}},
			} {
				var own [][][]float32
				var rows []float64
				for i, s := range step.order {
					own = append(own, sequences[s])
					for p := step.batch.length[i] - step.batch.fresh[i]; p < step.batch.length[i]; p++ {
						rows = append(rows, want[s][p]...)
					}
				}
				out, err := e.Run(step.batch.inputs(own, pool, c.window))
				require.NoError(t, err)
				require.Len(t, out["y"].Float, len(rows))
				for i, v := range rows {
					require.InDelta(t, v, out["y"].Float[i], 2e-6*max(1, math.Abs(v)), "%d", i)
				}
			}
		})
	}
}

// What contradicts itself is refused.
func TestGPTAttentionRefuses(t *testing.T) {
	row := make([]float32, width)
	sequence := [][]float32{row, row, row}
	c := attentionCase{2, 1, 99, 0, 0, 1}
	set := func(name string, v int64) func(p *graph.Plugin) {
		return func(p *graph.Plugin) {
			for i := range p.Attributes {
				if p.Attributes[i].Name == name {
					p.Attributes[i].Ints = []int64{v}
				}
			}
		}
	}
	for want, change := range map[string]func(p *graph.Plugin){
		"field use_cache is 0; the evaluator has only 1":                    set("use_cache", 0),
		"position_embedding_type 0 does not go with rotary_embedding_dim 2": set("position_embedding_type", 0),
		"the evaluator has no kv_cache_quant_mode 64":                       set("kv_cache_quant_mode", 64),
		"4 heads of size 4, 3 KV heads":                                     set("num_kv_heads", 3),
		"q‖k‖v has 32 columns, want 48":                                     set("num_kv_heads", 4),
		"type_id 6 is no floating-point type":                               set("type_id", 6),
		"input 0 is FLOAT[3 32], qkv is HALF of rank 2":                     set("type_id", 1),
		"1 frequencies and 32 cosines and sines for 8 positions of 2":       set("rotary_embedding_max_positions", 8),
		"layer 2 of 2 windows":                                              set("layer_idx", 2),
		"input 13 is FLOAT[1 32], kv_quant_orig_scale is FLOAT of rank 1":   set("kv_cache_quant_mode", 128),
		"input 13 is FLOAT[1 32], rotary_inv_freq is FLOAT of rank 1":       set("use_fp8_context_fmha", 1),
		"input 12 is in the wrong memory for host_context_lengths":          func(p *graph.Plugin) { set("position_embedding_type", 0)(p); set("rotary_embedding_dim", 0)(p) },
		"position 2 of sequence 0 is outside the block table [1 1 2 2]":     set("tokens_per_block", 1),
		"request 0: nothing is at address":                                  set("tokens_per_block", 64),
		"use_fp8_context_fmha without context_fmha_type":                    func(p *graph.Plugin) { set("use_fp8_context_fmha", 1)(p); set("context_fmha_type", 0)(p) },
		"field qk_rope_head_dim is 1; the evaluator has only 0":             set("qk_rope_head_dim", 1),
		"the evaluator has no attn_logit_softcapping_scale, it is 30":       func(p *graph.Plugin) { p.Attributes[1].Floats = []float32{30} },
	} {
		t.Run(want, func(t *testing.T) {
			memory := &evaluator.Memory{}
			pool := memory.Allocate(8*2*2*2*kvHeads*headSize, 4)
			e, err := evaluator.New(c.network(t, change), evaluator.Options{Memory: memory})
			require.NoError(t, err)
			_, err = e.Run(attentionBatch{[]int32{0}, []int32{3}, []int32{3}, 3, [][]int32{{1, 2}}}.inputs([][][]float32{sequence}, pool, 99))
			require.ErrorContains(t, err, want)
		})
	}
}

// Vectors of a step that do not agree are refused.
func TestGPTAttentionRefusesBatches(t *testing.T) {
	row := make([]float32, width)
	sequence := [][]float32{row, row, row}
	type inputs = map[string]*evaluator.Tensor
	for want, change := range map[string]func(in inputs){
		"request 1 is a context behind a generation": func(in inputs) {
			in["host_request_types"], in["host_past_key_value_lengths"] = evaluator.Int32s([]int32{1, 0}, 2), evaluator.Int32s([]int32{2, 3}, 2)
		},
		"request 0 has type 2":                                func(in inputs) { in["host_request_types"] = evaluator.Int32s([]int32{2, 0}, 2) },
		"request 1 of type 0 has sequence_length 3, host_pas": func(in inputs) { in["host_past_key_value_lengths"] = evaluator.Int32s([]int32{3, 2}, 2) },
		"the requests have 4 tokens, q‖k‖v 6 rows": func(in inputs) {
			in["host_request_types"], in["host_past_key_value_lengths"] = evaluator.Int32s([]int32{0, 1}, 2), evaluator.Int32s([]int32{3, 2}, 2)
		},
		"block offset 0 is 4, on the host 0": func(in inputs) { in["host_kv_cache_block_offsets"] = evaluator.Int32s(make([]int32, 8), 1, 2, 2, 2) },
		"the evaluator has no sink tokens":   func(in inputs) { in["host_sink_token_length"] = evaluator.Int32s([]int32{4}, 1) },
		"layer 1 is in pool 1 of 1":          func(in inputs) { in["host_kv_cache_pool_mapping"] = evaluator.Int32s([]int32{0, 0, 1, 0}, 2, 2) },
		"nothing is at address":              func(in inputs) { in["host_kv_cache_pool_pointers"] = evaluator.Ints(graph.Int64, []int64{8, 0}, 1, 2) },
	} {
		memory := &evaluator.Memory{}
		pool := memory.Allocate(8*2*2*2*kvHeads*headSize, 4)
		e, err := evaluator.New(attentionCase{2, 1, 99, 0, 0, 1}.network(t, nil), evaluator.Options{Memory: memory})
		require.NoError(t, err)
		in := attentionBatch{[]int32{0, 0}, []int32{3, 3}, []int32{3, 3}, 3, [][]int32{{1, 2}, {3, 4}}}.inputs([][][]float32{sequence, sequence}, pool, 99)
		change(in)
		_, err = e.Run(in)
		require.ErrorContains(t, err, want)
	}
}
