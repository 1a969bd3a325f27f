package evaluator

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// Bits of kv_cache_quant_mode, TensorRT-LLM's QuantMode. It says how linears are quantised as well,
// by integers, groups of them or FP8, which attention does not read.
const (
	fp8KVCache  = 1 << 7
	otherLinear = 1<<0 | 1<<1 | 1<<5 | 1<<8
)

// gptFields are the fields that say what GPTAttention computes.
type gptFields struct {
	layer, heads, kvHeads, headSize int
	scale                           float32 // of the scores
	rotaryDim                       int     // 0 where there is none
	interleaved                     bool    // pairs are neighbours (rope_gptj)
	maxPositions                    int
	fp8Cache, pagedContext          bool
	fp8Output                       bool // use_fp8_context_fmha: a linear of FP8 comes next
	tokensPerBlock                  int
	dtype                           graph.DataType
}

// unused are fields that must be as a decoder without the feature has them.
var unused = []struct {
	name string
	t    graph.FieldType
	want int
}{
	{"vision_start", graph.FieldInt32, -1}, {"vision_length", graph.FieldInt32, -1}, {"unidirectional", graph.FieldInt32, 1},
	{"unfuse_qkv_gemm", graph.FieldInt8, 0}, {"use_logn_scaling", graph.FieldInt8, 0}, {"remove_input_padding", graph.FieldInt8, 1},
	{"mask_type", graph.FieldInt32, 1}, {"block_sparse_homo_head_pattern", graph.FieldInt8, 0}, {"paged_kv_cache", graph.FieldInt32, 1},
	{"qkv_bias_enabled", graph.FieldInt8, 0}, {"do_cross_attention", graph.FieldInt8, 0}, {"max_distance", graph.FieldInt32, 0},
	{"pos_shift_enabled", graph.FieldInt8, 0}, {"dense_context_fmha", graph.FieldInt8, 0},
	{"has_full_attention_mask", graph.FieldInt8, 0}, {"use_cache", graph.FieldInt32, 1}, {"is_spec_decoding_enabled", graph.FieldInt8, 0},
	{"spec_decoding_is_generation_length_variable", graph.FieldInt8, 0}, {"spec_decoding_max_generation_length", graph.FieldInt32, 1},
	{"is_mla_enabled", graph.FieldInt8, 0}, {"q_lora_rank", graph.FieldInt32, 0}, {"kv_lora_rank", graph.FieldInt32, 0},
	{"qk_nope_head_dim", graph.FieldInt32, 0}, {"qk_rope_head_dim", graph.FieldInt32, 0}, {"v_head_dim", graph.FieldInt32, 0},
	{"fuse_fp4_quant", graph.FieldInt8, 0}, {"skip_attn", graph.FieldInt8, 0}, {"cp_size", graph.FieldInt32, 1}, {"cp_rank", graph.FieldInt32, 0},
}

// gptFieldsOf parses all fields of release 1.2.
func gptFieldsOf(f *fields) (gptFields, error) {
	g := gptFields{
		layer: f.int32("layer_idx"), heads: f.int32("num_heads"), kvHeads: f.int32("num_kv_heads"), headSize: f.int32("head_size"),
		rotaryDim: f.int32("rotary_embedding_dim"), maxPositions: f.int32("rotary_embedding_max_positions"),
		pagedContext: f.int8("use_paged_context_fmha") != 0, tokensPerBlock: f.int32("tokens_per_block"),
	}
	for _, u := range unused {
		f.must(u.name, f.integer(u.name, u.t), u.want)
	}
	for _, name := range []string{"num_kv_heads_origin", "rotary_embedding_original_max_positions", "tp_size", "tp_rank", "max_context_length",
		"block_sparse_block_size", "block_sparse_num_local_blocks", "block_sparse_vertical_stride"} {
		f.int32(name) // nothing that is computed here depends on them
	}
	f.int8("rotary_embedding_scale_type")
	g.fp8Output = f.int8("use_fp8_context_fmha") != 0
	if fused := f.int8("context_fmha_type"); g.fp8Output && fused == 0 {
		return g, fmt.Errorf("use_fp8_context_fmha without context_fmha_type")
	}
	for _, name := range []string{"rotary_embedding_base", "rotary_embedding_scale", "rotary_embedding_short_m_scale", "rotary_embedding_long_m_scale"} {
		f.float(name) // they are in the tables
	}
	f.find("cp_group", graph.FieldInt32, 1<<16)
	g.scale = float32(1 / (float64(f.float("q_scaling")) * math.Sqrt(float64(g.headSize))))
	if cap := f.float("attn_logit_softcapping_scale"); cap != 0 {
		return g, fmt.Errorf("the evaluator has no attn_logit_softcapping_scale, it is %g", cap)
	}
	mode := f.int32("kv_cache_quant_mode")
	g.fp8Cache = mode&fp8KVCache != 0
	if mode&^(fp8KVCache|otherLinear) != 0 {
		return g, fmt.Errorf("the evaluator has no kv_cache_quant_mode %d", mode)
	}
	position := f.int8("position_embedding_type")
	g.interleaved = position == 1
	if rope := position == 1 || position == 2; rope != (g.rotaryDim != 0) || position > 2 {
		return g, fmt.Errorf("position_embedding_type %d does not go with rotary_embedding_dim %d", position, g.rotaryDim)
	}
	var err error
	if g.dtype, err = dataType(f.int32("type_id")); err != nil {
		return g, err
	}
	if f.err == nil && (g.kvHeads < 1 || g.heads%g.kvHeads != 0 || g.headSize < 1 || g.rotaryDim > g.headSize || g.tokensPerBlock < 1) {
		return g, fmt.Errorf("%d heads of size %d, %d KV heads, %d of a head turning, %d tokens a block", g.heads, g.headSize, g.kvHeads, g.rotaryDim, g.tokensPerBlock)
	}
	return g, f.err
}
