// E4M3: 8 bits with 4 of exponent and 3 of mantissa, as FP8 weights and inputs have.
#ifndef TRTGO_CPU_E4M3_H_
#define TRTGO_CPU_E4M3_H_

#include <cmath>
#include <cstdint>
#include <cstring>

namespace trtgo {
namespace cpu {

// The nearest multiple of scale that is an E4M3 number times it: ties to even, at
// most 448 of either sign. NaN stays NaN.
inline float round_e4m3(float x, float scale) {
  const float v = x / scale;
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  const uint32_t sign = bits & 0x80000000;
  const float magnitude = std::fabs(v);
  float rounded;
  if (!(magnitude < 448)) {
    rounded = magnitude >= 448 ? 448.0f : v;
  } else if (magnitude < 0x1p-6f) {  // subnormal: multiples of 2^-9, which the sum rounds to
    rounded = (magnitude + 0x1.8p14f) - 0x1.8p14f;
  } else {
    bits = (bits & 0x7fffffff) + 0x7ffff + ((bits >> 20) & 1);
    bits &= 0xfff00000;
    std::memcpy(&rounded, &bits, sizeof rounded);
  }
  uint32_t result;
  std::memcpy(&result, &rounded, sizeof result);
  result |= sign;
  std::memcpy(&rounded, &result, sizeof rounded);
  return rounded * scale;
}

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_E4M3_H_
