package tensorrt

import (
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// Numbers of upstream's enumerations.
const (
	positionLearned, positionRopeNeoX = 0, 2 // PositionEmbeddingType
	maskCausal                        = 1    // AttentionMaskType
	strategyNCCL, fusionNone          = 0, 0 // AllReduceStrategy, AllReduceFusionOp
	unused                            = -1
)

// quantModes are the bits of QuantMode that an algorithm sets.
var quantModes = map[string]int64{"": 0, "W4A16": 1 << 0, "W8A16": 1 << 1, "W4A16_AWQ": 1<<0 | 1<<5, "FP8": 1 << 8}

const quantModeFP8Cache = 1 << 7

// scaleTypes are RotaryScalingType.
var scaleTypes = map[string]int64{"none": 0, "linear": 1, "dynamic": 2, "longrope": 3, "llama3": 4, "yarn": 5}

// gptAttentionFields are those of GPTAttention 1.
var gptAttentionFields = []pluginField[attention]{
	i32("layer_idx", func(a attention) int64 { return int64(a.o.Layer) }),
	i32("num_heads", func(a attention) int64 { return int64(a.o.Heads) }),
	i32("vision_start", always[attention, int64](unused)),
	i32("vision_length", always[attention, int64](unused)),
	i32("num_kv_heads", func(a attention) int64 { return int64(a.o.KVHeads) }),
	i32("num_kv_heads_origin", func(a attention) int64 { return int64(a.o.KVHeadsAll) }),
	i32("head_size", func(a attention) int64 { return int64(a.o.HeadSize) }),
	i32("unidirectional", always[attention, int64](1)),
	f32("q_scaling", attention.qScaling),
	f32("attn_logit_softcapping_scale", always[attention, float32](0)),
	i8("position_embedding_type", func(a attention) int64 {
		if a.o.Rotary == nil {
			return positionLearned
		}
		return positionRopeNeoX
	}),
	i32("rotary_embedding_dim", rotaryInt(0, func(r *network.Rotary) int64 { return int64(r.Dim) })),
	f32("rotary_embedding_base", rotaryFloat(10000, func(r *network.Rotary) float32 { return float32(r.Base) })),
	i8("rotary_embedding_scale_type", rotaryInt(0, func(r *network.Rotary) int64 { return scaleTypes[r.Scaling] })),
	f32("rotary_embedding_scale", rotaryFloat(1, func(r *network.Rotary) float32 { return float32(r.Factor) })),
	f32("rotary_embedding_short_m_scale", always[attention, float32](1)),
	f32("rotary_embedding_long_m_scale", always[attention, float32](1)),
	i32("rotary_embedding_max_positions", func(a attention) int64 { return int64(a.p.positions()) }),
	i32("rotary_embedding_original_max_positions", always[attention, int64](1024)),
	i32("tp_size", func(a attention) int64 { return int64(a.p.net.Mapping.TPSize) }),
	i32("tp_rank", func(a attention) int64 { return int64(a.p.net.Mapping.TPRank()) }),
	i8("unfuse_qkv_gemm", always[attention, int64](0)),
	i8("use_logn_scaling", always[attention, int64](0)),
	i8("context_fmha_type", func(a attention) int64 { return truth(a.p.plugins.ContextFMHA) }),
	i32("kv_cache_quant_mode", attention.quantMode),
	i8("remove_input_padding", always[attention, int64](1)),
	i32("mask_type", always[attention, int64](maskCausal)),
	i32("block_sparse_block_size", always[attention, int64](64)),
	i8("block_sparse_homo_head_pattern", always[attention, int64](0)),
	i32("block_sparse_num_local_blocks", always[attention, int64](16)),
	i32("block_sparse_vertical_stride", always[attention, int64](8)),
	i32("paged_kv_cache", always[attention, int64](1)),
	i32("tokens_per_block", func(a attention) int64 { return int64(a.p.plugins.TokensPerBlock) }),
	i32("type_id", func(a attention) int64 { return int64(a.p.dtype.Number()) }),
	i32("max_context_length", func(a attention) int64 { return int64(a.p.o.MaxInputLen) }),
	i8("qkv_bias_enabled", always[attention, int64](0)),
	i8("do_cross_attention", always[attention, int64](0)),
	i32("max_distance", always[attention, int64](0)),
	i8("pos_shift_enabled", func(a attention) int64 { return truth(a.p.plugins.StreamingLLM) }),
	i8("dense_context_fmha", func(a attention) int64 { return truth(a.p.plugins.StreamingLLM) }),
	i8("use_paged_context_fmha", func(a attention) int64 { return truth(a.p.plugins.UsePagedContextFMHA) }),
	i8("use_fp8_context_fmha", func(a attention) int64 { return truth(a.p.outputScale(a.o) != nil) }),
	i8("has_full_attention_mask", always[attention, int64](0)),
	i32("use_cache", always[attention, int64](1)),
	i8("is_spec_decoding_enabled", always[attention, int64](0)),
	i8("spec_decoding_is_generation_length_variable", always[attention, int64](0)),
	i32("spec_decoding_max_generation_length", always[attention, int64](1)),
	i8("is_mla_enabled", always[attention, int64](0)),
	i32("q_lora_rank", always[attention, int64](0)),
	i32("kv_lora_rank", always[attention, int64](0)),
	i32("qk_nope_head_dim", always[attention, int64](0)),
	i32("qk_rope_head_dim", always[attention, int64](0)),
	i32("v_head_dim", always[attention, int64](0)),
	i8("fuse_fp4_quant", always[attention, int64](0)),
	i8("skip_attn", always[attention, int64](0)),
	i32("cp_size", always[attention, int64](1)),
	i32("cp_rank", always[attention, int64](0)),
	i32("cp_group", always[attention, int64](0)),
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// rotaryInt and rotaryFloat give a number of the rotary embedding, none where there is none.
func rotaryInt(none int64, value func(*network.Rotary) int64) func(attention) int64 {
	return func(a attention) int64 {
		if a.o.Rotary == nil {
			return none
		}
		return value(a.o.Rotary)
	}
}

func rotaryFloat(none float32, value func(*network.Rotary) float32) func(attention) float32 {
	return func(a attention) float32 {
		if a.o.Rotary == nil {
			return none
		}
		return value(a.o.Rotary)
	}
}

// gemmFields are those of Gemm 1.
var gemmFields = []pluginField[gemm]{
	i32("transa", always[gemm, int64](0)),
	i32("transb", always[gemm, int64](1)),
	i32("pad_lda", always[gemm, int64](0)),
	i32("pad_ldb", always[gemm, int64](0)),
	i32("pad_ldc", always[gemm, int64](0)),
	i32("type_id", func(g gemm) int64 { return int64(g.dtype.Number()) }),
	i32("use_fp8", func(g gemm) int64 { return truth(g.fp8) }),
	f32("alpha", func(g gemm) float32 { return g.alpha }),
}

// ranks is the field of a collective's group.
var ranks = pluginField[collective]{name: "group", dtype: graph.FieldInt32, ints: func(c collective) []int64 { return wide(c.group) }}

var typeOfCollective = i32("type_id", func(c collective) int64 { return int64(c.dtype.Number()) })

// allReduceFields and those below are the fields of the collectives, each of version 1.
var allReduceFields = []pluginField[collective]{
	ranks, typeOfCollective,
	i8("strategy", always[collective, int64](strategyNCCL)),
	i8("fusion_op", always[collective, int64](fusionNone)),
	f32("eps", always[collective, float32](1e-6)), // of a fused norm: unused
	i8("affine", always[collective, int64](0)),
	i8("bias", always[collective, int64](0)),
	i8("scale", always[collective, int64](0)),
}

var allGatherFields = []pluginField[collective]{ranks, typeOfCollective}

var (
	sendFields = []pluginField[collective]{i32("tgt_rank", func(c collective) int64 { return int64(c.peer) }), typeOfCollective}
	recvFields = []pluginField[collective]{i32("src_rank", func(c collective) int64 { return int64(c.peer) }), typeOfCollective}
)
