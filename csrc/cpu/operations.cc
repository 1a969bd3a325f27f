//go:build linux && (amd64 || arm64)

// The operations of a program. Each deals its work out in chunks whose results do
// not depend on how they are cut, and ends with a barrier.
#include <algorithm>
#include <cstring>

#include "bfloat16.h"
#include "float16.h"
#include "runner.h"

namespace trtgo {
namespace cpu {

namespace {

// Columns of one activation chunk.
constexpr int kActivationColumns = 1024;

int64_t chunks_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

float widen(int dtype, uint16_t value) { return dtype == TRTGO_CPU_F16 ? from_f16(value) : from_bf16(value); }

// out[width] = row `id` of a packed weight [rows, width]; of 16-bit dtypes bf16 puts k in
// pairs, f16 one by one.
void unpack_row(const trtgo_cpu_section& section, const uint8_t* weight, int64_t id, float* out) {
  const int width = section.cols;
  const int64_t panel = id / kPanelRows, lane = id % kPanelRows;
  if (section.dtype == TRTGO_CPU_F32) {
    const auto* p = reinterpret_cast<const float*>(weight) + panel * width * kPanelRows + lane;
    for (int j = 0; j < width; j++) out[j] = p[int64_t{j} * kPanelRows];
    return;
  }
  const int64_t paired = section.dtype == TRTGO_CPU_BF16 ? 2 : 1;
  const auto* p = reinterpret_cast<const uint16_t*>(weight) + panel * chunks_of(width, 2) * 2 * kPanelRows;
  for (int j = 0; j < width; j++) {
    out[j] = widen(section.dtype, p[(j / paired * kPanelRows + lane) * paired + j % paired]);
  }
}

// The same of a weight that is not packed.
void copy_row(const trtgo_cpu_section& section, const uint8_t* weight, int64_t id, float* out) {
  const int width = section.cols;
  if (section.dtype == TRTGO_CPU_F32) {
    std::memcpy(out, reinterpret_cast<const float*>(weight) + id * width, static_cast<size_t>(width) * 4);
    return;
  }
  const auto* w = reinterpret_cast<const uint16_t*>(weight) + id * width;
  for (int j = 0; j < width; j++) out[j] = widen(section.dtype, w[j]);
}

}  // namespace

// The padding of rows that start a residual stream is cleared: what is added to it
// later is 0, unless a row held infinities, and those must not outlive their step.
bool Runner::embedding(const trtgo_cpu_op& op) {
  const trtgo_cpu_section& weight = sections_[static_cast<size_t>(op.weight)];
  const uint8_t* data = section_data(op.weight);
  const Activation& out = buffers_[static_cast<size_t>(op.out)];
  const int width = buffer_shapes_[static_cast<size_t>(op.out)].width;
  return team_.for_rows(step_->num_tokens, [&](int64_t token) {
    const int64_t id = step_->tokens[token];
    float* row = out.floats(token);
    if (weight.layout == TRTGO_CPU_PANEL16) {
      unpack_row(weight, data, id, row);
    } else {
      copy_row(weight, data, id, row);
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
  return team_.for_rows(rows, [&](int64_t r) {
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
  const float* factor = op.out_factor >= 0 ? section_floats(op.out_factor) : nullptr;
  const int64_t columns = chunks_of(op.width, kActivationColumns);
  return team_.for_rows(rows * columns, [&](int64_t chunk) {
    const int64_t r = chunk / columns;
    const int first = static_cast<int>(chunk % columns) * kActivationColumns;
    const float* a = in.floats(r) + first;
    const float* b = op.gated != 0 ? a + op.width : nullptr;
    const float* of_columns = factor != nullptr ? factor + first : nullptr;
    kernels_->activation(op.function, a, b, of_columns, std::min(kActivationColumns, op.width - first),
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
