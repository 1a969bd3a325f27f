//go:build linux && (amd64 || arm64)

// The operations of a program. Each deals its work out in chunks whose results do
// not depend on how they are cut, and ends with a barrier.
#include <algorithm>
#include <cstring>

#include "bfloat16.h"
#include "runner.h"

namespace trtgo {
namespace cpu {

namespace {

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
