//go:build linux && (amd64 || arm64)

#include "kvcache.h"

#include <cstring>
#include <utility>

namespace trtgo {
namespace cpu {

namespace {

// Values of one token's key are `step` apart in pairs (bf16) or alone (float),
// in the panel of its 16 tokens.
constexpr int64_t panel_values(int head_size) { return int64_t{kPanelRows} * head_size; }

// Index of value j of the key of token `slot`.
template <class T>
int64_t key_index(int head_size, int slot, int j);

template <>
int64_t key_index<float>(int head_size, int slot, int j) {
  return slot / kPanelRows * panel_values(head_size) + int64_t{j} * kPanelRows + slot % kPanelRows;
}

template <>
int64_t key_index<uint16_t>(int head_size, int slot, int j) {
  return slot / kPanelRows * panel_values(head_size) + (int64_t{j} / 2 * kPanelRows + slot % kPanelRows) * 2 + j % 2;
}

constexpr int kMaxHeadSize = 512;  // AttentionArgs.head_size

}  // namespace

KVCache::KVCache(std::vector<Layer> layers, int num_blocks, bool bf16)
    : layers_(std::move(layers)), num_blocks_(num_blocks), bf16_(bf16) {
  for (Layer& layer : layers_) {
    layer.offset = block_bytes_;
    block_bytes_ += head_bytes(layer) * layer.kv_heads;
  }
  arena_ = Mapping(block_bytes_ * num_blocks_, "the KV cache; ask for a smaller one");
}

int64_t KVCache::head_bytes(const Layer& layer) const {
  return 2 * int64_t{kBlockSize} * layer.head_size * value_bytes();
}

int64_t KVCache::v_offset(int layer) const { return head_bytes(layers_[static_cast<size_t>(layer)]) / 2; }

const uint8_t* KVCache::head(int layer, int kv_head) const {
  const Layer& l = layers_[static_cast<size_t>(layer)];
  return arena_.data() + l.offset + kv_head * head_bytes(l);
}

void KVCache::append(int layer, int kv_head, int block, int slot, const float* key, const float* value,
                     const Kernels& kernels) {
  const int d = layers_[static_cast<size_t>(layer)].head_size;
  uint8_t* keys = arena_.data() + (head(layer, kv_head) - arena_.data()) + block * block_bytes_;
  uint8_t* values = keys + v_offset(layer);
  if (bf16_) {
    uint16_t rounded[kMaxHeadSize];
    kernels.to_bf16(key, rounded, d);
    auto* k = reinterpret_cast<uint16_t*>(keys) + key_index<uint16_t>(d, slot, 0);
    for (int j = 0; j < d; j += 2, k += 2 * kPanelRows) std::memcpy(k, rounded + j, 4);
    kernels.to_bf16(value, reinterpret_cast<uint16_t*>(values) + int64_t{slot} * d, d);
    return;
  }
  auto* k = reinterpret_cast<float*>(keys) + key_index<float>(d, slot, 0);
  for (int j = 0; j < d; j++, k += kPanelRows) *k = key[j];
  std::memcpy(reinterpret_cast<float*>(values) + int64_t{slot} * d, value, static_cast<size_t>(d) * sizeof(float));
}

template <class T>
void KVCache::copy_tokens(int src, int dst, int n) {
  for (size_t layer = 0; layer < layers_.size(); layer++) {
    const int d = layers_[layer].head_size;
    for (int h = 0; h < layers_[layer].kv_heads; h++) {
      const int64_t offset = head(static_cast<int>(layer), h) - arena_.data();
      const auto* from = reinterpret_cast<const T*>(arena_.data() + src * block_bytes_ + offset);
      auto* to = reinterpret_cast<T*>(arena_.data() + dst * block_bytes_ + offset);
      for (int slot = 0; slot < n; slot++) {
        for (int j = 0; j < d; j++) {
          const int64_t i = key_index<T>(d, slot, j);
          to[i] = from[i];
        }
      }
      const int64_t values = int64_t{kBlockSize} * d;
      std::memcpy(to + values, from + values, static_cast<size_t>(n) * static_cast<size_t>(d) * sizeof(T));
    }
  }
}

void KVCache::copy_block(int src, int dst, int n) {
  if (src == dst || block_bytes_ == 0) return;
  if (n == kBlockSize) {
    std::memcpy(arena_.data() + dst * block_bytes_, arena_.data() + src * block_bytes_,
                static_cast<size_t>(block_bytes_));
  } else if (bf16_) {
    copy_tokens<uint16_t>(src, dst, n);
  } else {
    copy_tokens<float>(src, dst, n);
  }
}

}  // namespace cpu
}  // namespace trtgo
