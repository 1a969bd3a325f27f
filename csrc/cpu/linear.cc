//go:build linux && (amd64 || arm64)

// The linear operation: its work dealt out in chunks of panels and rows.
#include <algorithm>
#include <vector>

#include "bfloat16.h"
#include "e4m3.h"
#include "runner.h"

namespace trtgo {
namespace cpu {

namespace {

// A chunk of a linear streams at least this much weight, so that each worker
// reads long ascending runs.
constexpr int64_t kChunkBytes = 256 << 10;

// One worker has nobody to share with; its chunks end so that an abort is seen.
constexpr int64_t kLoneChunkBytes = 4 << 20;

// From this many rows on, a chunk has at least kChunkPanels panels: the kernels' tiles and
// blocks of panels shall be whole.
constexpr int kManyRows = 8;
constexpr int64_t kChunkPanels = 32;

int64_t chunks_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

WeightShape weight_shape(const trtgo_cpu_section& s) {
  return {static_cast<WeightFormat>(s.dtype), s.cols, s.group, s.bf16_scales != 0, s.zeros != 0};
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

// Rounds a linear's input in place: only linears read it, all with this scale, and a
// number that was rounded once stays as it is.
bool Runner::round_input(const trtgo_cpu_op& op, int64_t rows) {
  const Activation& in = buffers_[static_cast<size_t>(op.in)];
  return team_.for_rows(rows, [&](int64_t r) {
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
  const WeightShape shape = weight_shape(sections_[static_cast<size_t>(op.weight)]);
  const LinearFunction kernel = kernels_->linear[shape.format][in.bf16 ? 1 : 0];
  const int64_t panels = chunks_of(op.n, kPanelRows);
  const int64_t panel_bytes = shape.panel_bytes();
  const int64_t row_chunks = chunks_of(rows, kLinearRows);
  const int64_t panels_per_chunk = panels_of_chunk(panels, panel_bytes, rows, row_chunks, team_.size());
  const int64_t panel_chunks = chunks_of(panels, panels_per_chunk);
  const std::vector<float>& bias = biases_[index];
  int64_t packed_row = -1;  // the first of the rows that this worker's scratch holds
  return team_.for_each(panel_chunks * row_chunks, [&](int64_t chunk) {
    // Panels run fastest: a worker packs its rows once. That many rows have much to do with
    // a weight, so that it may come from far.
    const int64_t first_row = chunk / panel_chunks * kLinearRows;
    const int64_t first_panel = chunk % panel_chunks * panels_per_chunk;
    LinearArgs args;
    args.x = in.row(first_row);
    args.ldx = in.ld;
    args.w = section_data(op.weight);
    args.shape = shape;
    args.bias = bias.empty() ? nullptr : bias.data();
    args.y = out.floats(first_row);
    args.ldy = out.ld;
    args.m = static_cast<int>(std::min<int64_t>(kLinearRows, rows - first_row));
    args.panel_begin = static_cast<int>(first_panel);
    args.panel_end = static_cast<int>(std::min(first_panel + panels_per_chunk, panels));
    args.accumulate = op.accumulate != 0;
    args.packed = first_row == packed_row;
    packed_row = first_row;
    args.scratch = scratch(worker);
    kernel(args);
  });
}

}  // namespace cpu
}  // namespace trtgo
