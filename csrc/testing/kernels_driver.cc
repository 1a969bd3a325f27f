// Runs every kernel of every kernel set that this machine has on odd shapes, in
// buffers of exactly the size that kernels.h promises to them, and compares with
// float64. Bounds are those of rounding: 6·sqrt(n) units of 2^-24 of the sum of
// magnitudes for a sum of n terms (at most n units), and what is said beside each.
//
//   kernels_driver            compare; exits with 1 when something differs
//   kernels_driver --fault    the same with one spoiled value: must fail
//   kernels_driver --overrun  read beyond an array: must be caught by a sanitizer
#include <algorithm>
#include <limits>
#include <numeric>

#include "check.h"
#include "kernels.h"
#include "kvlayout.h"
#include "kvnumbers.h"

namespace {

using namespace trtgo::cpu;
using trtgo::testing::Array;
using trtgo::testing::nearest_bf16;
using trtgo::testing::Tally;
using trtgo::testing::Values;
using trtgo::testing::widen;

constexpr double kUnit = 1.0 / (1 << 24);
constexpr double kBf16Unit = 1.0 / (1 << 8);

double likely(double n) { return std::min(n, 6 * std::sqrt(n)) * kUnit; }

std::string shape(std::initializer_list<int> sizes) {
  std::string s;
  for (int n : sizes) s += (s.empty() ? "" : "x") + std::to_string(n);
  return s;
}

// y[m][n] = x[m][k] · w[n][k]ᵀ + bias + old y, for the three formats.
template <class X, class W>
void check_linear(const Kernels& set, int m, int n, int k, bool addends, Tally& tally) {
  Values values(static_cast<unsigned>(m * 1000 + n * 10 + k));
  const int even = (k + 7) / 8 * 8, panels = (n + 15) / 16, depth = sizeof(W) == 2 ? k + (k & 1) : k;
  Array<X> x(int64_t{m} * even);
  Array<W> w(int64_t{panels} * 16 * depth);
  std::vector<double> plain_x(static_cast<size_t>(m * k)), plain_w(static_cast<size_t>(n * k));
  for (int r = 0; r < m; r++) {
    for (int i = 0; i < k; i++) {
      const float v = values.normal(1);
      if constexpr (sizeof(X) == 2) {
        x[r * even + i] = nearest_bf16(v);
        plain_x[static_cast<size_t>(r * k + i)] = widen(nearest_bf16(v));
      } else {
        x[r * even + i] = v;
        plain_x[static_cast<size_t>(r * k + i)] = v;
      }
    }
  }
  for (int j = 0; j < n; j++) {
    for (int i = 0; i < k; i++) {
      const float v = values.normal(1);
      if constexpr (sizeof(W) == 2) {
        w[int64_t{j / 16} * 16 * depth + (i / 2 * 16 + j % 16) * 2 + i % 2] = nearest_bf16(v);
        plain_w[static_cast<size_t>(j * k + i)] = widen(nearest_bf16(v));
      } else {
        w[int64_t{j / 16} * 16 * k + i * 16 + j % 16] = v;
        plain_w[static_cast<size_t>(j * k + i)] = v;
      }
    }
  }
  const Array<float> bias = values.normals(panels * 16, 1);
  const Array<float> old = values.normals(int64_t{m} * panels * 16, 1);
  Array<float> y(old), scratch(set.linear_scratch_bytes(m, k) / 4);
  const WeightShape weights = {sizeof(W) == 2 ? trtgo::cpu::kBf16 : trtgo::cpu::kF32, k, 0, false, false};
  const LinearArgs args = {
      x.data(), even,    w.data(), weights,       addends ? bias.data() : nullptr, y.data(), panels * 16, m, 0,
      panels,   addends, false,    scratch.data()};
  set.linear[weights.format][sizeof(X) == 2 ? 1 : 0](args);
  for (int r = 0; r < m; r++) {
    for (int j = 0; j < n; j++) {
      const int64_t at = int64_t{r} * panels * 16 + j;
      double sum = addends ? double{bias[j]} + old[at] : 0;
      double magnitude = addends ? std::fabs(double{bias[j]}) + std::fabs(double{old[at]}) : 0;
      for (int i = 0; i < k; i++) {
        const double product = plain_x[static_cast<size_t>(r * k + i)] * plain_w[static_cast<size_t>(j * k + i)];
        sum += product;
        magnitude += std::fabs(product);
      }
      tally.within(sum, y[at], likely(2 * k + 2) * magnitude, std::string(set.name) + " linear " + shape({m, n, k}));
    }
  }
}

void check_linears(const Kernels& set, Tally& tally) {
  for (int k : {1, 2, 3, 17, 64, 129, 1537}) {
    for (int n : {1, 15, 16, 33, 100}) {
      for (int m : {1, 2, 5, 12, 13, 27}) {
        if (k > 1000 && (n > 33 || m > 13)) continue;
        const bool addends = (k + n + m) % 2 == 0;
        check_linear<float, float>(set, m, n, k, addends, tally);
        check_linear<float, uint16_t>(set, m, n, k, addends, tally);
        check_linear<uint16_t, uint16_t>(set, m, n, k, addends, tally);
      }
    }
  }
  check_linear<uint16_t, uint16_t>(set, 130, 40, 48, true, tally);
  tally.report(std::string(set.name) + ": linear");
}

struct AttentionShape {
  int tokens, first, group, head_size, block_size, window;
};

// Keys and values of one sequence, plain and in blocks whose order is reversed.
struct Cache {
  KVLayout layout;
  float scale;
  Array<uint8_t> kv;
  std::vector<double> keys, values;
  std::vector<int32_t> table;

