// Linear layers of plain C++, one number at a time: what kernels.h says, written down
// without regard for speed. Included once, by kernels_scalar.cc, which does not fuse
// multiplications and additions but where std::fma stands.
#ifndef TRTGO_CPU_KERNELS_SCALAR_LINEAR_H_
#define TRTGO_CPU_KERNELS_SCALAR_LINEAR_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels.h"
#include "kernels_bf16.h"

namespace trtgo {
namespace cpu {
namespace {

constexpr int kLineBytes = 64;
constexpr int kIntegerGroup = 128;  // of x, where the weights have none

inline float widen(float value) { return value; }
inline float widen(uint16_t value) { return widen_bf16(value); }

inline float widen_f16(uint16_t value) {
  const uint32_t sign = uint32_t{value & 0x8000u} << 16, exponent = value >> 10 & 0x1fu, mantissa = value & 0x3ffu;
  if (exponent == 0x1f) return float_from_bits(sign | 0x7f800000u | mantissa << 13);
  if (exponent != 0) return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

inline float widen_e4m3(uint8_t value) {
  const int exponent = value >> 3 & 0xf, mantissa = value & 7;
  float magnitude;
  if ((value & 0x7f) == 0x7f) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = static_cast<float>(mantissa) * 0x1p-9f;
  } else {
    magnitude = std::ldexp(1.0f + static_cast<float>(mantissa) / 8, exponent - 7);
  }
  return (value & 0x80) != 0 ? -magnitude : magnitude;
}

// A panel of float weights, [k][16].
struct FloatPanel {
  static int64_t bytes(int k) { return int64_t{k} * kPanelRows * 4; }

  template <class X, int R>
  static void multiply(const X* x, int64_t ldx, const uint8_t* w, int k, float (&sum)[R][kPanelRows]) {
    const float* line = reinterpret_cast<const float*>(w);
    for (int i = 0; i < k; i++, line += kPanelRows) {
      for (int r = 0; r < R; r++) {
        const float a = widen(x[r * ldx + i]);
        for (int j = 0; j < kPanelRows; j++) sum[r][j] += a * line[j];
      }
    }
  }
};

// A panel of bf16 weights, [k/2][16][2].
struct Bf16Panel {
  static int64_t bytes(int k) { return int64_t{k + (k & 1)} * kPanelRows * 2; }

  template <class X, int R>
  static void multiply(const X* x, int64_t ldx, const uint8_t* w, int k, float (&sum)[R][kPanelRows]) {
    for (int i = 0; i < k; i += 2, w += 4 * kPanelRows) {
      float even[kPanelRows], odd[kPanelRows];
      for (int j = 0; j < kPanelRows; j++) {
        uint32_t pair;
        std::memcpy(&pair, w + 4 * j, sizeof pair);
        even[j] = float_from_bits(pair << 16);
        odd[j] = float_from_bits(pair & 0xffff0000u);
      }
      for (int r = 0; r < R; r++) {
        const float a = widen(x[r * ldx + i]);
        const float b = widen(x[r * ldx + i + 1]);
        for (int j = 0; j < kPanelRows; j++) sum[r][j] += a * even[j];
        for (int j = 0; j < kPanelRows; j++) sum[r][j] += b * odd[j];
      }
    }
  }
};

// A panel of f16 weights, [k][16].
struct F16Panel {
  static int64_t bytes(int k) { return int64_t{k + (k & 1)} * kPanelRows * 2; }

