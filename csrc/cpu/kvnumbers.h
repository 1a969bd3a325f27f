// Numbers of an int8 or FP8 KV cache: value · (1 / scale), as TensorRT-LLM has it, rounded to
// nearest even and saturated.
// Plain loops without branches, which compilers turn into vector code.
#ifndef TRTGO_CPU_KVNUMBERS_H_
#define TRTGO_CPU_KVNUMBERS_H_

#include <cmath>
#include <cstdint>
#include <cstring>

namespace trtgo {
namespace cpu {

// codes[n] = number + 128, -128 … 127. NaN is 0.
inline void encode_int8(const float* values, float scale, int n, uint8_t* codes) {
  const float inverse = 1 / scale;
  for (int i = 0; i < n; i++) {
    float v = values[i] * inverse;
    v = v == v ? v : 0.0f;
    v = v > 127.0f ? 127.0f : v;
    v = v < -128.0f ? -128.0f : v;
    const float whole = v + 0x1.8p23f;  // the sum rounds
    uint32_t bits;
    std::memcpy(&bits, &whole, sizeof bits);
    codes[i] = static_cast<uint8_t>(bits + 128);
  }
}

// codes[n] = E4M3, at most 448 of either sign. NaN is NaN.
inline void encode_fp8(const float* values, float scale, int n, uint8_t* codes) {
  const float inverse = 1 / scale;
  for (int i = 0; i < n; i++) {
    const float v = values[i] * inverse;
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    const uint32_t magnitude = bits & 0x7fffffffu;
    const float sum = std::fabs(v) + 0x1.8p14f;  // rounds to multiples of 2^-9
    uint32_t denormal;
    std::memcpy(&denormal, &sum, sizeof denormal);
    const uint32_t normal = ((magnitude + 0x7ffffu + ((magnitude >> 20) & 1u)) >> 20) - 960u;
    uint32_t code = magnitude < 0x3c800000u ? denormal & 0xfu : normal;  // 2^-6
    code = magnitude >= 0x43e00000u ? 0x7eu : code;                      // 448
    code = magnitude > 0x7f800000u ? 0x7fu : code;
    codes[i] = static_cast<uint8_t>(code | (bits >> 24 & 0x80u));
  }
}

inline float decode_int8(uint8_t code) { return static_cast<float>(code - 128); }

inline float decode_fp8(uint8_t code) {
  const uint32_t magnitude = code & 0x7fu, sign = uint32_t{code & 0x80u} << 24;
  uint32_t bits = (magnitude << 20) + (120u << 23);
  float number;
  if (magnitude < 8) {
    number = static_cast<float>(magnitude) * 0x1p-9f;
    std::memcpy(&bits, &number, sizeof bits);
  }
  if (magnitude == 0x7f) bits = 0x7fc00000u;
  bits |= sign;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KVNUMBERS_H_
