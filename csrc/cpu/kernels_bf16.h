// bf16 to float and back, one value at a time: the rule that every kernel
// set's vector code repeats.
#ifndef TRTGO_CPU_KERNELS_BF16_H_
#define TRTGO_CPU_KERNELS_BF16_H_

#include <cstdint>
#include <cstring>

namespace trtgo {
namespace cpu {

inline float float_from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t bits_from_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// The float that a bf16 is the upper half of. Exact.
inline float widen_bf16(uint16_t value) { return float_from_bits(uint32_t{value} << 16); }

// Rounded to nearest, ties to even; denormals are kept; a NaN stays a NaN of the
// same sign and upper payload, made quiet.
inline uint16_t round_bf16(float value) {
  const uint32_t bits = bits_from_float(value);
  const uint32_t quiet = (bits >> 16) | 0x40u;
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_BF16_H_
