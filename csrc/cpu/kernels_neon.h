// NEON as the vector kernels use it: four floats to a vector, a panel in four. Nothing here
// needs more than ARMv8.0. Included once by a file that has defined TRTGO_TARGET and
// TRTGO_INLINE.
#ifndef TRTGO_CPU_KERNELS_NEON_H_
#define TRTGO_CPU_KERNELS_NEON_H_

#include <arm_neon.h>

#define TRTGO_UNROLL _Pragma("GCC unroll 8")  // see kernels_linear.h

namespace trtgo {
namespace cpu {
namespace {

using Vec = float32x4_t;
using DVec = float64x2_t;
constexpr int kLanes = 4;

TRTGO_INLINE Vec zero() { return vdupq_n_f32(0); }
TRTGO_INLINE Vec set1(float x) { return vdupq_n_f32(x); }
TRTGO_INLINE DVec set1(double x) { return vdupq_n_f64(x); }
TRTGO_INLINE Vec add(Vec a, Vec b) { return vaddq_f32(a, b); }
TRTGO_INLINE Vec sub(Vec a, Vec b) { return vsubq_f32(a, b); }
TRTGO_INLINE Vec mul(Vec a, Vec b) { return vmulq_f32(a, b); }
TRTGO_INLINE Vec div(Vec a, Vec b) { return vdivq_f32(a, b); }
TRTGO_INLINE Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
TRTGO_INLINE Vec max(Vec a, Vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }  // b when one is NaN
TRTGO_INLINE Vec min(Vec a, Vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
TRTGO_INLINE DVec add(DVec a, DVec b) { return vaddq_f64(a, b); }
TRTGO_INLINE DVec sub(DVec a, DVec b) { return vsubq_f64(a, b); }
TRTGO_INLINE DVec mul(DVec a, DVec b) { return vmulq_f64(a, b); }
TRTGO_INLINE DVec fma(DVec a, DVec b, DVec c) { return vfmaq_f64(c, a, b); }

// Four words of 32 bits.
using Ints = uint32x4_t;
using IntSum = uint32x4_t;
TRTGO_INLINE Vec bits(Ints x) { return vreinterpretq_f32_u32(x); }
TRTGO_INLINE Ints bits(Vec x) { return vreinterpretq_u32_f32(x); }
TRTGO_INLINE Ints ints(uint32_t x) { return vdupq_n_u32(x); }
TRTGO_INLINE Ints load_ints(const uint8_t* p) { return vreinterpretq_u32_u8(vld1q_u8(p)); }
TRTGO_INLINE Ints add_ints(Ints a, Ints b) { return vaddq_u32(a, b); }
TRTGO_INLINE Ints bit_and(Ints a, Ints b) { return vandq_u32(a, b); }
TRTGO_INLINE Ints bit_or(Ints a, Ints b) { return vorrq_u32(a, b); }
template <int N>
TRTGO_INLINE Ints shift_left(Ints x) {
  return vshlq_n_u32(x, N);
}
// To the right NEON does not shift by 0.
template <int N>
TRTGO_INLINE Ints shift_right(Ints x) {
  return N == 0 ? x : vshrq_n_u32(x, N == 0 ? 1 : N);
}
template <int N>
TRTGO_INLINE Ints shift_right_halves(Ints x) {  // of 16 bits
  return N == 0 ? x : vreinterpretq_u32_u16(vshrq_n_u16(vreinterpretq_u16_u32(x), N == 0 ? 1 : N));
}

TRTGO_INLINE Vec absolute(Vec x) { return vabsq_f32(x); }
TRTGO_INLINE Vec copy_sign(Vec magnitude, Vec sign) { return vbslq_f32(ints(0x80000000u), sign, magnitude); }
TRTGO_INLINE Vec select_less(Vec a, Vec b, Vec yes, Vec no) { return vbslq_f32(vcltq_f32(a, b), yes, no); }
TRTGO_INLINE Vec keep_nan(Vec kept, Vec x) { return vbslq_f32(vceqq_f32(x, x), kept, x); }
TRTGO_INLINE Vec max_bits(Vec a, Vec b) { return bits(vmaxq_u32(bits(a), bits(b))); }
TRTGO_INLINE Vec round_nearest(Vec x) { return vrndnq_f32(x); }

// x 2^n for whole n, in two factors so that denormals and infinity come out right.
TRTGO_INLINE Vec scale_power2(Vec x, Vec n) {
  const int32x4_t whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1), bias = vdupq_n_s32(127);
  const int32x4_t first = vshlq_n_s32(vaddq_s32(half, bias), 23);
  const int32x4_t second = vshlq_n_s32(vaddq_s32(vsubq_s32(whole, half), bias), 23);
  return mul(mul(x, vreinterpretq_f32_s32(first)), vreinterpretq_f32_s32(second));
}

TRTGO_INLINE DVec low_double(Vec x) { return vcvt_f64_f32(vget_low_f32(x)); }
TRTGO_INLINE DVec high_double(Vec x) { return vcvt_high_f64_f32(x); }
TRTGO_INLINE Vec join(DVec low, DVec high) { return vcvt_high_f32_f64(vcvt_f32_f64(low), high); }

TRTGO_INLINE double reduce_add(DVec x) { return vaddvq_f64(x); }
TRTGO_INLINE float reduce_add(Vec x) { return vaddvq_f32(x); }
TRTGO_INLINE float reduce_max(Vec x) { return vmaxvq_f32(x); }

TRTGO_INLINE Vec to_floats(Ints x) { return vcvtq_f32_s32(vreinterpretq_s32_u32(x)); }
TRTGO_INLINE int32_t reduce_add(Ints x) { return vaddvq_s32(vreinterpretq_s32_u32(x)); }
TRTGO_INLINE uint32_t reduce_max_bits(Vec x) { return vmaxvq_u32(bits(x)); }
// x rounded to nearest even: whole numbers of 16 bits, and as words.
TRTGO_INLINE Ints round_ints(Vec x) { return vreinterpretq_u32_s32(vcvtnq_s32_f32(x)); }
TRTGO_INLINE void store_halves(int16_t* p, Ints x) { vst1_s16(p, vqmovn_s32(vreinterpretq_s32_u32(x))); }

// The even halves of four words of weights, then the odd ones, so that dot adds up without
// moving products between lanes.
TRTGO_INLINE Ints load_halves(const uint8_t* p) {
  const uint8x16_t order = {0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15};
  return vreinterpretq_u32_u8(vqtbl1q_u8(vld1q_u8(p), order));
}
// sum + a·b over the pair of whole numbers of 16 bits in each lane, a as load_halves gives
// it; b has the same pair in all lanes.
TRTGO_INLINE Ints dot(Ints sum, Ints a, Ints b) {
  const int16x8_t numbers = vreinterpretq_s16_u32(a), x = vreinterpretq_s16_u32(b);
  int32x4_t total = vreinterpretq_s32_u32(sum);
  total = vmlal_laneq_s16(total, vget_low_s16(numbers), x, 0);
  return vreinterpretq_u32_s32(vmlal_high_laneq_s16(total, numbers, x, 1));
}

// Loads and stores are of bytes: rows of pairs and words are read as floats too.
TRTGO_INLINE Vec load_line(const uint8_t* p) { return bits(load_ints(p)); }
TRTGO_INLINE Vec load(const float* p) { return load_line(reinterpret_cast<const uint8_t*>(p)); }
TRTGO_INLINE uint16x4_t load_four(const void* p) {
  return vreinterpret_u16_u8(vld1_u8(static_cast<const uint8_t*>(p)));
}
TRTGO_INLINE Vec load(const uint16_t* p) { return bits(vshll_n_u16(load_four(p), 16)); }
TRTGO_INLINE Vec load_f16(const uint8_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(load_four(p))); }
TRTGO_INLINE void store(float* p, Vec x) { vst1q_u8(reinterpret_cast<uint8_t*>(p), vreinterpretq_u8_f32(x)); }

// The even and odd bf16 of the pairs of a line of weights.
TRTGO_INLINE Vec even_bf16(Vec pairs) { return bits(shift_left<16>(bits(pairs))); }
TRTGO_INLINE Vec odd_bf16(Vec pairs) { return bits(bit_and(bits(pairs), ints(0xffff0000u))); }

// The E4M3 numbers in bits 24 … 31 of each word. As a float such a number, denormal or not,
// is 2^-120 of itself.
TRTGO_INLINE Vec e4m3(Ints top) {
  const Ints magnitude = bit_and(shift_right<4>(top), ints(0x07f00000u));
  const Ints nan = bit_and(vceqq_u32(magnitude, ints(0x07f00000u)), ints(0x7fc00000u));
  const Ints number = bit_or(bits(mul(bits(magnitude), set1(0x1p120f))), nan);
  return bits(vbslq_u32(ints(0x80000000u), top, number));
}

// As round_bf16.
TRTGO_INLINE uint16x4_t narrow(Vec x) {
  const Ints tie = add_ints(bit_and(shift_right<16>(bits(x)), ints(1)), ints(0x7fff));
  const uint16x4_t rounded = vaddhn_u32(bits(x), tie);
  const uint16x4_t quiet = vorr_u16(vshrn_n_u32(bits(x), 16), vdup_n_u16(0x40));
  return vbsl_u16(vmovn_u32(vceqq_f32(x, x)), rounded, quiet);
}
TRTGO_INLINE void store(uint16_t* p, Vec x) { vst1_u8(reinterpret_cast<uint8_t*>(p), vreinterpret_u8_u16(narrow(x))); }

// The first `count` lanes, all when count is kLanes or more; zeros beyond them.
template <class Number>
TRTGO_INLINE Vec load_part(const Number* p, int count) {
  if (count >= kLanes) return load(p);
  Number lanes[kLanes] = {};
  std::memcpy(lanes, p, static_cast<size_t>(count) * sizeof(Number));
  return load(lanes);
}
template <class Number>
TRTGO_INLINE void store_part(Number* p, Vec x, int count) {
  if (count >= kLanes) return store(p, x);
  Number lanes[kLanes];
  store(lanes, x);
  std::memcpy(p, lanes, static_cast<size_t>(count) * sizeof(Number));
}

// out[i*ld … +4) = a[i], b[i], c[i], d[i], i < 4.
TRTGO_INLINE void transpose4(const float* a, const float* b, const float* c, const float* d, float* out, int64_t ld) {
  const Vec r0 = load(a), r1 = load(b), r2 = load(c), r3 = load(d);
  const DVec ab_even = vreinterpretq_f64_f32(vtrn1q_f32(r0, r1)), ab_odd = vreinterpretq_f64_f32(vtrn2q_f32(r0, r1));
  const DVec cd_even = vreinterpretq_f64_f32(vtrn1q_f32(r2, r3)), cd_odd = vreinterpretq_f64_f32(vtrn2q_f32(r2, r3));
  store(out, vreinterpretq_f32_f64(vtrn1q_f64(ab_even, cd_even)));
  store(out + ld, vreinterpretq_f32_f64(vtrn1q_f64(ab_odd, cd_odd)));
  store(out + 2 * ld, vreinterpretq_f32_f64(vtrn2q_f64(ab_even, cd_even)));
  store(out + 3 * ld, vreinterpretq_f32_f64(vtrn2q_f64(ab_odd, cd_odd)));
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_NEON_H_
