//go:build linux && (amd64 || arm64)

// The operations of a program. Each deals its work out in chunks whose results do
// not depend on how they are cut, and ends with a barrier.
#include <algorithm>
#include <cstring>

#include "bfloat16.h"
#include "e4m3.h"
#include "rotary.h"
#include "runner.h"

namespace trtgo {
namespace cpu {

namespace {

// A chunk of a linear streams at least this much weight, so that each worker
// reads long ascending runs.
constexpr int64_t kChunkBytes = 256 << 10;

// One worker has nobody to share with; its chunks end so that an abort is seen.
constexpr int64_t kLoneChunkBytes = 4 << 20;

// From this many rows on, a chunk has at least kChunkPanels panels: kernels pack the
// rows again for each chunk, which must not show beside the multiplications.
constexpr int kManyRows = 8;
constexpr int64_t kChunkPanels = 32;

// Columns of one activation chunk.
constexpr int kActivationColumns = 1024;

int64_t chunks_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

// out[width] = row `id` of a packed weight [rows, width].
void unpack_row(const uint8_t* weight, bool bf16, int64_t id, int width, float* out) {
  const int64_t lane = id % kPanelRows;
  if (bf16) {
    const int64_t panel = chunks_of(width, 2) * 2 * kPanelRows;
    const auto* p = reinterpret_cast<const uint16_t*>(weight) + id / kPanelRows * panel + lane * 2;
    for (int j = 0; j < width; j++) out[j] = from_bf16(p[int64_t{j} / 2 * 2 * kPanelRows + j % 2]);
    return;
  }
  const auto* p = reinterpret_cast<const float*>(weight) + id / kPanelRows * width * kPanelRows + lane;
  for (int j = 0; j < width; j++) out[j] = p[int64_t{j} * kPanelRows];
}

// Panels of a linear that a worker takes at once, when its rows are cut into
// row_chunks. The results do not depend on it.
int64_t panels_of_chunk(int64_t panels, int64_t panel_bytes, int64_t rows, int64_t row_chunks, int workers) {
  const int64_t wanted = chunks_of(workers > 1 ? kChunkBytes : kLoneChunkBytes, panel_bytes);
  const int64_t least = rows >= kManyRows ? kChunkPanels : 1;
  // A few chunks for each worker, so that all end at about the same time.
  const int64_t fair = chunks_of(panels * row_chunks, 4 * int64_t{workers});
  const int64_t taken = std::max(wanted, least);
  return workers > 1 ? std::min(taken, fair) : std::min(taken, panels);
}

}  // namespace

// The padding of rows that start a residual stream is cleared: what is added to it
// later is 0, unless a row held infinities, and those must not outlive their step.
bool Runner::embedding(const trtgo_cpu_op& op) {
  const trtgo_cpu_section& weight = sections_[static_cast<size_t>(op.weight)];
  const uint8_t* data = section_data(op.weight);
  const Activation& out = buffers_[static_cast<size_t>(op.out)];
  const int width = buffer_shapes_[static_cast<size_t>(op.out)].width;
  const bool bf16 = weight.dtype == TRTGO_CPU_BF16;
  return team_.for_each(step_->num_tokens, [&](int64_t token) {
    const int64_t id = step_->tokens[token];
    float* row = out.floats(token);
    if (weight.layout == TRTGO_CPU_PANEL16) {
      unpack_row(data, bf16, id, width, row);
    } else if (bf16) {
      const auto* w = reinterpret_cast<const uint16_t*>(data) + id * width;
      for (int j = 0; j < width; j++) row[j] = from_bf16(w[j]);
    } else {
      std::memcpy(row, reinterpret_cast<const float*>(data) + id * width, static_cast<size_t>(width) * 4);
    }
    std::fill(row + width, row + out.ld, 0.0f);
  });
}

bool Runner::norm(const trtgo_cpu_op& op, int64_t rows) {
  const Activation& in = buffers_[static_cast<size_t>(op.in)];
  const Activation& out = buffers_[static_cast<size_t>(op.out)];
  const int width = buffer_shapes_[static_cast<size_t>(op.in)].width;
  const float* weight = section_floats(op.weight);
  const float* bias = op.bias >= 0 ? section_floats(op.bias) : nullptr;
  return team_.for_each(rows, [&](int64_t r) {
    if (op.norm == TRTGO_CPU_NORM_RMS) {
      kernels_->rms_norm(in.floats(r), weight, op.epsilon, width, out.row(r), out.bf16);
    } else {
      kernels_->layer_norm(in.floats(r), weight, bias, op.epsilon, width, out.row(r), out.bf16);
    }
  });
}

// Rounds a linear's input in place: only linears read it, all with this scale, and a
// number that was rounded once stays as it is.
bool Runner::round_input(const trtgo_cpu_op& op, int64_t rows) {
  const Activation& in = buffers_[static_cast<size_t>(op.in)];
  return team_.for_each(rows, [&](int64_t r) {
    if (in.bf16) {
      auto* row = reinterpret_cast<uint16_t*>(in.row(r));
      for (int i = 0; i < op.k; i++) row[i] = round_bf16(round_e4m3(from_bf16(row[i]), op.input_scale));
      return;
    }
    float* row = in.floats(r);
    for (int i = 0; i < op.k; i++) row[i] = round_e4m3(row[i], op.input_scale);
  });
}

bool Runner::linear(size_t index, int worker, int64_t rows) {
  const trtgo_cpu_op& op = ops_[index];
  if (op.input_scale > 0 && !round_input(op, rows)) return false;
  const Activation& in = buffers_[static_cast<size_t>(op.in)];
  const Activation& out = buffers_[static_cast<size_t>(op.out)];
  const bool bf16_weight = sections_[static_cast<size_t>(op.weight)].dtype == TRTGO_CPU_BF16;
  const auto kernel = in.bf16       ? kernels_->linear_bf16_bf16
                      : bf16_weight ? kernels_->linear_f32_bf16
                                    : kernels_->linear_f32_f32;
  const int64_t panels = chunks_of(op.n, kPanelRows);
  const int64_t panel_bytes = int64_t{kPanelRows} * op.k * (bf16_weight ? 2 : 4);
  const int64_t row_chunks = chunks_of(rows, kLinearRows);
  const int64_t panels_per_chunk = panels_of_chunk(panels, panel_bytes, rows, row_chunks, team_.size());
  const int64_t panel_chunks = chunks_of(panels, panels_per_chunk);
  const std::vector<float>& bias = biases_[index];
  return team_.for_each(panel_chunks * row_chunks, [&](int64_t chunk) {
    // Rows run fastest, so that a panel's weights are read again while they are near.
    const int64_t first_row = chunk % row_chunks * kLinearRows;
    const int64_t first_panel = chunk / row_chunks * panels_per_chunk;
    LinearArgs args;
    args.x = in.row(first_row);
    args.ldx = in.ld;
    args.w = section_data(op.weight);
    args.bias = bias.empty() ? nullptr : bias.data();
    args.y = out.floats(first_row);
    args.ldy = out.ld;
    args.m = static_cast<int>(std::min<int64_t>(kLinearRows, rows - first_row));
    args.k = op.k;
    args.panel_begin = static_cast<int>(first_panel);
    args.panel_end = static_cast<int>(std::min(first_panel + panels_per_chunk, panels));
    args.accumulate = op.accumulate != 0;
    args.scratch = scratch(worker);
    kernel(args);
  });
}

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

bool Runner::activation(const trtgo_cpu_op& op, int64_t rows) {
  const Activation& in = buffers_[static_cast<size_t>(op.in)];
  const Activation& out = buffers_[static_cast<size_t>(op.out)];
  const int64_t columns = chunks_of(op.width, kActivationColumns);
  return team_.for_each(rows * columns, [&](int64_t chunk) {
    const int64_t r = chunk / columns;
    const int first = static_cast<int>(chunk % columns) * kActivationColumns;
    const float* a = in.floats(r) + first;
    const float* b = op.gated != 0 ? a + op.width : nullptr;
    kernels_->activation(op.function, a, b, std::min(kActivationColumns, op.width - first),
                         out.row(r) + int64_t{first} * (out.bf16 ? 2 : 4), out.bf16);
  });
}

bool Runner::select(const trtgo_cpu_op& op, int first_row, int64_t rows) {
  const Activation& in = buffers_[static_cast<size_t>(op.in)];
  const Activation& out = buffers_[static_cast<size_t>(op.out)];
  const int width = buffer_shapes_[static_cast<size_t>(op.in)].width;
  return team_.for_each(rows, [&](int64_t r) {
    const float* from = in.floats(step_->rows[first_row + r].token);
    std::fill(std::copy(from, from + width, out.floats(r)), out.floats(r) + out.ld, 0.0f);
  });
}

}  // namespace cpu
}  // namespace trtgo
