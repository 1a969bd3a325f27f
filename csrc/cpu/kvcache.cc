//go:build linux && (amd64 || arm64)

#include "kvcache.h"

#include <cstring>
#include <utility>

#include "kvnumbers.h"

namespace trtgo {
namespace cpu {

namespace {

constexpr int kMaxHeadSize = 512;  // AttentionArgs.head_size

// Numbers of N bytes of a key: a word for every 4 / N columns, one in each line of its
// panel. Columns past the last are 0, which is finite in every format.
template <int N>
void scatter_key(const uint8_t* numbers, const KVLayout& layout, int slot, uint8_t* keys) {
  uint8_t* to = keys + layout.key_offset(slot, 0);
  for (int d = 0; d < layout.head_size; d += 4 / N, to += 4 * kPanelRows) {
    uint8_t word[4];
    std::memcpy(word, numbers + d * N, 4);
    if (N == 1) std::swap(word[1], word[2]);
    std::memcpy(to, word, 4);
  }
}

// Of a value: a part of a word for each column, 16 in each panel.
template <int N>
void scatter_value(const uint8_t* numbers, const KVLayout& layout, int slot, uint8_t* values) {
  for (int first = 0; first < layout.head_size; first += kPanelRows) {
    uint8_t* to = values + layout.value_offset(slot, first);
    const int columns = layout.head_size - first < kPanelRows ? layout.head_size - first : kPanelRows;
    for (int d = 0; d < columns; d++) std::memcpy(to + 4 * d, numbers + (first + d) * N, N);
  }
}

template <int N>
void copy_slots(const KVLayout& layout, const uint8_t* from, uint8_t* to, int n) {
  for (int slot = 0; slot < n; slot++) {
    for (int d = 0; d < layout.head_size; d++) {
      const int64_t key = layout.key_offset(slot, d), value = layout.key_bytes() + layout.value_offset(slot, d);
      std::memcpy(to + key, from + key, N);
      std::memcpy(to + value, from + value, N);
    }
  }
}

}  // namespace

KVCache::KVCache(std::vector<Layer> layers, int num_blocks, KVFormat held, KVFormat rounded)
    : layers_(std::move(layers)), num_blocks_(num_blocks), format_(held), rounded_(rounded) {
  for (Layer& layer : layers_) {
    layer.offset = block_bytes_;
    block_bytes_ += head_bytes(layer) * layer.kv_heads;
  }
  arena_ = Mapping(block_bytes_ * num_blocks_, "the KV cache; ask for a smaller one");
}

int64_t KVCache::v_offset(int layer) const { return layout(layers_[static_cast<size_t>(layer)]).key_bytes(); }

float KVCache::scale(int layer) const {
  return format_ == kKVInt8 || format_ == kKVFp8 ? layers_[static_cast<size_t>(layer)].scale : 1.0f;
}

const uint8_t* KVCache::head(int layer, int kv_head) const {
  const Layer& l = layers_[static_cast<size_t>(layer)];
  return arena_.data() + l.offset + kv_head * head_bytes(l);
}

// The layer's head_size values as they are held.
void KVCache::encode(const float* values, const Layer& layer, const Kernels& kernels, uint8_t* numbers) const {
  const int n = layer.head_size;
  if (rounded_ == kKVF32) {
    std::memcpy(numbers, values, static_cast<size_t>(n) * 4);
  } else if (rounded_ == kKVBf16) {
    kernels.to_bf16(values, reinterpret_cast<uint16_t*>(numbers), n);
  } else {
    uint8_t codes[kMaxHeadSize];
    (rounded_ == kKVInt8 ? encode_int8 : encode_fp8)(values, layer.scale, n, codes);
    if (format_ == rounded_) {
      std::memcpy(numbers, codes, static_cast<size_t>(n));
      return;
    }
    for (int i = 0; i < n; i++) {
      const float held = (rounded_ == kKVInt8 ? decode_int8 : decode_fp8)(codes[i]) * layer.scale;
      std::memcpy(numbers + 4 * i, &held, 4);
    }
  }
}

void KVCache::append(int layer, int kv_head, int block, int slot, const float* key, const float* value,
                     const Kernels& kernels) {
  const Layer& of = layers_[static_cast<size_t>(layer)];
  const KVLayout layout = this->layout(of);
  uint8_t* keys = arena_.data() + (head(layer, kv_head) - arena_.data()) + block * block_bytes_;
  uint8_t* values = keys + layout.key_bytes();
  alignas(64) uint8_t key_numbers[kMaxHeadSize * 4] = {}, value_numbers[kMaxHeadSize * 4];
  encode(key, of, kernels, key_numbers);
  encode(value, of, kernels, value_numbers);
  switch (layout.number_bytes()) {
    case 1:
      scatter_key<1>(key_numbers, layout, slot, keys);
      scatter_value<1>(value_numbers, layout, slot, values);
      break;
    case 2:
      scatter_key<2>(key_numbers, layout, slot, keys);
      scatter_value<2>(value_numbers, layout, slot, values);
      break;
    default: scatter_key<4>(key_numbers, layout, slot, keys); scatter_value<4>(value_numbers, layout, slot, values);
  }
}

void KVCache::copy_block(int src, int dst, int n) {
  if (src == dst || block_bytes_ == 0) return;
  const uint8_t* from = arena_.data() + src * block_bytes_;
  uint8_t* to = arena_.data() + dst * block_bytes_;
  if (n == kBlockSize) {
    std::memcpy(to, from, static_cast<size_t>(block_bytes_));
    return;
  }
  for (const Layer& layer : layers_) {
    const KVLayout layout = this->layout(layer);
    for (int h = 0; h < layer.kv_heads; h++) {
      const int64_t at = layer.offset + h * head_bytes(layer);
      switch (layout.number_bytes()) {
        case 1: copy_slots<1>(layout, from + at, to + at, n); break;
        case 2: copy_slots<2>(layout, from + at, to + at, n); break;
        default: copy_slots<4>(layout, from + at, to + at, n);
      }
    }
  }
}

}  // namespace cpu
}  // namespace trtgo