  Cache(KVFormat format, const AttentionShape& s, Values& from)
      : layout{format, s.head_size, s.block_size},
        scale(format == kKVInt8 || format == kKVFp8 ? 0.03f : 1.0f),
        kv((s.tokens + s.block_size - 1) / s.block_size * block_bytes()) {
    const int blocks = (s.tokens + s.block_size - 1) / s.block_size;
    for (int b = 0; b < blocks; b++) table.push_back(blocks - 1 - b);
    for (int t = 0; t < s.tokens; t++) {
      const int slot = t % s.block_size;
      uint8_t* block = kv.data() + table[static_cast<size_t>(t / s.block_size)] * block_bytes();
      for (int d = 0; d < s.head_size; d++) {
        keys.push_back(put(block + layout.key_offset(slot, d), from.normal(1)));
        values.push_back(put(block + layout.key_bytes() + layout.value_offset(slot, d), from.normal(1)));
      }
    }
  }

  int64_t block_bytes() const { return layout.key_bytes() + layout.value_bytes(); }

  // Writes a number and returns what it stands for.
  double put(uint8_t* to, float v) const {
    const uint16_t rounded = nearest_bf16(v);
    switch (layout.format) {
      case kKVF32: std::memcpy(to, &v, 4); return v;
      case kKVBf16: std::memcpy(to, &rounded, 2); return widen(rounded);
      case kKVInt8: encode_int8(&v, scale, 1, to); return double{decode_int8(*to)} * scale;
      default: encode_fp8(&v, scale, 1, to); return double{decode_fp8(*to)} * scale;
    }
  }
};

// Compares one output with softmax in float64. pairs: queries are rounded to bf16, as
// here, and weights, by 2^-8 of each.
void compare_query(const AttentionArgs& args, const Cache& cache, int r, int g, bool pairs, const std::string& what,
                   Tally& tally) {
  const int last = args.first_position + r, begin = args.window > 0 ? std::max(0, last - args.window + 1) : 0;
  const float* query = args.q + r * args.ldq + g * args.head_size;
  std::vector<double> weights(static_cast<size_t>(last + 1));
  const auto at = [&](int t, int d) { return static_cast<size_t>(t * args.head_size + d); };
  double top = -1e300, magnitude = 0, total = 0;
  for (int t = begin; t <= last; t++) {
    double score = 0, size = 0;
    for (int d = 0; d < args.head_size; d++) {
      const double product = double{pairs ? widen(nearest_bf16(query[d])) : query[d]} * cache.keys[at(t, d)];
      score += product;
      size += std::fabs(product);
    }
    weights[static_cast<size_t>(t)] = double{args.scale} * score;
    top = std::max(top, double{args.scale} * score);
    magnitude = std::max(magnitude, double{args.scale} * size);
  }
  for (int t = begin; t <= last; t++) {
    weights[static_cast<size_t>(t)] = std::exp(weights[static_cast<size_t>(t)] - top);
    total += weights[static_cast<size_t>(t)];
  }
  for (int d = 0; d < args.head_size; d++) {
    const double factor = args.out_factor != nullptr ? args.out_factor[g * args.head_size + d] : 1;
    double sum = 0, size = 0;
    for (int t = begin; t <= last; t++) {
      const double part = weights[static_cast<size_t>(t)] / total * cache.values[at(t, d)] * factor;
      sum += part;
      size += std::fabs(part);
    }
    // An error of a score is one of its exponential; both of numerator and total.
    double bound = size * (2 * likely(2 * args.head_size) * (1 + magnitude) + likely(4 * (last + 1)) + 12 * kUnit +
                           (pairs ? kBf16Unit : 0));
    const int64_t out = r * args.ldo + g * args.head_size + d;
    float got;
    if (args.out_bf16) {
      got = widen(static_cast<const uint16_t*>(args.out)[out]);
      bound += std::fabs(sum) * kBf16Unit;
    } else {
      got = static_cast<const float*>(args.out)[out];
    }
    tally.within(sum, got, bound, what);
  }
}

void check_attention(const Kernels& set, KVFormat format, const AttentionShape& s, bool out_bf16, Tally& tally) {
  Values from(static_cast<unsigned>(s.tokens * 100 + s.head_size + s.group));
  const Cache cache(format, s, from);
  const int rows = s.tokens - s.first, width = s.group * s.head_size;
  const Array<float> q = from.normals(int64_t{rows} * width, 1), factor = from.normals(width, 1);
  Array<float> out(out_bf16 ? 0 : int64_t{rows} * width);
  Array<uint16_t> rounded(out_bf16 ? int64_t{rows} * width : 0);
  Array<float> scratch(set.attention_scratch_bytes(s.group, s.head_size, s.block_size) / 4);
  const int first = s.window > 0 ? std::max(0, s.first - s.window + 1) / kAttentionRange : 0;
  const int last = (s.tokens - 1) / kAttentionRange;
  Array<float> partials((last - first + 1) * rows * s.group * partial_floats(s.head_size));
  AttentionArgs args;
  args.q = q.data();
  args.ldq = args.ldo = width;
  args.out = out_bf16 ? static_cast<void*>(rounded.data()) : out.data();
  args.out_bf16 = out_bf16;
  args.out_factor = out_bf16 ? factor.data() : nullptr;
  args.kv = cache.kv.data();
  args.block_stride = cache.block_bytes();
  args.v_offset = cache.layout.key_bytes();
  args.block_table = cache.table.data();
  args.block_size = s.block_size;
  args.head_size = s.head_size;
  args.group = s.group;
  args.rows = rows;
  args.first_position = s.first;
  args.window = s.window;
  args.scale = 0.3f;
  args.kv_scale = cache.scale;
  args.partials = nullptr;
  args.range = 0;
  args.scratch = scratch.data();
  set.attention[format](args);
  const std::string what = std::string(set.name) + " attention of cache " + std::to_string(format) + " " +
                           shape({s.tokens, s.first, s.group, s.head_size, s.block_size, s.window});
  const bool pairs = format != kKVF32 && std::strstr(set.name, "bf16") != nullptr;
  for (int r = 0; r < rows; r++) {
    for (int g = 0; g < s.group; g++) compare_query(args, cache, r, g, pairs, what, tally);
  }
  if (out_bf16) return;
  // The same range by range gives the same bits.
  const Array<float> whole(out);
  args.partials = partials.data();
  for (args.range = last; args.range >= first; args.range--) set.attention[format](args);
  set.attention_merge(args);
  tally.require(std::memcmp(whole.data(), out.data(), out.bytes()) == 0, what + " by ranges");
}

void check_attentions(const Kernels& set, Tally& tally) {
  for (const AttentionShape& s : std::initializer_list<AttentionShape>{{1, 0, 1, 2, 16, 0},
                                                                       {17, 0, 3, 6, 16, 0},
                                                                       {50, 33, 5, 22, 32, 0},
                                                                       {33, 32, 1, 64, 32, 0},
                                                                       {70, 0, 2, 34, 32, 9},
                                                                       {100, 99, 13, 128, 32, 40},
                                                                       {65, 30, 9, 512, 32, 32},
                                                                       {530, 505, 3, 16, 32, 0},
                                                                       {1030, 1021, 2, 10, 32, 511}}) {
    for (int format = 0; format < kKVFormats; format++) {
      for (bool out_bf16 : {false, true}) check_attention(set, static_cast<KVFormat>(format), s, out_bf16, tally);
    }
  }
  tally.report(std::string(set.name) + ": attention");
}

void check_norms(const Kernels& set, Tally& tally) {
  for (int n : {1, 7, 16, 17, 31, 100, 577}) {
    Values from(static_cast<unsigned>(n));
    const Array<float> x = from.normals(n, 3), weight = from.normals(n, 1), bias = from.normals(n, 1);
    double squares = 0, mean = 0, variance = 0;
    for (int i = 0; i < n; i++) squares += double{x[i]} * x[i], mean += double{x[i]} / n;
    for (int i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / n;
    Array<float> rms(n), layer(n);
    Array<uint16_t> rounded(n);
    set.rms_norm(x.data(), weight.data(), 1e-5f, n, rms.data(), false);
    set.layer_norm(x.data(), weight.data(), bias.data(), 1e-5f, n, layer.data(), false);
    set.rms_norm(x.data(), weight.data(), 1e-5f, n, rounded.data(), true);
    for (int i = 0; i < n; i++) {
      const double want = x[i] / std::sqrt(squares / n + double{1e-5f}) * weight[i];
      tally.within(want, rms[i], 6 * kUnit * std::fabs(want), std::string(set.name) + " rms_norm " + shape({n}));
      tally.require(rounded[i] == nearest_bf16(rms[i]), std::string(set.name) + " rms_norm to bf16 " + shape({n}));
      const double centred = (x[i] - mean) / std::sqrt(variance + double{1e-5f}) * weight[i];
      tally.within(centred + bias[i], layer[i], 6 * kUnit * (std::fabs(centred) + std::fabs(double{bias[i]})),
                   std::string(set.name) + " layer_norm " + shape({n}));
    }
  }
  tally.report(std::string(set.name) + ": norms");
}

double activation_of(int function, double x) {
  switch (function) {
    case kSilu: return x / (1 + std::exp(-x));
    case kSquaredRelu: return x > 0 ? x * x : 0;
    case kRelu: return x > 0 ? x : 0;
    case kGelu: return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    default: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
}

void check_activations(const Kernels& set, Tally& tally) {
  for (int function : {kSilu, kSquaredRelu, kRelu, kGelu, kGeluTanh}) {
    for (int n : {1, 8, 15, 16, 33, 250}) {
      Values from(static_cast<unsigned>(n));
      const Array<float> a = from.normals(n, 4), b = from.normals(n, 1);
      Array<float> alone(n), gated(n);
      Array<uint16_t> rounded(n);
      set.activation(function, a.data(), nullptr, nullptr, n, alone.data(), false);
      set.activation(function, a.data(), b.data(), nullptr, n, gated.data(), false);
      set.activation(function, a.data(), b.data(), nullptr, n, rounded.data(), true);
      for (int i = 0; i < n; i++) {
        // 1 + erf and 1 + tanh cancel below 0: an error of a few units of x remains.
        const double want = activation_of(function, a[i]), bound = 8 * kUnit * (std::fabs(want) + std::fabs(a[i]));
        const std::string what = std::string(set.name) + " activation " + shape({function, n});
        tally.within(want, alone[i], bound, what);
        tally.within(want * b[i], gated[i], (bound + kUnit * std::fabs(want)) * std::fabs(b[i]), what + " gated");
        tally.require(rounded[i] == nearest_bf16(gated[i]), what + " to bf16");
      }
    }
  }
  tally.report(std::string(set.name) + ": activations");
}

void check_rows(const Kernels& set, Tally& tally) {
  for (int n : {1, 5, 16, 31, 33, 1000}) {
    Values from(static_cast<unsigned>(n));
    const Array<float> x = from.normals(n, 5);
    const float inverse = 0.7f;
    const RowStatistics got = set.row_statistics(x.data(), n, inverse);
    double top = -1e300, sum = 0, largest = 0;
    for (int i = 0; i < n; i++)
      top = std::max(top, double{x[i]} * inverse), largest = std::max(largest, std::fabs(double{x[i]}));
    for (int i = 0; i < n; i++) sum += std::exp(double{x[i]} * inverse - top);
    const std::string name = std::string(set.name) + " ";
    tally.within(top, got.max, kUnit * std::fabs(top), name + "maximum " + shape({n}));
    tally.within(top + std::log(sum), got.log_sum_exp, 4 * kUnit * (3 + 2 * largest),
                 name + "log_sum_exp " + shape({n}));
    tally.require(set.amax(x.data(), n) == static_cast<float>(largest), name + "amax " + shape({n}));
    Array<uint16_t> rounded(n);
    set.to_bf16(x.data(), rounded.data(), n);
    for (int i = 0; i < n; i++) tally.require(rounded[i] == nearest_bf16(x[i]), name + "to_bf16 " + shape({n}));
  }
  tally.report(std::string(set.name) + ": statistics, amax, bf16");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--overrun") return trtgo::testing::overrun();
  Tally tally(mode == "--fault");
  for (const char* name : {"scalar", "avx2", "avx512bf16", "avx512bf16-emulated", "neon", "neondotprod", "neonbf16"}) {
    const Kernels* set = kernels_by_name(name);
    if (set == nullptr || !kernels_supported(set)) {
      std::printf("%s: not on this machine\n", name);
      continue;
    }
    check_linears(*set, tally);
    check_attentions(*set, tally);
    check_norms(*set, tally);
    check_activations(*set, tally);
    check_rows(*set, tally);
  }
  return tally.exit_status();
}
