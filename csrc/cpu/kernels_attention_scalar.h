// Attention of the kernel set of plain C++, one query at a time. Included once, by
// kernels_scalar.cc, after store.
#ifndef TRTGO_CPU_KERNELS_ATTENTION_SCALAR_H_
#define TRTGO_CPU_KERNELS_ATTENTION_SCALAR_H_

namespace trtgo {
namespace cpu {
namespace {

constexpr int kUnit = 128;  // positions whose exponentials are computed together

// A number of the cache.
template <KVFormat Format>
inline float cached(const uint8_t* p) {
  if constexpr (Format == kKVF32) {
    float value;
    std::memcpy(&value, p, sizeof value);
    return value;
  } else if constexpr (Format == kKVBf16) {
    uint16_t value;
    std::memcpy(&value, p, sizeof value);
    return widen_bf16(value);
  } else if constexpr (Format == kKVInt8) {
    return static_cast<float>(*p - 128);
  } else {
    const float sign = *p >= 0x80 ? -1.0f : 1.0f;
    const int exponent = *p >> 3 & 15, mantissa = *p & 7;
    if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
    return sign * (exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                 : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10));
  }
}

// What a query's softmax over some positions comes to; see partial_floats.
struct Partial {
  float* sum;
  float& max;
  float& total;
  Partial(float* at, int head_size)
      : sum(at), max(at[partial_floats(head_size) - 16]), total(at[partial_floats(head_size) - 15]) {}
};

// A query: one head of one row.
struct Query {
  const float* q;
  int position, first;  // the positions that it sees: [first, position]
};

inline Query query_of(const AttentionArgs& args, int row, int head) {
  const int position = args.first_position + row;
  const int first = args.window > 0 ? std::max(0, position - args.window + 1) : 0;
  return {args.q + row * args.ldq + int64_t{head} * args.head_size, position, first};
}

// Adds the positions [begin, end), of one unit.
template <KVFormat Format>
void attend_unit(const AttentionArgs& args, const Query& query, int begin, int end, Partial& partial) {
  const int size = args.head_size;
  const KVLayout layout = {Format, size, args.block_size};
  const float scale = args.scale * args.kv_scale;
  float scores[kUnit];
  float top = partial.max;
  for (int t = begin; t < end; t++) {
    const uint8_t* keys = args.kv + args.block_table[t / args.block_size] * args.block_stride;
    float dot = 0;
    for (int d = 0; d < size; d++) {
      dot += query.q[d] * cached<Format>(keys + layout.key_offset(t % args.block_size, d));
    }
    scores[t - begin] = dot * scale;
    top = std::max(top, scores[t - begin]);
  }
  if (top > partial.max) {
    const float shrink = std::exp(partial.max - top);
    for (int d = 0; d < size; d++) partial.sum[d] *= shrink;
    partial.total *= shrink;
    partial.max = top;
  }
  const float base = top == -kInfinity ? 0.0f : top;  // while all scores are -inf they weigh nothing
  for (int t = begin; t < end; t++) {
    const float p = std::exp(scores[t - begin] - base);
    partial.total += p;
    const uint8_t* values = args.kv + args.block_table[t / args.block_size] * args.block_stride + args.v_offset;
    for (int d = 0; d < size; d++) {
      partial.sum[d] += p * cached<Format>(values + layout.value_offset(t % args.block_size, d));
    }
  }
}

template <KVFormat Format>
void attend_range(const AttentionArgs& args, const Query& query, int range, Partial partial) {
  std::fill(partial.sum, partial.sum + args.head_size, 0.0f);
  partial.max = -kInfinity;
  partial.total = 0;
  const int end = std::min(query.position + 1, (range + 1) * kAttentionRange);
  for (int t = std::max(query.first, range * kAttentionRange); t < end;) {
    const int next = std::min(end, (t / kUnit + 1) * kUnit);
    attend_unit<Format>(args, query, t, next, partial);
    t = next;
  }
}

inline void merge_partial(Partial kept, const Partial& partial, int head_size) {
  const float top = std::max(kept.max, partial.max), base = top == -kInfinity ? 0.0f : top;
  const float a = std::exp(kept.max - base), b = std::exp(partial.max - base);
  for (int d = 0; d < head_size; d++) kept.sum[d] = kept.sum[d] * a + partial.sum[d] * b;
  kept.total = kept.total * a + partial.total * b;
  kept.max = top;
}

inline void write_output(const AttentionArgs& args, int row, int head, const Partial& kept) {
  const int64_t column = int64_t{head} * args.head_size;
  for (int d = 0; d < args.head_size; d++) {
    float value = kept.sum[d] / kept.total * args.kv_scale;
    if (args.out_factor != nullptr) value *= args.out_factor[column + d];
    store(args.out, args.out_bf16, row * args.ldo + column + d, value);
  }
}

inline Partial partial_of(const AttentionArgs& args, int range, int row, int head) {
  const int64_t from_first = range - query_of(args, 0, 0).first / kAttentionRange;
  const int64_t at = (from_first * args.rows + row) * args.group + head;
  return Partial(args.partials + at * partial_floats(args.head_size), args.head_size);
}

template <KVFormat Format>
void attention(const AttentionArgs& args) {
  const Partial kept(args.scratch, args.head_size);
  const Partial partial(args.scratch + partial_floats(args.head_size), args.head_size);
  for (int row = 0; row < args.rows; row++) {
    for (int head = 0; head < args.group; head++) {
      const Query query = query_of(args, row, head);
      const int first = query.first / kAttentionRange, last = query.position / kAttentionRange;
      if (args.partials != nullptr) {
        if (args.range < first || args.range > last) continue;
        attend_range<Format>(args, query, args.range, partial_of(args, args.range, row, head));
        continue;
      }
      attend_range<Format>(args, query, first, kept);
      for (int range = first + 1; range <= last; range++) {
        attend_range<Format>(args, query, range, partial);
        merge_partial(kept, partial, args.head_size);
      }
      write_output(args, row, head, kept);
    }
  }
}

inline void attention_merge(const AttentionArgs& args) {
  for (int row = 0; row < args.rows; row++) {
    for (int head = 0; head < args.group; head++) {
      const Query query = query_of(args, row, head);
      const int first = query.first / kAttentionRange;
      const Partial kept = partial_of(args, first, row, head);
      for (int range = first + 1; range <= query.position / kAttentionRange; range++) {
        merge_partial(kept, partial_of(args, range, row, head), args.head_size);
      }
      write_output(args, row, head, kept);
    }
  }
}

inline int64_t attention_scratch_bytes(int, int head_size, int) { return 2 * partial_floats(head_size) * 4; }

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_ATTENTION_SCALAR_H_
