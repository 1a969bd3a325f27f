//go:build linux && (amd64 || arm64)

// The kernel set of plain C++: every processor can run it, and the other sets
// are compared with it.

#include "kernels_set.h"
// After kernels_set.h:
#include "kernels_scalar_linear.h"
#include "kvlayout.h"

namespace trtgo {
namespace cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

inline void store(void* out, bool bf16, int64_t i, float value) {
  if (bf16) {
    static_cast<uint16_t*>(out)[i] = round_bf16(value);
  } else {
    static_cast<float*>(out)[i] = value;
  }
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

// After store:
#include "kernels_attention_scalar.h"

namespace trtgo {
namespace cpu {
namespace {

void rms_norm(const float* x, const float* weight, float epsilon, int n, void* out, bool out_bf16) {
  double squares = 0;
  for (int i = 0; i < n; i++) squares += double{x[i]} * x[i];
  const float scale = static_cast<float>(1 / std::sqrt(squares / n + epsilon));
  for (int i = 0; i < n; i++) store(out, out_bf16, i, x[i] * scale * weight[i]);
}

void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int n, void* out,
                bool out_bf16) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += x[i];
  const double mean = sum / n;
  double squares = 0;
  for (int i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
  const double scale = 1 / std::sqrt(squares / n + epsilon);
  for (int i = 0; i < n; i++) {
    const float centred = static_cast<float>((x[i] - mean) * scale);
    store(out, out_bf16, i, centred * weight[i] + (bias != nullptr ? bias[i] : 0.0f));
  }
}

float silu(float x) { return x / (1 + std::exp(-x)); }

float relu(float x) { return x < 0 ? 0.0f : x; }

float squared_relu(float x) { return relu(x) * relu(x); }

float gelu(float x) { return 0.5f * x * (1 + std::erf(x * 0.70710678f)); }

// x/2 (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x³).
float gelu_tanh(float x) {
  const float u = 1.59576912f * (x + 0.044715f * x * x * x);
  return x / (1 + std::exp(-u));
}

template <float (*F)(float)>
void activate(const float* a, const float* b, const float* factor, int n, void* out, bool out_bf16) {
  for (int i = 0; i < n; i++) {
    float value = F(a[i]);
    if (b != nullptr) value *= b[i];
    if (factor != nullptr) value *= factor[i];
    store(out, out_bf16, i, value);
  }
}

void activation(int function, const float* a, const float* b, const float* factor, int n, void* out, bool out_bf16) {
  switch (function) {
    case kSilu: return activate<silu>(a, b, factor, n, out, out_bf16);
    case kSquaredRelu: return activate<squared_relu>(a, b, factor, n, out, out_bf16);
    case kRelu: return activate<relu>(a, b, factor, n, out, out_bf16);
    case kGelu: return activate<gelu>(a, b, factor, n, out, out_bf16);
    case kGeluTanh: return activate<gelu_tanh>(a, b, factor, n, out, out_bf16);
  }
}

RowStatistics row_statistics(const float* x, int n, float inv_temperature) {
  float max = -kInfinity;
  for (int i = 0; i < n; i++) {
    const float value = x[i] * inv_temperature;
    if (std::isnan(value)) return {value, value};
    max = std::max(max, value);
  }
  if (std::isinf(max)) return {max, max};
  double sum = 0;
  for (int i = 0; i < n; i++) sum += std::exp(x[i] * inv_temperature - max);
  return {max, static_cast<float>(max + std::log(sum))};
}

float amax(const float* x, int64_t n) {
  // Magnitudes compare as their bits do, NaN above everything.
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; i++) largest = std::max(largest, bits_from_float(x[i]) & 0x7fffffffu);
  return float_from_bits(largest);
}

void to_bf16(const float* x, uint16_t* out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = round_bf16(x[i]);
}

}  // namespace

const Kernels kScalarKernels = {
    "scalar",
    {{linear<float, FloatPanel>, nullptr},
     {linear<float, Bf16Panel>, linear<uint16_t, Bf16Panel>},
     {linear<float, F16Panel>, linear<uint16_t, F16Panel>},
     {linear_scaled<float, Int8Numbers>, linear_integers<Int8Numbers>},
     {linear_int4<float>, linear_integers<Int4Numbers>},
     {linear_scaled<float, Fp8Numbers>, linear_scaled<uint16_t, Fp8Numbers>}},
    linear_scratch_bytes,
    {attention<kKVF32>, attention<kKVBf16>, attention<kKVInt8>, attention<kKVFp8>},
    attention_merge,
    attention_scratch_bytes,
    rms_norm,
    layer_norm,
    activation,
    row_statistics,
    amax,
    to_bf16,
};

}  // namespace cpu
}  // namespace trtgo
