//go:build linux && (amd64 || arm64)

// The linear layers and attention of AVX-512 BF16 computed without it, for tests on processors that
// lack the instruction.
#if defined(__x86_64__)

#include "kernels_set.h"
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
// The intrinsics of GCC 12 start from uninitialised vectors on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>

#define TRTGO_TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")))
#define TRTGO_INLINE __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"), always_inline)) inline

namespace trtgo {
namespace cpu {
namespace {

// x with denormals made zero of the same sign.
TRTGO_INLINE __m512 flush(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __mmask16 small = _mm512_testn_epi32_mask(bits, _mm512_set1_epi32(0x7f800000));
  const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000u));
  return _mm512_castsi512_ps(_mm512_mask_and_epi32(bits, small, bits, sign));
}

// VDPBF16PS as Intel's manual (volume 2) defines it: sum += a[odd]*b[odd], then
// sum += a[even]*b[even], each a fused multiply-add rounded to nearest even, with
// denormal operands and results taken for zero. Not inlined: its code is long, and
// a tile has up to 24 of it.
TRTGO_TARGET __attribute__((noinline)) __m512 dpbf16(__m512 sum, __m512 a, __m512 b) {
  const __m512i odd = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  const __m512i x = _mm512_castps_si512(a), y = _mm512_castps_si512(b);
  const __m512 x_odd = _mm512_castsi512_ps(_mm512_and_si512(x, odd));
  const __m512 y_odd = _mm512_castsi512_ps(_mm512_and_si512(y, odd));
  const __m512 x_even = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
  const __m512 y_even = _mm512_castsi512_ps(_mm512_slli_epi32(y, 16));
  sum = flush(_mm512_fmadd_ps(flush(x_odd), flush(y_odd), flush(sum)));
  return flush(_mm512_fmadd_ps(flush(x_even), flush(y_even), sum));
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#include "kernels_avx512.h"
// After kernels_avx512.h:
#include "kernels_formats.h"
#include "kernels_math.h"
// After kernels_formats.h:
#include "kernels_linear.h"
#include "kernels_pairs.h"
// After kernels_pairs.h:
#include "kernels_attention_pairs.h"
// After kernels_linear.h and kernels_math.h:
#include "kernels_attention.h"

namespace trtgo {
namespace cpu {

void pairs_avx512bf16_emulated(const LinearArgs& args) {
  if (args.shape.format == kFp8) return linear<Fp8Pairs, FloatActivations>(args);
  linear<PairWeights, FloatActivations>(args);
}

void attention_bf16_emulated(const AttentionArgs& args) { attention<PairWeights>(args); }
void attention_int8_emulated(const AttentionArgs& args) { attention<Int8Pairs>(args); }
void attention_fp8_emulated(const AttentionArgs& args) { attention<Fp8Pairs>(args); }

}  // namespace cpu
}  // namespace trtgo

#endif  // __x86_64__
