//go:build linux && (amd64 || arm64)

// The kernel sets of AVX-512, but for the linear layer of the BF16 instructions.
#if defined(__x86_64__)

// Multiply and add are fused only where the code says so.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
// The intrinsics of GCC 12 start from uninitialised vectors on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels.h"
#include "kernels_bf16.h"
#include "kernels_tables.h"

#define TRTGO_TARGET __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#define TRTGO_INLINE __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"), always_inline)) inline

#include "kernels_avx512.h"
// After the vector type:
#include "kernels_math.h"
// After kernels_math.h:
#include "kernels_rows.h"
// After both:
#include "kernels_linear.h"
// After all:
#include "kernels_attention.h"

namespace trtgo {
namespace cpu {
namespace {

constexpr Kernels kernels_with(const char* name, void (*linear_bf16_bf16)(const LinearArgs&)) {
  return {
      name,
      {{linear<FloatWeights, FloatActivations>, nullptr}, {linear<Bf16Weights, FloatActivations>, linear_bf16_bf16}},
      linear_scratch_bytes,
      attention<float, FloatWeights>,
      attention<uint16_t, Bf16Weights>,
      attention_scratch_bytes,
      rms_norm,
      layer_norm,
      activation,
      row_statistics,
      amax,
      to_bf16,
  };
}

}  // namespace

const Kernels kAvx512Bf16Kernels = kernels_with("avx512bf16", linear_avx512bf16);
const Kernels kAvx512Bf16EmulatedKernels = kernels_with("avx512bf16-emulated", linear_avx512bf16_emulated);

}  // namespace cpu
}  // namespace trtgo

#endif  // __x86_64__
