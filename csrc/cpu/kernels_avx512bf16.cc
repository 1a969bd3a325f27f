//go:build linux && (amd64 || arm64)

// The linear layers and attention of AVX-512 BF16 and VNNI (Zen 4, Cooper Lake, Sapphire Rapids and later).
#if defined(__x86_64__)

#include "kernels_set.h"
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
// The intrinsics of GCC 12 start from uninitialised vectors on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>

#define TRTGO_TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni")))
#define TRTGO_INLINE                                                                               \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni"), \
                 always_inline)) inline

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

// sum + a·b over the pair of whole numbers of 16 bits in each lane.
TRTGO_INLINE __v16si dot(__v16si sum, __m512i a, __m512i b) { return __v16si(_mm512_dpwssd_epi32(__m512i(sum), a, b)); }

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
// After kernels_linear.h:
#include "kernels_integers.h"

namespace trtgo {
namespace cpu {

void pairs_avx512bf16(const LinearArgs& args) {
  if (args.shape.format == kFp8) return linear<Fp8Pairs, FloatActivations>(args);
  linear<PairWeights, FloatActivations>(args);
}

void integers_avx512vnni(const LinearArgs& args) { linear_integers(args); }

void attention_bf16_avx512bf16(const AttentionArgs& args) { attention<PairWeights>(args); }
void attention_int8_avx512bf16(const AttentionArgs& args) { attention<Int8Pairs>(args); }
void attention_fp8_avx512bf16(const AttentionArgs& args) { attention<Fp8Pairs>(args); }

}  // namespace cpu
}  // namespace trtgo

#endif  // __x86_64__
