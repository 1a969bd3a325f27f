// bfloat16: the upper half of a float, as weights and `fast` activations are kept.
#ifndef TRTGO_CPU_BFLOAT16_H_
#define TRTGO_CPU_BFLOAT16_H_

#include <cstdint>
#include <cstring>

namespace trtgo {
namespace cpu {

inline float from_bf16(uint16_t value) {
  const uint32_t bits = uint32_t{value} << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// Rounds to nearest, ties to even; NaN stays NaN.
inline uint16_t round_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_BFLOAT16_H_
