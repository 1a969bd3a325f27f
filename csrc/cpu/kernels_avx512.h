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
// Up to 4 rows memory is the limit, and one panel at a time reads a single stream.
constexpr int kTileRows = 12;
constexpr int kTilePanels = 2;
constexpr int kNarrowRows = 4;

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

// Sixteen words of 32 bits.
using Ints = __m512i;
using IntSum = __v16si;  // GCC moves a sum of another type to and fro
TRTGO_INLINE Ints load_ints(const uint8_t* p) { return _mm512_loadu_si512(p); }
TRTGO_INLINE Ints load_halves(const uint8_t* p) { return load_ints(p); }
TRTGO_INLINE Ints add_ints(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
TRTGO_INLINE Ints bit_and(Ints a, Ints b) { return _mm512_and_si512(a, b); }
TRTGO_INLINE Ints bit_or(Ints a, Ints b) { return _mm512_or_si512(a, b); }
template <int N>
TRTGO_INLINE Ints shift_left(Ints x) {
  return N == 0 ? x : _mm512_slli_epi32(x, N);
}
template <int N>
TRTGO_INLINE Ints shift_right(Ints x) {
  return N == 0 ? x : _mm512_srli_epi32(x, N);
}
template <int N>
TRTGO_INLINE Ints shift_right_halves(Ints x) {  // of 16 bits
  return N == 0 ? x : _mm512_srli_epi16(x, N);
}
TRTGO_INLINE Vec to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
TRTGO_INLINE int32_t reduce_add(Ints x) { return _mm512_reduce_add_epi32(x); }
TRTGO_INLINE uint32_t reduce_max_bits(Vec x) { return _mm512_reduce_max_epu32(bits(x)); }
// x rounded to nearest even: whole numbers of 16 bits, and as words.
TRTGO_INLINE Ints round_ints(Vec x) { return _mm512_cvtps_epi32(x); }
TRTGO_INLINE void store_halves(int16_t* p, Ints x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(x));
}

TRTGO_INLINE Vec load_f16(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// The E4M3 numbers in bits 24 … 31 of each word.
TRTGO_INLINE Vec e4m3(Ints top) {
  const Ints magnitude = _mm512_and_si512(_mm512_srli_epi32(top, 4), ints(0x07f00000u));
  const __mmask16 denormal = _mm512_cmplt_epu32_mask(magnitude, ints(0x00800000u));
  const __mmask16 nan = _mm512_cmpeq_epi32_mask(magnitude, ints(0x07f00000u));
  // Exponents of a float are 120 larger. A denormal is (2^-6 + itself) - 2^-6.
  Ints value = _mm512_add_epi32(magnitude, ints(120u << 23));
  value = _mm512_mask_add_epi32(value, denormal, value, ints(1u << 23));
  Vec number = bits(value);
  number = _mm512_mask_sub_ps(number, denormal, number, set1(0x1p-6f));
  number = _mm512_mask_mov_ps(number, nan, bits(ints(0x7fc00000u)));
  return bits(_mm512_ternarylogic_epi32(bits(number), top, ints(0x80000000u), 0xf8));  // number | top & sign
}

// The E4M3 numbers in the low bytes of halves of 16 bits, as bf16.
TRTGO_INLINE Vec e4m3_pairs(Ints halves) {
  // What a shift does not give, by 1 + magnitude modulo 128: NaN, then the denormals.
  const Ints table = _mm512_castsi128_si512(_mm_setr_epi16(0x7fc0, 0, 0x3b00, 0x3b80, 0x3bc0, 0x3c00, 0x3c20, 0x3c40));
  const Ints tables = _mm512_inserti32x4(table, _mm_setr_epi16(0x3c60, 0, 0, 0, 0, 0, 0, 0), 1);
  const Ints code = _mm512_and_si512(_mm512_add_epi16(halves, _mm512_set1_epi16(1)), _mm512_set1_epi16(0x7f));
  const __mmask32 special = _mm512_cmple_epu16_mask(code, _mm512_set1_epi16(8));
  Ints value = _mm512_add_epi16(_mm512_slli_epi16(code, 4), _mm512_set1_epi16(120 * 128 - 16));
  value = _mm512_mask_permutexvar_epi16(value, special, code, tables);
  const Ints sign = _mm512_slli_epi16(halves, 8);
  return bits(_mm512_ternarylogic_epi32(value, sign, ints(0x80008000u), 0xf8));  // value | sign & mask
}

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
