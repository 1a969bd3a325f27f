//go:build linux && (amd64 || arm64)

#include "rotary.h"

#include <cmath>
#include <cstring>

// Products and sums are rounded one by one, on machines with fused ones too.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

namespace trtgo {
namespace cpu {

void rotary_row(int position, const float* inv_freq, int half, float* row) {
  for (int j = 0; j < half; j++) {
    const float angle = static_cast<float>(position) * inv_freq[j];
    row[j] = static_cast<float>(std::cos(static_cast<double>(angle)));
    row[half + j] = static_cast<float>(std::sin(static_cast<double>(angle)));
  }
}

void rotate_half(const float* head, const float* row, int half, int head_size, float* out) {
  for (int j = 0; j < half; j++) {
    const float a = head[j];
    const float b = head[j + half];
    const float c = row[j];
    const float s = row[j + half];
    out[j] = a * c - b * s;
    out[j + half] = b * c + a * s;
  }
  const int rest = head_size - 2 * half;
  if (out != head && rest > 0) {
    std::memcpy(out + 2 * half, head + 2 * half, static_cast<size_t>(rest) * sizeof(float));
  }
}

}  // namespace cpu
}  // namespace trtgo
