// AVX-512 as the vector kernels use it: sixteen floats to a vector, a panel in one.
// Included once by a file that has defined TRTGO_TARGET and TRTGO_INLINE.
#ifndef TRTGO_CPU_KERNELS_AVX512_H_
#define TRTGO_CPU_KERNELS_AVX512_H_

namespace trtgo {
namespace cpu {
namespace {

using Vec = __m512;
using DVec = __m512d;
constexpr int kLanes = 16;

// 12 rows × 2 panels of sums leave 8 of 32 registers for weights and activations.
// Up to 8 rows one panel at a time is as fast and reads a single stream.
constexpr int kTileRows = 12;
constexpr int kTilePanels = 2;
constexpr int kNarrowRows = 2;
constexpr int kValueVectors = 4;

TRTGO_INLINE Vec zero() { return _mm512_setzero_ps(); }
TRTGO_INLINE Vec set1(float x) { return _mm512_set1_ps(x); }
TRTGO_INLINE DVec set1(double x) { return _mm512_set1_pd(x); }
TRTGO_INLINE Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
TRTGO_INLINE Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
TRTGO_INLINE Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
TRTGO_INLINE Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
TRTGO_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
TRTGO_INLINE Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }  // b when one is NaN
TRTGO_INLINE Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
TRTGO_INLINE DVec add(DVec a, DVec b) { return _mm512_add_pd(a, b); }
TRTGO_INLINE DVec sub(DVec a, DVec b) { return _mm512_sub_pd(a, b); }
TRTGO_INLINE DVec mul(DVec a, DVec b) { return _mm512_mul_pd(a, b); }
TRTGO_INLINE DVec fma(DVec a, DVec b, DVec c) { return _mm512_fmadd_pd(a, b, c); }

TRTGO_INLINE Vec bits(__m512i x) { return _mm512_castsi512_ps(x); }
TRTGO_INLINE __m512i bits(Vec x) { return _mm512_castps_si512(x); }
TRTGO_INLINE __m512i ints(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }

TRTGO_INLINE Vec absolute(Vec x) { return bits(_mm512_and_si512(bits(x), ints(0x7fffffffu))); }
TRTGO_INLINE Vec copy_sign(Vec magnitude, Vec sign) {
  return bits(_mm512_or_si512(bits(absolute(magnitude)), _mm512_and_si512(bits(sign), ints(0x80000000u))));
}
TRTGO_INLINE Vec select_less(Vec a, Vec b, Vec yes, Vec no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
TRTGO_INLINE Vec keep_nan(Vec kept, Vec x) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), kept, x);
}
TRTGO_INLINE Vec max_bits(Vec a, Vec b) { return bits(_mm512_max_epu32(bits(a), bits(b))); }
TRTGO_INLINE Vec round_nearest(Vec x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
TRTGO_INLINE Vec scale_power2(Vec x, Vec n) { return _mm512_scalef_ps(x, n); }  // x 2^n

TRTGO_INLINE __m256 upper_half(Vec x) { return _mm512_extractf32x8_ps(x, 1); }
TRTGO_INLINE DVec low_double(Vec x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
TRTGO_INLINE DVec high_double(Vec x) { return _mm512_cvtps_pd(upper_half(x)); }
TRTGO_INLINE Vec join(DVec low, DVec high) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}

TRTGO_INLINE double reduce_add(DVec x) { return _mm512_reduce_add_pd(x); }
TRTGO_INLINE float reduce_add(Vec x) { return _mm512_reduce_add_ps(x); }
TRTGO_INLINE float reduce_max(Vec x) { return _mm512_reduce_max_ps(x); }

// A line of weights, and the even and odd bf16 of its pairs.
TRTGO_INLINE Vec load_line(const uint8_t* p) { return bits(_mm512_loadu_si512(p)); }
TRTGO_INLINE Vec even_bf16(Vec pairs) { return bits(_mm512_slli_epi32(bits(pairs), 16)); }
TRTGO_INLINE Vec odd_bf16(Vec pairs) { return bits(_mm512_and_si512(bits(pairs), ints(0xffff0000u))); }

// As round_bf16.
TRTGO_INLINE __m256i narrow(Vec x) {
  const __m512i upper = _mm512_srli_epi32(bits(x), 16);
  const __m512i tie = _mm512_add_epi32(_mm512_and_si512(upper, ints(1)), ints(0x7fff));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits(x), tie), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, upper, ints(0x40)));
}
TRTGO_INLINE Vec widen(__m256i half) { return bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16)); }

TRTGO_INLINE Vec load(const float* p) { return _mm512_loadu_ps(p); }
TRTGO_INLINE Vec load(const uint16_t* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
TRTGO_INLINE void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
TRTGO_INLINE void store(uint16_t* p, Vec x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(x)); }

// The first `count` lanes, all when count is kLanes or more; zeros beyond them.
TRTGO_INLINE __mmask16 first_lanes(int count) {
  return static_cast<__mmask16>(count >= kLanes ? 0xffffu : (1u << count) - 1);
}
TRTGO_INLINE Vec load_part(const float* p, int count) { return _mm512_maskz_loadu_ps(first_lanes(count), p); }
TRTGO_INLINE Vec load_part(const uint16_t* p, int count) {
  return widen(_mm256_maskz_loadu_epi16(first_lanes(count), p));
}
TRTGO_INLINE void store_part(float* p, Vec x, int count) { _mm512_mask_storeu_ps(p, first_lanes(count), x); }
TRTGO_INLINE void store_part(uint16_t* p, Vec x, int count) {
  _mm256_mask_storeu_epi16(p, first_lanes(count), narrow(x));
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

#endif  // TRTGO_CPU_KERNELS_AVX512_H_