  template <class X, int R>
  static void multiply(const X* x, int64_t ldx, const uint8_t* w, int k, float (&sum)[R][kPanelRows]) {
    const uint16_t* line = reinterpret_cast<const uint16_t*>(w);
    for (int i = 0; i < k; i++, line += kPanelRows) {
      for (int r = 0; r < R; r++) {
        const float a = widen(x[r * ldx + i]);
        for (int j = 0; j < kPanelRows; j++) sum[r][j] += a * widen_f16(line[j]);
      }
    }
  }
};

// y of one row and panel from its totals.
inline void finish(const LinearArgs& args, int row, int panel, const float (&total)[kPanelRows]) {
  float* y = args.y + row * args.ldy + int64_t{panel} * kPanelRows;
  for (int j = 0; j < kPanelRows; j++) {
    float value = total[j];
    if (args.bias != nullptr) value += args.bias[panel * kPanelRows + j];
    if (args.accumulate) value += y[j];
    y[j] = value;
  }
}

template <class X, class Panel, int R>
void linear_rows(const LinearArgs& args, int row) {
  const X* x = static_cast<const X*>(args.x) + row * args.ldx;
  for (int panel = args.panel_begin; panel < args.panel_end; panel++) {
    const uint8_t* w = static_cast<const uint8_t*>(args.w) + panel * Panel::bytes(args.shape.k);
    float sum[R][kPanelRows] = {};
    Panel::template multiply<X, R>(x, args.ldx, w, args.shape.k, sum);
    for (int r = 0; r < R; r++) finish(args, row + r, panel, sum[r]);
  }
}

template <class X, class Panel>
void linear(const LinearArgs& args) {
  int row = 0;
  for (; row + 2 <= args.m; row += 2) linear_rows<X, Panel, 2>(args, row);
  for (; row < args.m; row++) linear_rows<X, Panel, 1>(args, row);
}

// The numbers of one k of the lines of a panel or group.

inline const uint8_t* byte_of(const uint8_t* lines, int k) {
  constexpr int kPlace[] = {0, 2, 1, 3};
  return lines + int64_t{k / 4} * kLineBytes + kPlace[k % 4];
}

struct Int8Numbers {
  using Number = int;
  static void read(const uint8_t* lines, int k, int (&out)[kPanelRows]) {
    const uint8_t* p = byte_of(lines, k);
    for (int j = 0; j < kPanelRows; j++) out[j] = p[4 * j] - 128;
  }
};

struct Int4Numbers {
  using Number = int;
  static void read(const uint8_t* lines, int k, int (&out)[kPanelRows]) {
    const uint8_t* words = lines + int64_t{k / 8} * kLineBytes + k % 2 * 2;
    for (int j = 0; j < kPanelRows; j++) {
      uint16_t word;
      std::memcpy(&word, words + 4 * j, sizeof word);
      out[j] = (word >> (k % 8 / 2 * 4) & 0xf) - 8;
    }
  }
};

struct Fp8Numbers {
  using Number = float;
  static void read(const uint8_t* lines, int k, float (&out)[kPanelRows]) {
    const uint8_t* p = byte_of(lines, k);
    for (int j = 0; j < kPanelRows; j++) out[j] = widen_e4m3(p[4 * j]);
  }
};

// Where a group of a panel has its scales, zeros and lines. Without groups the whole
// of k is one.
struct Group {
  const uint8_t* scales;
  const uint8_t* zeros;  // null without
  const uint8_t* lines;
  bool bf16;

  static float value(const uint8_t* from, bool bf16, int j) {
    if (bf16) {
      uint16_t half;
      std::memcpy(&half, from + 2 * j, sizeof half);
      return widen_bf16(half);
    }
    float value;
    std::memcpy(&value, from + 4 * j, sizeof value);
    return value;
  }
  float scale(int j) const { return value(scales, bf16, j); }
  float zero(int j) const { return value(zeros, bf16, j); }
};

inline Group group_of(const WeightShape& shape, const uint8_t* panel, int g) {
  if (shape.group == 0) return {panel, nullptr, panel + kLineBytes, false};
  const int in_block = shape.bf16_scales && !shape.zeros ? 2 : 1;
  const int values = kPanelRows * (shape.bf16_scales ? 2 : 4);  // bytes
  const int64_t header = !shape.bf16_scales && shape.zeros ? 2 * kLineBytes : kLineBytes;
  const int64_t lines = int64_t{shape.group / 8} * kLineBytes;
  const uint8_t* block = panel + g / in_block * (header + in_block * lines);
  const uint8_t* scales = block + g % in_block * values;
  return {scales, shape.zeros ? block + values : nullptr, block + header + g % in_block * lines, shape.bf16_scales};
}

// With a scale for each output: x is not cut.
template <class X, class Numbers>
void linear_scaled(const LinearArgs& args) {
  for (int panel = args.panel_begin; panel < args.panel_end; panel++) {
    const uint8_t* w = static_cast<const uint8_t*>(args.w) + panel * args.shape.panel_bytes();
    const Group all = group_of(args.shape, w, 0);
    for (int row = 0; row < args.m; row++) {
      const X* x = static_cast<const X*>(args.x) + row * args.ldx;
      float sum[kPanelRows] = {};
      for (int k = 0; k < args.shape.k; k++) {
        typename Numbers::Number number[kPanelRows];
        Numbers::read(all.lines, k, number);
        for (int j = 0; j < kPanelRows; j++) sum[j] += widen(x[k]) * static_cast<float>(number[j]);
      }
      for (int j = 0; j < kPanelRows; j++) sum[j] *= all.scale(j);
      finish(args, row, panel, sum);
    }
  }
}

// With a scale for each group and float x.
template <class X>
void linear_int4(const LinearArgs& args) {
  if (args.shape.group == 0) return linear_scaled<X, Int4Numbers>(args);
  for (int panel = args.panel_begin; panel < args.panel_end; panel++) {
    const uint8_t* w = static_cast<const uint8_t*>(args.w) + panel * args.shape.panel_bytes();
    for (int row = 0; row < args.m; row++) {
      const X* x = static_cast<const X*>(args.x) + row * args.ldx;
      float total[kPanelRows] = {};
      for (int g = 0; g < args.shape.k / args.shape.group; g++, x += args.shape.group) {
        const Group group = group_of(args.shape, w, g);
        float sum[kPanelRows] = {}, x_sum = 0;
        for (int k = 0; k < args.shape.group; k++) {
          int number[kPanelRows];
          Int4Numbers::read(group.lines, k, number);
          for (int j = 0; j < kPanelRows; j++) sum[j] += widen(x[k]) * static_cast<float>(number[j]);
          x_sum += widen(x[k]);
        }
        for (int j = 0; j < kPanelRows; j++) {
          total[j] = std::fma(sum[j], group.scale(j), total[j]);
          if (args.shape.zeros) total[j] = std::fma(x_sum, group.zero(j), total[j]);
        }
      }
      finish(args, row, panel, total);
    }
  }
}

// A group of x as whole numbers times a power of two.
struct IntegerGroup {
  float unit;
  int32_t n[kIntegerGroup];

