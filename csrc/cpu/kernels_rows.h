// Operations on one row, of the vector kernel sets: norms, activations, statistics.
// A kernel set includes this once, after kernels_math.h. Sums are kept in double, in
// an order that depends on n alone.
#ifndef TRTGO_CPU_KERNELS_ROWS_H_
#define TRTGO_CPU_KERNELS_ROWS_H_

namespace trtgo {
namespace cpu {
namespace {

TRTGO_TARGET void rms_norm(const float* x, const float* weight, float epsilon, int n, void* out, bool out_bf16) {
  DVec low = set1(0.0), high = set1(0.0);
  for (int i = 0; i < n; i += kLanes) {
    const Vec value = load_part(x + i, n - i);  // zeros past the end add nothing
    low = fma(low_double(value), low_double(value), low);
    high = fma(high_double(value), high_double(value), high);
  }
  const double squares = reduce_add(add(low, high));
  const Vec scale = set1(static_cast<float>(1 / std::sqrt(squares / n + double{epsilon})));
  for (int i = 0; i < n; i += kLanes) {
    const Vec value = mul(load_part(x + i, n - i), scale);
    put(out, out_bf16, i, mul(value, load_part(weight + i, n - i)), n - i);
  }
}

TRTGO_TARGET void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int n, void* out,
                             bool out_bf16) {
  DVec low = set1(0.0), high = set1(0.0);
  for (int i = 0; i < n; i += kLanes) {
    const Vec value = load_part(x + i, n - i);
    low = add(low, low_double(value));
    high = add(high, high_double(value));
  }
  const double mean = reduce_add(add(low, high)) / n;

  low = high = set1(0.0);
  const int whole = n - n % kLanes;
  for (int i = 0; i < whole; i += kLanes) {
    const Vec value = load(x + i);
    const DVec a = sub(low_double(value), set1(mean)), b = sub(high_double(value), set1(mean));
    low = fma(a, a, low);
    high = fma(b, b, high);
  }
  double squares = reduce_add(add(low, high));
  for (int i = whole; i < n; i++) squares += (double{x[i]} - mean) * (double{x[i]} - mean);

  const DVec centre = set1(mean), scale = set1(1 / std::sqrt(squares / n + double{epsilon}));
  for (int i = 0; i < n; i += kLanes) {
    const Vec value = load_part(x + i, n - i);
    const Vec normal = join(mul(sub(low_double(value), centre), scale), mul(sub(high_double(value), centre), scale));
    const Vec shift = bias != nullptr ? load_part(bias + i, n - i) : zero();
    put(out, out_bf16, i, add(mul(normal, load_part(weight + i, n - i)), shift), n - i);
  }
}

struct Silu {
  static TRTGO_INLINE Vec apply(Vec x) { return div(x, add(set1(1.0f), exp(sub(zero(), x)))); }
};

struct Relu {
  static TRTGO_INLINE Vec apply(Vec x) { return max(zero(), x); }  // NaN for NaN
};

struct SquaredRelu {
  static TRTGO_INLINE Vec apply(Vec x) { return mul(Relu::apply(x), Relu::apply(x)); }
};

struct Gelu {
  static TRTGO_INLINE Vec apply(Vec x) {
    const Vec tail = erf(mul(x, set1(0.70710678f)));
    return mul(mul(set1(0.5f), x), add(set1(1.0f), tail));
  }
};

// x/2 (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x³).
struct GeluTanh {
  static TRTGO_INLINE Vec apply(Vec x) {
    const Vec cube = mul(mul(mul(set1(0.044715f), x), x), x);
    const Vec u = mul(set1(-1.59576912f), add(x, cube));
    return div(x, add(set1(1.0f), exp(u)));
  }
};

template <class Function>
TRTGO_TARGET void activate(const float* a, const float* b, const float* factor, int n, void* out, bool out_bf16) {
  for (int i = 0; i < n; i += kLanes) {
    Vec value = Function::apply(load_part(a + i, n - i));
    if (b != nullptr) value = mul(value, load_part(b + i, n - i));
    if (factor != nullptr) value = mul(value, load_part(factor + i, n - i));
    put(out, out_bf16, i, value, n - i);
  }
}

void activation(int function, const float* a, const float* b, const float* factor, int n, void* out, bool out_bf16) {
  switch (function) {
    case kSilu: return activate<Silu>(a, b, factor, n, out, out_bf16);
    case kSquaredRelu: return activate<SquaredRelu>(a, b, factor, n, out, out_bf16);
    case kRelu: return activate<Relu>(a, b, factor, n, out, out_bf16);
    case kGelu: return activate<Gelu>(a, b, factor, n, out, out_bf16);
    case kGeluTanh: return activate<GeluTanh>(a, b, factor, n, out, out_bf16);
  }
}

TRTGO_TARGET RowStatistics row_statistics(const float* x, int n, float inv_temperature) {
  const float infinity = std::numeric_limits<float>::infinity();
  const Vec factor = set1(inv_temperature);
  const int whole = n - n % kLanes;
  Vec largest = set1(-infinity), nans = zero();
  for (int i = 0; i < whole; i += kLanes) {
    const Vec value = mul(load(x + i), factor);
    largest = max(largest, value);
    nans = keep_nan(nans, value);
  }
  float nan = reduce_add(nans);  // 0, or NaN
  float top = reduce_max(largest);
  for (int i = whole; i < n; i++) {
    const float value = x[i] * inv_temperature;
    if (value != value) nan = value;
    top = value > top ? value : top;
  }
  if (nan != 0) return {nan, nan};
  if (top == infinity || top == -infinity) return {top, top};

  DVec low = set1(0.0), high = set1(0.0);
  for (int i = 0; i < whole; i += kLanes) {
    const Vec p = exp(sub(mul(load(x + i), factor), set1(top)));
    low = add(low, low_double(p));
    high = add(high, high_double(p));
  }
  double total = reduce_add(add(low, high));
  for (int i = whole; i < n; i++) total += std::exp(double{x[i] * inv_temperature - top});
  return {top, static_cast<float>(top + std::log(total))};
}

// Magnitudes compare as their bits do, NaN above everything.
TRTGO_TARGET float amax(const float* x, int64_t n) {
  const int64_t whole = n - n % kLanes;
  Vec largest = zero();
  for (int64_t i = 0; i < whole; i += kLanes) largest = max_bits(largest, absolute(load(x + i)));
  alignas(64) float lanes[kLanes];
  store(lanes, largest);
  uint32_t bits = 0;
  for (int i = 0; i < kLanes; i++) bits = std::max(bits, bits_from_float(lanes[i]));
  for (int64_t i = whole; i < n; i++) bits = std::max(bits, bits_from_float(x[i]) & 0x7fffffffu);
  return float_from_bits(bits);
}

TRTGO_TARGET void to_bf16(const float* x, uint16_t* out, int64_t n) {
  const int64_t whole = n - n % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) store(out + i, load(x + i));
  for (int64_t i = whole; i < n; i++) out[i] = round_bf16(x[i]);
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_ROWS_H_
