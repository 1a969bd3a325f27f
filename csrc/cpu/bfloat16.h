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

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_BFLOAT16_H_
