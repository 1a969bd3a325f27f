// Where a KV block has its numbers: what attention kernels read and the cache writes.
//
// The keys and values of one layer and KV head in a block are panels of lines, as the
// weights of linears are: a line has 16 words of 4 bytes, a word 1 float, 2 bf16 or 4
// numbers of a byte. Keys: a panel for 16 tokens, a word for each token, consecutive
// columns in a word. Values: a panel for 16 columns, a word for each column, consecutive
// tokens in a word. The bytes of a word stand for its numbers 0, 2, 1, 3.
#ifndef TRTGO_CPU_KVLAYOUT_H_
#define TRTGO_CPU_KVLAYOUT_H_

#include <cstdint>

#include "kernels.h"

namespace trtgo {
namespace cpu {

struct KVLayout {
  KVFormat format;
  int head_size;
  int block_size;

  int number_bytes() const { return format == kKVF32 ? 4 : format == kKVBf16 ? 2 : 1; }
  int depth() const { return 4 / number_bytes(); }  // numbers in a word

  // One panel, and all of a block.
  int64_t key_panel_bytes() const { return int64_t{(head_size + depth() - 1) / depth()} * 64; }
  int64_t value_panel_bytes() const { return int64_t{block_size / depth()} * 64; }
  int64_t key_bytes() const { return block_size / kPanelRows * key_panel_bytes(); }
  int64_t value_bytes() const { return (head_size + kPanelRows - 1) / kPanelRows * value_panel_bytes(); }

  // The byte at which a number begins, from the first of the keys, or of the values.
  int64_t key_offset(int slot, int column) const {
    return slot / kPanelRows * key_panel_bytes() + word(column / depth(), slot % kPanelRows) + part(column % depth());
  }
  int64_t value_offset(int slot, int column) const {
    return column / kPanelRows * value_panel_bytes() + word(slot / depth(), column % kPanelRows) + part(slot % depth());
  }

 private:
  static int64_t word(int line, int lane) { return (int64_t{line} * kPanelRows + lane) * 4; }
  int part(int i) const { return format == kKVBf16 ? 2 * i : (i & 1) * 2 + i / 2; }
};

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KVLAYOUT_H_
