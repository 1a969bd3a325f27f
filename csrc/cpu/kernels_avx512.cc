//go:build linux && (amd64 || arm64)

// The kernel sets of AVX-512, but for the linear layers of the BF16 and VNNI instructions.
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

#define TRTGO_TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")))
#define TRTGO_INLINE __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"), always_inline)) inline

namespace trtgo {
namespace cpu {
namespace {

// sum + a·b over the pair of whole numbers of 16 bits in each lane.
TRTGO_INLINE __v16si dot(__v16si sum, __m512i a, __m512i b) {
  return __v16si(_mm512_add_epi32(__m512i(sum), _mm512_madd_epi16(a, b)));
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#include "kernels_avx512.h"
// After the vector type:
#include "kernels_formats.h"
#include "kernels_math.h"
// After kernels_math.h:
#include "kernels_rows.h"
// After both:
#include "kernels_linear.h"
// After kernels_linear.h:
#include "kernels_integers.h"
// After all:
#include "kernels_attention.h"

namespace trtgo {
namespace cpu {
namespace {

// Attention over caches that are multiplied as pairs of bf16.
struct CacheFunctions {
  AttentionFunction bf16, int8, fp8;
};

// pairs: bf16 and fp8 with bf16 x. integers: int8 and int4.
constexpr Kernels kernels_with(const char* name, LinearFunction pairs, LinearFunction integers, CacheFunctions caches) {
  return {
      name,
      {{linear<FloatWeights, FloatActivations>, nullptr},
       {linear<Bf16Weights, FloatActivations>, pairs},
       {linear<F16Weights, FloatActivations>, linear<F16Weights, WidenedActivations>},
       {linear<Int8Weights, FloatActivations>, integers},
       {linear_int4_floats, integers},
       {linear<Fp8Weights, FloatActivations>, pairs}},
      linear_scratch_bytes,
      {attention<FloatWeights>, caches.bf16, caches.int8, caches.fp8},
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

}  // namespace

const Kernels kAvx512Bf16Kernels =
    kernels_with("avx512bf16", pairs_avx512bf16, integers_avx512vnni,
                 {attention_bf16_avx512bf16, attention_int8_avx512bf16, attention_fp8_avx512bf16});
const Kernels kAvx512Bf16EmulatedKernels =
    kernels_with("avx512bf16-emulated", pairs_avx512bf16_emulated, linear_integers,
                 {attention_bf16_emulated, attention_int8_emulated, attention_fp8_emulated});

}  // namespace cpu
}  // namespace trtgo

#endif  // __x86_64__
