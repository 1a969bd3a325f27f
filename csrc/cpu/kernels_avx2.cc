//go:build linux && (amd64 || arm64)

// The kernel set of AVX2 and FMA: eight floats to a vector, a panel in two.
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels_set.h"

#define TRTGO_TARGET __attribute__((target("avx2,fma,f16c")))
#define TRTGO_INLINE __attribute__((target("avx2,fma,f16c"), always_inline)) inline

namespace trtgo {
namespace cpu {
namespace {

using Vec = __m256;
using DVec = __m256d;
constexpr int kLanes = 8;

// 6 rows × 2 vectors of sums leave 4 of 16 registers for weights and activations.
constexpr int kTileRows = 6;
constexpr int kTilePanels = 1;
constexpr int kNarrowRows = kTileRows;

TRTGO_INLINE Vec zero() { return _mm256_setzero_ps(); }
TRTGO_INLINE Vec set1(float x) { return _mm256_set1_ps(x); }
TRTGO_INLINE DVec set1(double x) { return _mm256_set1_pd(x); }
TRTGO_INLINE Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
TRTGO_INLINE Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
TRTGO_INLINE Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
TRTGO_INLINE Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
TRTGO_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
TRTGO_INLINE Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }  // b when one is NaN
TRTGO_INLINE Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
TRTGO_INLINE DVec add(DVec a, DVec b) { return _mm256_add_pd(a, b); }
TRTGO_INLINE DVec sub(DVec a, DVec b) { return _mm256_sub_pd(a, b); }
TRTGO_INLINE DVec mul(DVec a, DVec b) { return _mm256_mul_pd(a, b); }
TRTGO_INLINE DVec fma(DVec a, DVec b, DVec c) { return _mm256_fmadd_pd(a, b, c); }

TRTGO_INLINE Vec bits(__m256i x) { return _mm256_castsi256_ps(x); }
TRTGO_INLINE __m256i bits(Vec x) { return _mm256_castps_si256(x); }
TRTGO_INLINE __m256i ints(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }

TRTGO_INLINE Vec absolute(Vec x) { return _mm256_and_ps(x, bits(ints(0x7fffffffu))); }
TRTGO_INLINE Vec copy_sign(Vec magnitude, Vec sign) {
  return _mm256_or_ps(absolute(magnitude), _mm256_andnot_ps(bits(ints(0x7fffffffu)), sign));
}
TRTGO_INLINE Vec select_less(Vec a, Vec b, Vec yes, Vec no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
TRTGO_INLINE Vec keep_nan(Vec kept, Vec x) { return _mm256_blendv_ps(kept, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q)); }
TRTGO_INLINE Vec max_bits(Vec a, Vec b) { return bits(_mm256_max_epu32(bits(a), bits(b))); }
TRTGO_INLINE Vec round_nearest(Vec x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// x 2^n for whole n, in two factors so that denormals and infinity come out right.
TRTGO_INLINE Vec scale_power2(Vec x, Vec n) {
  const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), bias = ints(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
  return mul(mul(x, bits(first)), bits(second));
}

TRTGO_INLINE DVec low_double(Vec x) { return _mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
TRTGO_INLINE DVec high_double(Vec x) { return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
TRTGO_INLINE Vec join(DVec low, DVec high) { return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low)); }

TRTGO_INLINE double reduce_add(DVec x) {
  const __m128d pair = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
  return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
}
TRTGO_INLINE float reduce_add(Vec x) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
TRTGO_INLINE float reduce_max(Vec x) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// Eight words of 32 bits.
using Ints = __m256i;
using IntSum = __m256i;
TRTGO_INLINE Ints load_ints(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
TRTGO_INLINE Ints load_halves(const uint8_t* p) { return load_ints(p); }
TRTGO_INLINE Ints add_ints(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
TRTGO_INLINE Ints bit_and(Ints a, Ints b) { return _mm256_and_si256(a, b); }
TRTGO_INLINE Ints bit_or(Ints a, Ints b) { return _mm256_or_si256(a, b); }
template <int N>
TRTGO_INLINE Ints shift_left(Ints x) {
  return N == 0 ? x : _mm256_slli_epi32(x, N);
}
template <int N>
TRTGO_INLINE Ints shift_right(Ints x) {
  return N == 0 ? x : _mm256_srli_epi32(x, N);
}
template <int N>
TRTGO_INLINE Ints shift_right_halves(Ints x) {  // of 16 bits
  return N == 0 ? x : _mm256_srli_epi16(x, N);
}
TRTGO_INLINE Vec to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
TRTGO_INLINE int32_t reduce_add(Ints x) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
TRTGO_INLINE uint32_t reduce_max_bits(Vec x) {
  const __m128i four = _mm_max_epu32(_mm256_castsi256_si128(bits(x)), _mm256_extracti128_si256(bits(x), 1));
  const __m128i two = _mm_max_epu32(four, _mm_unpackhi_epi64(four, four));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_max_epu32(two, _mm_shuffle_epi32(two, 1))));
}
// x rounded to nearest even: whole numbers of 16 bits, and as words.
TRTGO_INLINE Ints round_ints(Vec x) { return _mm256_cvtps_epi32(x); }
TRTGO_INLINE void store_halves(int16_t* p, Ints x) {
  const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), halves);
}
// sum + a·b over the pair of whole numbers of 16 bits in each lane.
TRTGO_INLINE Ints dot(Ints sum, Ints a, Ints b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }

TRTGO_INLINE Vec load_f16(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// The E4M3 numbers in bits 24 … 31 of each word.
TRTGO_INLINE Vec e4m3(Ints top) {
  const Ints magnitude = bit_and(_mm256_srli_epi32(top, 4), ints(0x07f00000u));
  const Ints denormal = _mm256_cmpgt_epi32(ints(0x00800000u), magnitude);
  const Ints nan = _mm256_cmpeq_epi32(magnitude, ints(0x07f00000u));
  // Exponents of a float are 120 larger. A denormal is (2^-6 + itself) - 2^-6.
  Ints value = add_ints(magnitude, ints(120u << 23));
  value = add_ints(value, bit_and(denormal, ints(1u << 23)));
  const Vec number = sub(bits(value), bits(bit_and(denormal, bits(set1(0x1p-6f)))));
  const Ints special = bit_or(bit_and(nan, ints(0x7fc00000u)), bit_and(top, ints(0x80000000u)));
  return bits(bit_or(bits(number), special));
}

// Half a line of weights, and the even and odd bf16 of its pairs.
TRTGO_INLINE Vec load_line(const uint8_t* p) { return bits(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
TRTGO_INLINE Vec even_bf16(Vec pairs) { return bits(_mm256_slli_epi32(bits(pairs), 16)); }
TRTGO_INLINE Vec odd_bf16(Vec pairs) { return bits(_mm256_and_si256(bits(pairs), ints(0xffff0000u))); }

TRTGO_INLINE Vec load(const float* p) { return _mm256_loadu_ps(p); }
TRTGO_INLINE Vec load(const uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return bits(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
TRTGO_INLINE void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }

// As round_bf16.
TRTGO_INLINE __m128i narrow(Vec x) {
  const __m256i upper = _mm256_srli_epi32(bits(x), 16);
  const __m256i tie = _mm256_add_epi32(_mm256_and_si256(upper, ints(1)), ints(0x7fff));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits(x), tie), 16);
  const __m256i quiet = _mm256_or_si256(upper, ints(0x40));
  const __m256i nan = bits(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i words = _mm256_blendv_epi8(rounded, quiet, nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}
TRTGO_INLINE void store(uint16_t* p, Vec x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow(x)); }

// The first `count` lanes, all when count is kLanes or more; zeros beyond them.
TRTGO_INLINE __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
TRTGO_INLINE Vec load_part(const float* p, int count) {
  return count >= kLanes ? load(p) : _mm256_maskload_ps(p, first_lanes(count));
}
TRTGO_INLINE Vec load_part(const uint16_t* p, int count) {
  if (count >= kLanes) return load(p);
  uint16_t lanes[kLanes] = {};
  std::memcpy(lanes, p, static_cast<size_t>(count) * 2);
  return load(lanes);
}
TRTGO_INLINE void store_part(float* p, Vec x, int count) {
  if (count >= kLanes) return store(p, x);
  _mm256_maskstore_ps(p, first_lanes(count), x);
}
TRTGO_INLINE void store_part(uint16_t* p, Vec x, int count) {
  if (count >= kLanes) return store(p, x);
  uint16_t lanes[kLanes];
  store(lanes, x);
  std::memcpy(p, lanes, static_cast<size_t>(count) * 2);
}

// out[i*ld … +4) = a[i], b[i], c[i], d[i], i < 4.
TRTGO_INLINE void transpose4(const float* a, const float* b, const float* c, const float* d, float* out, int64_t ld) {
  __m128 r0 = _mm_loadu_ps(a), r1 = _mm_loadu_ps(b), r2 = _mm_loadu_ps(c), r3 = _mm_loadu_ps(d);
  _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
  _mm_storeu_ps(out, r0);
  _mm_storeu_ps(out + ld, r1);
  _mm_storeu_ps(out + 2 * ld, r2);
  _mm_storeu_ps(out + 3 * ld, r3);
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

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

const Kernels kAvx2Kernels = kernels_with("avx2", widened<linear_integers>());

}  // namespace cpu
}  // namespace trtgo

#endif  // __x86_64__
