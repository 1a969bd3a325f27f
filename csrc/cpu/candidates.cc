//go:build linux && (amd64 || arm64)

#include "candidates.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

namespace trtgo {
namespace cpu {

namespace {

// A key sorts as its candidate does: the upper half is the logit's order, the
// lower the index, inverted so that the smaller index is the larger key.
uint64_t key_of(float logit, int index) {
  logit += 0.0f;  // -0 becomes 0
  uint32_t bits;
  std::memcpy(&bits, &logit, sizeof bits);
  if (logit != logit) {
    bits = 0;
  } else {
    bits ^= (bits >> 31) != 0 ? 0xffffffffu : 0x80000000u;
  }
  return uint64_t{bits} << 32 | (0xffffffffu - static_cast<uint32_t>(index));
}

int index_of(uint64_t key) { return static_cast<int>(0xffffffffu - static_cast<uint32_t>(key)); }

constexpr int kStride = 32;  // logits that are passed over with one test

// Whether one of x[kStride] may be above the bar; NaN is taken for above.
bool any_above(const float* x, float inv_temperature, float bar) {
  int above = 0;
  for (int i = 0; i < kStride; i++) above |= !(x[i] * inv_temperature <= bar);
  return above != 0;
}

// The largest so far. A key below `least`, and so a logit that is not above `bar`, cannot
// be among the k best any more.
struct Selection {
  const float* logits;
  float inv_temperature;
  int k;
  uint64_t* keys;  // [kCandidateKeys]
  int held = 0;
  uint64_t least = 0;
  float bar = 0;

  float logit(int i) const { return logits[i] * inv_temperature; }

  // Takes only what is above x.
  void begin_above(float x) {
    bar = x;
    least = key_of(x, 0) + 1;  // no equal logit has a larger key than that of token 0
  }

  void begin_with_first() {
    least = 0;
    for (held = 0; held < k; held++) keys[held] = key_of(logit(held), held);
    keep_best();
  }

  void offer(int i) {
    const uint64_t key = key_of(logit(i), i);
    if (key < least) return;
    keys[held++] = key;
    if (held < kCandidateKeys && (k > 1 || held < 2)) return;
    keep_best();
  }

  void offer_from(int i, int n) {
    for (; i + kStride <= n; i += kStride) {
      if (!any_above(logits + i, inv_temperature, bar)) continue;
      for (int j = i; j < i + kStride; j++) offer(j);
    }
    for (; i < n; i++) offer(i);
  }

  void keep_best() {
    std::nth_element(keys, keys + (k - 1), keys + held, std::greater<uint64_t>());
    held = k;
    least = keys[k - 1];
    bar = logit(index_of(least));
  }
};

constexpr int kSample = 4096;
static_assert(kSample * sizeof(float) <= kCandidateKeys * sizeof(uint64_t), "a sample lies where keys will");

// A number that somewhat more than k of the logits are likely to be above.
float sampled_bar(const Selection& s, int n) {
  auto* sample = reinterpret_cast<float*>(s.keys);
  const int stride = n / kSample + 1;
  int count = 0;
  for (int i = 0; i < n; i += stride) {
    const float value = s.logit(i);
    sample[count++] = value == value ? value : -std::numeric_limits<float>::infinity();
  }
  // As many of the sample are expected above the k-th largest, and three deviations.
  const double expected = static_cast<double>(s.k) / stride;
  const int rank = static_cast<int>(expected + 3 * std::sqrt(expected)) + 4;
  if (rank >= count) return -std::numeric_limits<float>::infinity();
  std::nth_element(sample, sample + rank, sample + count, std::greater<float>());
  return sample[rank];
}

}  // namespace

void select_candidates(const float* logits, int n, float inv_temperature, int k, uint64_t* keys,
                       trtgo_cpu_candidate* out) {
  if (k <= 0) return;
  Selection s = {logits, inv_temperature, k, keys};
  // Many of many: a good bar from the start spares most of the keys.
  if (k >= 32 && n / k >= 16) {
    s.begin_above(sampled_bar(s, n));
    s.offer_from(0, n);
  }
  if (s.held < k) {
    s.begin_with_first();
    s.offer_from(k, n);
  }
  if (s.held > k) s.keep_best();
  std::sort(keys, keys + k, std::greater<uint64_t>());
  for (int c = 0; c < k; c++) {
    out[c].token = index_of(keys[c]);
    out[c].logit = logits[out[c].token] * inv_temperature;
  }
}

void answer_row(const Kernels& kernels, float* logits, int n, trtgo_cpu_row* row, trtgo_cpu_edit* edits,
                trtgo_cpu_target* targets, uint64_t* keys, trtgo_cpu_candidate* out) {
  for (int t = 0; t < row->num_targets; t++) targets[t].raw = logits[targets[t].token];
  if (row->logits != nullptr) std::memcpy(row->logits, logits, static_cast<size_t>(n) * sizeof(float));
  const RowStatistics raw = kernels.row_statistics(logits, n, 1.0f);
  row->raw_log_sum_exp = raw.log_sum_exp;

  for (int e = 0; e < row->num_edits; e++) {
    float& logit = logits[edits[e].token];
    edits[e].raw = logit;
    logit += edits[e].bias;
    logit = (logit > 0 ? logit / edits[e].penalty : logit * edits[e].penalty) - edits[e].subtract;
  }
  const bool same = row->num_edits == 0 && row->inv_temperature == 1.0f;
  const RowStatistics edited = same ? raw : kernels.row_statistics(logits, n, row->inv_temperature);
  row->max = edited.max;
  row->log_sum_exp = edited.log_sum_exp;
  select_candidates(logits, n, row->inv_temperature, row->num_candidates, keys, out);

  // Backwards, because a token may be edited twice.
  for (int e = row->num_edits - 1; e >= 0; e--) logits[edits[e].token] = edits[e].raw;
  for (int c = 0; c < row->num_candidates; c++) out[c].raw = logits[out[c].token];
}

}  // namespace cpu
}  // namespace trtgo
