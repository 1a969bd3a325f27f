//go:build linux && (amd64 || arm64)

// The kernel sets of AVX-512, but for the linear layers of the BF16 and VNNI instructions.
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
// After those:
#include "kernels_vectorset.h"

namespace trtgo {
namespace cpu {

const Kernels kAvx512Bf16Kernels =
    kernels_with("avx512bf16", {pairs_avx512bf16, pairs_avx512bf16, integers_avx512vnni, attention_bf16_avx512bf16,
                                attention_int8_avx512bf16, attention_fp8_avx512bf16});
const Kernels kAvx512Bf16EmulatedKernels =
    kernels_with("avx512bf16-emulated", {pairs_avx512bf16_emulated, pairs_avx512bf16_emulated, linear_integers,
                                         attention_bf16_emulated, attention_int8_emulated, attention_fp8_emulated});

}  // namespace cpu
}  // namespace trtgo

#endif  // __x86_64__
