// GPTAttention: by its definition in TensorRT-LLM 1.2.1.
#include "plugin.h"

namespace standin {
namespace {

constexpr PluginFieldType kI32 = PluginFieldType::kINT32;
constexpr PluginFieldType kI8 = PluginFieldType::kINT8;
constexpr PluginFieldType kF32 = PluginFieldType::kFLOAT32;

bool on(const Values& values, const char* name) { return value(values, name) != 0; }

// The FP8 context kernels write FP8.
bool fp8_output(const Values& v) { return on(v, "use_fp8_context_fmha") && on(v, "context_fmha_type"); }

// Position embeddings that rotate: rope_gptj, rope_gpt_neox, long_rope, yarn and mrope.
bool rotates(const Values& v) {
  const double type = value(v, "position_embedding_type");
  return type == 1 || type == 2 || type == 3 || type == 8 || type == 9;
}

// Inputs in order, as they are present by the fields.
std::vector<DataType> types(const Values& v) {
  const DataType type = type_of(v);
  const bool cache = on(v, "use_cache");
  const bool paged = cache && on(v, "paged_kv_cache");
  const bool quantised = cache && (static_cast<int>(value(v, "kv_cache_quant_mode")) & (64 | 128)) != 0;
  const struct {
    bool present;
    std::vector<DataType> types;
  } inputs[] = {
      {true, {type}},                                       // qkv
      {cache, {DataType::kINT32, DataType::kINT32}},        // sequence_length, host_past_key_value_lengths
      {true, {DataType::kINT32, DataType::kINT32}},         // host_max_attention_window_sizes,
                                                            // host_sink_token_length
      {true, {DataType::kINT32}},                           // context_lengths
      {cache, {DataType::kINT32}},                          // cache_indirection
      {true, {DataType::kINT32}},                           // host_request_types
      {paged, {DataType::kINT32, DataType::kINT32}},        // kv_cache_block_offsets on device and host
      {paged, {DataType::kINT64, DataType::kINT32}},        // host_kv_cache_pool_pointers and _mapping
      {quantised, {DataType::kFLOAT, DataType::kFLOAT}},    // kv_orig_quant_scale, kv_quant_orig_scale
      {on(v, "use_fp8_context_fmha"), {DataType::kFLOAT}},  // attention_output_orig_quant_scale
      {rotates(v), {DataType::kFLOAT, DataType::kFLOAT}},   // rotary_inv_freq, rotary_cos_sin
      {on(v, "remove_input_padding"), {DataType::kINT32}},  // host_context_lengths
      {on(v, "qkv_bias_enabled"), {type}},                  // qkv_bias
      {true, {DataType::kINT64, DataType::kINT64}},         // host_runtime_perf_knobs, host_context_progress
  };
  std::vector<DataType> all;
  for (const auto& input : inputs) {
    if (input.present) all.insert(all.end(), input.types.begin(), input.types.end());
  }
  all.push_back(fp8_output(v) ? DataType::kFP8 : type);
  return all;
}

Shape shape(const Values& v, const Shape* inputs, Shapes& builder) {
  Shape output = inputs[0];
  const auto heads = static_cast<int64_t>(value(v, "num_heads"));
  const auto kv_heads = static_cast<int64_t>(value(v, "num_kv_heads"));
  const auto size = static_cast<int64_t>(value(v, "head_size"));
  const nvinfer1::IDimensionExpr* width = output.nbDims == 2 ? output.d[1] : nullptr;
  if (width == nullptr || !width->isConstant() || width->getConstantValue() != (heads + 2 * kv_heads) * size) return {};
  output.d[1] = builder.constant(heads * size);
  return output;
}

}  // namespace

const Definition kGPTAttention = {
    "GPTAttention",
    {
        {"layer_idx", kI32},
        {"layer_idx_in_cache_pool", kI32, Known::kListed},
        {"num_heads", kI32},
        {"vision_start", kI32},
        {"vision_length", kI32},
        {"num_kv_heads", kI32},
        {"num_kv_heads_origin", kI32},
        {"head_size", kI32},
        {"unidirectional", kI32},
        {"q_scaling", kF32},
        {"attn_logit_softcapping_scale", kF32},
        {"position_embedding_type", kI8},
        {"rotary_embedding_dim", kI32},
        {"rotary_embedding_base", kF32},
        {"rotary_embedding_scale_type", kI8},
        {"rotary_embedding_scale", kF32},
        {"rotary_embedding_short_m_scale", kF32},
        {"rotary_embedding_long_m_scale", kF32},
        {"rotary_embedding_max_positions", kI32},
        {"rotary_embedding_original_max_positions", kI32},
        {"tp_size", kI32},
        {"tp_rank", kI32},
        {"unfuse_qkv_gemm", kI8},
        {"use_logn_scaling", kI8},
        {"context_fmha_type", kI8},
        {"kv_cache_quant_mode", kI32},
        {"remove_input_padding", kI8},
        {"mask_type", kI32},
        {"block_sparse_block_size", kI32},
        {"block_sparse_homo_head_pattern", kI8},
        {"block_sparse_num_local_blocks", kI32},
        {"block_sparse_vertical_stride", kI32},
        {"paged_kv_cache", kI32},
        {"tokens_per_block", kI32},
        {"type_id", kI32},
        {"max_context_length", kI32},
        {"qkv_bias_enabled", kI8},
        {"do_cross_attention", kI8},
        {"max_distance", kI32},
        {"pos_shift_enabled", kI8},
        {"dense_context_fmha", kI8},
        {"use_paged_context_fmha", kI8},
        {"use_fp8_context_fmha", kI8},
        {"has_full_attention_mask", kI8},
        {"use_cache", kI32},
        {"is_spec_decoding_enabled", kI8},
        {"spec_decoding_is_generation_length_variable", kI8},
        {"spec_decoding_max_generation_length", kI32},
        {"is_mla_enabled", kI8},
        {"q_lora_rank", kI32},
        {"kv_lora_rank", kI32},
        {"qk_nope_head_dim", kI32},
        {"qk_rope_head_dim", kI32},
        {"v_head_dim", kI32},
        {"fuse_fp4_quant", kI8},
        {"skip_attn", kI8},
        {"cp_size", kI32},
        {"cp_rank", kI32},
        {"cp_group", kI32, Known::kBoth, true},
    },
    types,
    shape,
};

}  // namespace standin
