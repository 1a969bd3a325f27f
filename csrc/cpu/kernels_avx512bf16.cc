//go:build linux && (amd64 || arm64)

// The linear layer of AVX-512 BF16 (Zen 4, Cooper Lake, Sapphire Rapids and later).
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

#define TRTGO_TARGET __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define TRTGO_INLINE \
  __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"), always_inline)) inline

namespace trtgo {
namespace cpu {
namespace {

// sum + a·b over the pair of bf16 in each lane.
TRTGO_INLINE __m512 dpbf16(__m512 sum, __m512 a, __m512 b) {
  __m512bh x, y;
  std::memcpy(&x, &a, sizeof x);
  std::memcpy(&y, &b, sizeof y);
  return _mm512_dpbf16_ps(sum, x, y);
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#include "kernels_avx512.h"
// After kernels_avx512.h:
#include "kernels_linear.h"
// After kernels_linear.h:
#include "kernels_pairs.h"

namespace trtgo {
namespace cpu {

void linear_avx512bf16(const LinearArgs& args) { linear<PairWeights, FloatActivations>(args); }

}  // namespace cpu
}  // namespace trtgo

#endif  // __x86_64__
