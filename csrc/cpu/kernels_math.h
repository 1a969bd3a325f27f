// exp and erf of a vector, and where results go. A kernel set includes this once, after its vector type
// and max, min, sub, div, round_nearest, scale_power2, absolute, copy_sign,
// select_less. The coefficients are made by scripts/kernel_polynomials.py.
#ifndef TRTGO_CPU_KERNELS_MATH_H_
#define TRTGO_CPU_KERNELS_MATH_H_

namespace trtgo {
namespace cpu {
namespace {

// out[i … i+count) = value's first lanes, as float or bf16.
TRTGO_INLINE void put(void* out, bool bf16, int i, Vec value, int count) {
  if (bf16) {
    store_part(static_cast<uint16_t*>(out) + i, value, count);
  } else {
    store_part(static_cast<float*>(out) + i, value, count);
  }
}

// e^x to about one unit in the last place: 0 below the smallest denormal, infinity
// above the largest float, NaN for NaN. x = n ln 2 + r, |r| <= ln(2)/2.
TRTGO_INLINE Vec exp(Vec x) {
  // max and min give their second operand when one is NaN.
  x = min(set1(89.0f), max(set1(-104.5f), x));
  const Vec n = round_nearest(mul(x, set1(1.44269502f)));
  Vec r = fma(n, set1(-0.693145752f), x);  // exact: the factor has 15 bits
  r = fma(n, set1(-1.42860677e-06f), r);
  Vec p = set1(0.00139261759f);
  p = fma(p, r, set1(0.00836317334f));
  p = fma(p, r, set1(0.0416665561f));
  p = fma(p, r, set1(0.166665778f));
  p = fma(p, r, set1(0.5f));
  p = fma(mul(r, r), p, r);
  return scale_power2(add(p, set1(1.0f)), n);
}

// erf(x) within 2 units in the last place: x + x P(x²) up to 1, then
// 1 - e^Q(|x|); beyond 4 it is 1 in float.
TRTGO_INLINE Vec erf(Vec x) {
  const Vec magnitude = absolute(x);
  const Vec s = mul(x, x);
  Vec p = set1(7.87587487e-05f);
  p = fma(p, s, set1(-0.00080168643f));
  p = fma(p, s, set1(0.00518908724f));
  p = fma(p, s, set1(-0.0268542115f));
  p = fma(p, s, set1(0.112835944f));
  p = fma(p, s, set1(-0.37612626f));
  p = fma(p, s, set1(0.128379166f));
  const Vec small = fma(x, p, x);

  const Vec t = min(set1(4.0f), magnitude);
  Vec q = set1(1.6371514e-06f);
  q = fma(q, t, set1(-4.60580413e-05f));
  q = fma(q, t, set1(0.00059680565f));
  q = fma(q, t, set1(-0.0047595962f));
  q = fma(q, t, set1(0.0264211353f));
  q = fma(q, t, set1(-0.110080086f));
  q = fma(q, t, set1(-0.631826043f));
  q = fma(q, t, set1(-1.13023341f));
  q = fma(q, t, set1(0.00032013806f));
  const Vec large = copy_sign(sub(set1(1.0f), exp(q)), x);
  return select_less(magnitude, set1(1.0f), small, large);
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_MATH_H_
