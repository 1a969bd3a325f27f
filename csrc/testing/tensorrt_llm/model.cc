#include "model.h"

#include <cmath>

namespace trtllm_standin {
namespace {

constexpr uint64_t kGamma = 0x9E3779B97F4A7C15;

// SplitMix64's finaliser.
uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

uint64_t fold(const std::vector<uint64_t>& cells) {
  uint64_t hash = cells.size();
  for (const uint64_t cell : cells) hash = mix(hash * 31 + cell);
  return hash;
}

}  // namespace

void History::append(int32_t token) {
  const auto position = static_cast<uint64_t>(cells_.size());
  cells_.push_back(mix(fold(cells_) + (static_cast<uint64_t>(token) << 20) + position));
}

void History::logits(float* row, int32_t vocabSize) const {
  static const double spread = std::sqrt(3.0);
  const uint64_t hidden = fold(cells_);
  for (int32_t i = 0; i < vocabSize; i++) {
    uint64_t hash = mix(hidden + static_cast<uint64_t>(i) * kGamma);
    double sum = 0;
    for (int n = 0; n < 4; n++) {  // four uniforms of 16 bits
      sum += static_cast<double>(hash & 0xFFFF) / 65536 - 0.5;
      hash >>= 16;
    }
    row[i] = static_cast<float>(sum * 3 * spread);
  }
}

double uniform(uint64_t seed, uint64_t n) {
  const uint64_t start = mix(seed + kGamma);
  return static_cast<double>(mix(start + (n + 1) * kGamma) >> 11) / 9007199254740992.0;  // 2^53
}

}  // namespace trtllm_standin