  void set(const uint16_t* x, int size) {
    uint32_t largest = 0;
    for (int k = 0; k < size; k++) largest = std::max(largest, uint32_t{x[k] & 0x7fffu});
    const bool finite = largest < 0x7f80u;
    const int exponent = std::max(-100, static_cast<int>(largest >> 7) - 127) - 14;
    unit = finite ? std::ldexp(1.0f, exponent) : std::numeric_limits<float>::quiet_NaN();
    const float inverse = std::ldexp(1.0f, -exponent);
    for (int k = 0; k < size; k++) {
      n[k] = finite ? static_cast<int32_t>(std::nearbyint(widen_bf16(x[k]) * inverse)) : 0;
    }
  }
};

template <class Numbers>
void linear_integers(const LinearArgs& args) {
  const WeightShape& shape = args.shape;
  const int size = shape.group > 0 ? shape.group : kIntegerGroup;
  for (int row = 0; row < args.m; row++) {
    const uint16_t* x = static_cast<const uint16_t*>(args.x) + row * args.ldx;
    for (int panel = args.panel_begin; panel < args.panel_end; panel++) {
      const uint8_t* w = static_cast<const uint8_t*>(args.w) + panel * shape.panel_bytes();
      float total[kPanelRows] = {};
      for (int begin = 0; begin < shape.k; begin += size) {
        const Group group = group_of(shape, w, begin / size);
        const int count = std::min(size, shape.k - begin), first = shape.group > 0 ? 0 : begin;
        IntegerGroup a;
        a.set(x + begin, count);
        int32_t dot[kPanelRows] = {}, n_sum = 0;
        for (int k = 0; k < count; k++) {
          int number[kPanelRows];
          Numbers::read(group.lines, first + k, number);
          for (int j = 0; j < kPanelRows; j++) dot[j] += a.n[k] * number[j];
          n_sum += a.n[k];
        }
        const float x_sum = static_cast<float>(n_sum) * a.unit;
        for (int j = 0; j < kPanelRows; j++) {
          const auto whole = static_cast<float>(dot[j]);
          if (shape.group == 0) {
            total[j] = std::fma(whole, a.unit, total[j]);
            continue;
          }
          total[j] = std::fma(whole * a.unit, group.scale(j), total[j]);
          if (shape.zeros) total[j] = std::fma(x_sum, group.zero(j), total[j]);
        }
      }
      if (shape.group == 0) {
        for (int j = 0; j < kPanelRows; j++) total[j] *= group_of(shape, w, 0).scale(j);
      }
      finish(args, row, panel, total);
    }
  }
}

int64_t linear_scratch_bytes(int, int) { return 0; }

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_SCALAR_LINEAR_H_
