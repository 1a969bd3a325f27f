// The table of a vector kernel set. Included once, after all other kernels.
#ifndef TRTGO_CPU_KERNELS_VECTORSET_H_
#define TRTGO_CPU_KERNELS_VECTORSET_H_

namespace trtgo {
namespace cpu {
namespace {

// What sets of more instructions compute otherwise: linears with bf16 x and attention.
struct Differences {
  LinearFunction bf16, fp8, integers;
  AttentionFunction cache_bf16, cache_int8, cache_fp8;
};

constexpr Kernels kernels_with(const char* name, Differences own) {
  return {
      name,
      {{linear<FloatWeights, FloatActivations>, nullptr},
       {linear<Bf16Weights, FloatActivations>, own.bf16},
       {linear<F16Weights, FloatActivations>, linear<F16Weights, WidenedActivations>},
       {linear<Int8Weights, FloatActivations>, own.integers},
       {linear_int4_floats, own.integers},
       {linear<Fp8Weights, FloatActivations>, own.fp8}},
      linear_scratch_bytes,
      {attention<FloatWeights>, own.cache_bf16, own.cache_int8, own.cache_fp8},
      attention_merge,
      attention_scratch_bytes,
      rms_norm,
      layer_norm,
      activation,
      row_statistics,
      amax,
      to_bf16,
  };
}

// Of sets that have no dot product of pairs of bf16.
template <LinearFunction kIntegers>
constexpr Differences widened() {
  return {linear<Bf16Weights, WidenedActivations>,
          linear<Fp8Weights, WidenedActivations>,
          kIntegers,
          attention<Bf16Weights>,
          attention<Int8Weights>,
          attention<Fp8Weights>};
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_VECTORSET_H_
