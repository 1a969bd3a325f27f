// float16: IEEE 754's binary16, as weights may be kept.
#ifndef TRTGO_CPU_FLOAT16_H_
#define TRTGO_CPU_FLOAT16_H_

#include <cstdint>
#include <cstring>

namespace trtgo {
namespace cpu {

// The float of the same value; a NaN keeps its sign and payload. Exact.
inline float from_f16(uint16_t value) {
  const uint32_t sign = (uint32_t{value} & 0x8000u) << 16;
  const uint32_t magnitude = uint32_t{value} & 0x7fffu;
  uint32_t bits = magnitude << 13;  // 10 bits of mantissa become 23
  float x;
  if (magnitude < 0x400u) {  // a denormal is a multiple of 2^-24
    x = static_cast<float>(magnitude) * 0x1p-24f;
    std::memcpy(&bits, &x, sizeof bits);
  } else {
    bits += magnitude < 0x7c00u ? 112u << 23 : 224u << 23;  // the exponents' biases differ by 112
  }
  bits |= sign;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_FLOAT16_H_
