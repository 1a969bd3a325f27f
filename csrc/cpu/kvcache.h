// KVCache: the arena of KV blocks.
//
// A block holds TRTGO_CPU_BLOCK_SIZE tokens of all layers and KV heads, so that
// copying one is one copy and an unused one costs no memory. Inside it, each
// (layer, KV head) has its keys, then its values, as KVLayout describes.
//
// A cache of int8 or FP8 holds value / scale, rounded; `exact` arithmetic reads the same
// numbers times scale from a cache of floats.
#ifndef TRTGO_CPU_KVCACHE_H_
#define TRTGO_CPU_KVCACHE_H_

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "kvlayout.h"
#include "memory.h"
#include "trtgo_cpu.h"

namespace trtgo {
namespace cpu {

constexpr int kBlockSize = TRTGO_CPU_BLOCK_SIZE;

class KVCache {
 public:
  struct Layer {
    int kv_heads = 0;
    int head_size = 0;
    float scale = 1;     // of the numbers
    int64_t offset = 0;  // of its first head in a block
  };

  KVCache() = default;
  // held: what the cache holds; rounded: what values are rounded to, held or, if that is
  // float, any. layers' offsets are computed here. Throws Failure.
  KVCache(std::vector<Layer> layers, int num_blocks, KVFormat held, KVFormat rounded);

  int num_blocks() const { return num_blocks_; }
  KVFormat format() const { return format_; }
  int64_t block_bytes() const { return block_bytes_; }

  // Base for AttentionArgs: block b of this layer and head is block_bytes()*b on.
  const uint8_t* head(int layer, int kv_head) const;
  // Bytes from a head's keys to its values.
  int64_t v_offset(int layer) const;
  // AttentionArgs.kv_scale.
  float scale(int layer) const;

  // Writes one token's rotated key and its value [head_size] of one head. Distinct
  // tokens or heads may be written by distinct threads at once.
  void append(int layer, int kv_head, int block, int slot, const float* key, const float* value,
              const Kernels& kernels);

  // Copies the first n tokens of src to dst; the other tokens of dst stay.
  void copy_block(int src, int dst, int n);

 private:
  KVLayout layout(const Layer& layer) const { return {format_, layer.head_size, kBlockSize}; }
  int64_t head_bytes(const Layer& layer) const { return layout(layer).key_bytes() + layout(layer).value_bytes(); }
  void encode(const float* values, const Layer& layer, const Kernels& kernels, uint8_t* numbers) const;

  std::vector<Layer> layers_;
  int num_blocks_ = 0;
  KVFormat format_ = kKVF32;
  KVFormat rounded_ = kKVF32;
  int64_t block_bytes_ = 0;
  Mapping arena_;
};

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KVCACHE_H_
