//go:build linux && (amd64 || arm64)

// The attention operation: keys and values into the cache, then queries by tiles, of
// long contexts by tiles and ranges of positions, then what the ranges gave together.
#include <algorithm>
#include <cstdint>

#include "rotary.h"
#include "runner.h"

namespace trtgo {
namespace cpu {

namespace {

// Beyond so many tiles and heads for each thread there is enough to deal out without
// cutting contexts.
constexpr int64_t kItemsOfThread = 8;

int first_visible(const trtgo_cpu_op& op, int position) {
  return op.window > 0 ? std::max(0, position - op.window + 1) : 0;
}

}  // namespace

// The cuts do not change bits, so they may follow threads and what memory there is.
Runner::AttentionWork Runner::plan_attention(const trtgo_cpu_op& op) const {
  AttentionWork work;
  const int64_t group = op.heads / op.kv_heads;
  const auto items = static_cast<int64_t>(tiles_.size()) * op.kv_heads;
  const bool few = items < kItemsOfThread * team_.size();
  int64_t used = 0;
  for (int t = 0; t < static_cast<int>(tiles_.size()); t++) {
    const QueryTile& tile = tiles_[static_cast<size_t>(t)];
    const int first = first_visible(op, tile.first_position) / kAttentionRange;
    const int ranges = (tile.first_position + tile.rows - 1) / kAttentionRange - first + 1;
    const int64_t floats = ranges * tile.rows * group * partial_floats(op.head_size);
    const bool cut = team_.size() > 1 && ranges > 1 && (few || tile.rows == 1) &&
                     used + floats * op.kv_heads <= partials_bytes(team_.size()) / 4;
    for (int h = 0; h < op.kv_heads; h++) {
      if (!cut) {
        work.items.push_back({t, h, -1, 0});
        continue;
      }
      for (int range = 0; range < ranges; range++) work.items.push_back({t, h, first + range, used});
      work.merges.push_back({t, h, -1, used});
      used += floats;
    }
  }
  return work;
}

// Rotates the queries of a KV head's group in place, and its keys into the cache.
void Runner::append_tokens(const trtgo_cpu_op& op, const QueryTile& tokens, int kv_head) {
  const int rotary = rotary_of_op_[static_cast<size_t>(&op - ops_.data())];
  const int group = op.heads / op.kv_heads, size = op.head_size;
  const int32_t* table = step_->block_tables + step_->sequences[tokens.sequence].first_block;
  for (int i = 0; i < tokens.rows; i++) {
    const int64_t token = tokens.first_token + i;
    const int position = tokens.first_position + i;
    float* row = buffers_[static_cast<size_t>(op.in)].floats(token);
    float* key = row + int64_t{op.heads + kv_head} * size;
    if (rotary >= 0) {
      const Rotary& r = rotaries_[static_cast<size_t>(rotary)];
      for (int h = kv_head * group; h < (kv_head + 1) * group; h++) {
        rotate_half(row + int64_t{h} * size, r.row(token), r.half, size, row + int64_t{h} * size);
      }
      rotate_half(key, r.row(token), r.half, size, key);
    }
    cache_.append(op.layer, kv_head, table[position / kBlockSize], position % kBlockSize, key,
                  key + int64_t{op.kv_heads} * size, *kernels_);
  }
}

AttentionArgs Runner::attention_args(const trtgo_cpu_op& op, const AttentionItem& item, int worker) const {
  const Activation& in = buffers_[static_cast<size_t>(op.in)];
  const Activation& out = buffers_[static_cast<size_t>(op.out)];
  const QueryTile& tile = tiles_[static_cast<size_t>(item.tile)];
  const int group = op.heads / op.kv_heads;
  const int64_t column = int64_t{item.kv_head} * group * op.head_size;
  AttentionArgs args;
  args.q = in.floats(tile.first_token) + column;
  args.ldq = in.ld;
  args.out = out.row(tile.first_token) + column * (out.bf16 ? 2 : 4);
  args.ldo = out.ld;
  args.out_bf16 = out.bf16;
  args.out_factor = op.out_factor >= 0 ? section_floats(op.out_factor) + column : nullptr;
  args.kv = cache_.head(op.layer, item.kv_head);
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
  args.kv_scale = cache_.scale(op.layer);
  args.partials = nullptr;
  args.range = item.range;
  args.scratch = reinterpret_cast<float*>(scratch(worker));
  return args;
}

bool Runner::attention(const trtgo_cpu_op& op, int worker) {
  const auto appends = static_cast<int64_t>(appends_.size()) * op.kv_heads;
  const bool appended = team_.for_rows(appends, [&](int64_t i) {
    append_tokens(op, appends_[static_cast<size_t>(i / op.kv_heads)], static_cast<int>(i % op.kv_heads));
  });
  if (!appended) return false;
  const AttentionWork& work = attention_work_[static_cast<size_t>(work_of_op_[static_cast<size_t>(&op - ops_.data())])];
  auto* partials = reinterpret_cast<float*>(partials_.data());
  const auto kernel = kernels_->attention[cache_.format()];
  // From the end: the last tiles of a prompt see most and must not come last.
  const auto items = static_cast<int64_t>(work.items.size());
  const bool attended = team_.for_each(items, [&](int64_t i) {
    const AttentionItem& item = work.items[static_cast<size_t>(items - 1 - i)];
    AttentionArgs args = attention_args(op, item, worker);
    if (item.range >= 0) args.partials = partials + item.partials;
    kernel(args);
  });
  if (!attended || work.merges.empty()) return attended;
  return team_.for_each(static_cast<int64_t>(work.merges.size()), [&](int64_t i) {
    const AttentionItem& item = work.merges[static_cast<size_t>(i)];
    AttentionArgs args = attention_args(op, item, worker);
    args.partials = partials + item.partials;
    kernels_->attention_merge(args);
  });
}

}  // namespace cpu
}  // namespace trtgo
