//go:build linux && (amd64 || arm64)

// The attention operation: keys and values into the cache, then tiles of queries.
#include <cstdint>

#include "rotary.h"
#include "runner.h"

namespace trtgo {
namespace cpu {

// Rotates a token's queries in place, and its keys into the cache.
void Runner::append_token(const trtgo_cpu_op& op, int64_t token, int s, int position) {
  const int rotary = rotary_of_op_[static_cast<size_t>(&op - ops_.data())];
  const trtgo_cpu_sequence& sequence = step_->sequences[s];
  float* row = buffers_[static_cast<size_t>(op.in)].floats(token);
  const int block = step_->block_tables[sequence.first_block + position / kBlockSize];
  for (int h = 0; h < op.heads + op.kv_heads; h++) {
    float* head = row + int64_t{h} * op.head_size;
    if (rotary >= 0) {
      const Rotary& r = rotaries_[static_cast<size_t>(rotary)];
      rotate_half(head, r.row(token), r.half, op.head_size, head);
    }
    if (h < op.heads) continue;
    const float* value = head + int64_t{op.kv_heads} * op.head_size;
    cache_.append(op.layer, h - op.heads, block, position % kBlockSize, head, value, *kernels_);
  }
}

bool Runner::attention(const trtgo_cpu_op& op, int worker) {
  const bool appended = team_.for_each(step_->num_tokens, [&](int64_t token) {
    const int s = sequence_of_[static_cast<size_t>(token)];
    const trtgo_cpu_sequence& sequence = step_->sequences[s];
    append_token(op, token, s, sequence.first_position + static_cast<int>(token) - sequence.first_token);
  });
  if (!appended) return false;
  const Activation& in = buffers_[static_cast<size_t>(op.in)];
  const Activation& out = buffers_[static_cast<size_t>(op.out)];
  const int group = op.heads / op.kv_heads;
  const auto kernel = cache_.bf16() ? kernels_->attention_bf16 : kernels_->attention_f32;
  const auto items = static_cast<int64_t>(tiles_.size()) * op.kv_heads;
  return team_.for_each(items, [&](int64_t item) {
    const QueryTile& tile = tiles_[static_cast<size_t>(item / op.kv_heads)];
    const int kv_head = static_cast<int>(item % op.kv_heads);
    const int64_t column = int64_t{kv_head} * group * op.head_size;
    AttentionArgs args;
    args.q = in.floats(tile.first_token) + column;
    args.ldq = in.ld;
    args.out = out.row(tile.first_token) + column * (out.bf16 ? 2 : 4);
    args.ldo = out.ld;
    args.out_bf16 = out.bf16;
    args.kv = cache_.head(op.layer, kv_head);
    args.block_stride = cache_.block_bytes();
    args.v_offset = cache_.v_offset(op.layer);
    args.block_table = step_->block_tables + step_->sequences[tile.sequence].first_block;
    args.block_size = kBlockSize;
    args.head_size = op.head_size;
    args.group = group;
    args.rows = tile.rows;
    args.first_position = tile.first_position;
    args.window = op.window;
    args.scale = op.scale;
    args.scratch = reinterpret_cast<float*>(scratch(worker));
    kernel(args);
  });
}

}  // namespace cpu
}  // namespace trtgo
