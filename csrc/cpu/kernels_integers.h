// Linear layers whose outputs are a chain over groups of k: int8 and int4 with bf16 x in
// integers, as kernels.h states, and int4 in groups with float x. A kernel set includes
// this once, after kernels_linear.h; it has defined, beside that file's, dot(sum, a, b): the
// sum of products of pairs of 16 bits in each word, load_halves: words of weights as dot
// takes them, add_ints, to_floats, round_ints, store_halves, reduce_add, reduce_max_bits,
// absolute, shift_right_halves.
//
// Packed activations of a tile of rows are, for each group, kHead lines of a value for
// each row, then the values of its lines of weights.
#ifndef TRTGO_CPU_KERNELS_INTEGERS_H_
#define TRTGO_CPU_KERNELS_INTEGERS_H_

namespace trtgo {
namespace cpu {
namespace {

constexpr int kLargestGroup = 128;

// Sums of whole numbers. Numbers of weights are kOffset larger than what they stand for;
// the sum begins with -kOffset times the sum of x.
struct IntegerProducts {
  static constexpr bool kGroups = true;
  static constexpr int kLeastChains = 1, kMostChains = 4;  // see chains()
  static constexpr int kHead = 3;                          // the power of two, what the sum begins with, the sum of x
  using Sum = IntSum;

  static TRTGO_INLINE Sum begin(const float* head, int64_t lda, int row) { return Sum(bits(set1(head[lda + row]))); }
  static TRTGO_INLINE Sum nothing() { return Sum(bits(zero())); }
  static TRTGO_INLINE Sum join(Sum a, Sum b) { return Sum(add_ints(Ints(a), Ints(b))); }
  static TRTGO_INLINE Sum multiply(Ints value, Vec x, Sum sum) { return dot(sum, value, bits(x)); }
  static TRTGO_INLINE Vec end(Sum sum, const float* head, int row) {
    return mul(to_floats(Ints(sum)), set1(head[row]));
  }
  static TRTGO_INLINE Vec sum_of_x(const float* head, int64_t lda, int row) { return set1(head[2 * lda + row]); }

  // Puts n numbers of x, a multiple of 8, as lines of weights meet them, and gives the sum of
  // what meets kOffset; sum is that of all.
  static TRTGO_INLINE int32_t arrange(int16_t*, int, int32_t sum) { return sum; }
};

template <bool Scaled>
struct Int8Integers : IntegerProducts {
  static constexpr bool kScaled = Scaled;
  static constexpr int kOffset = 128;
  static constexpr int kDepth = 4;
  static constexpr int kValues = 2;

  template <int I>
  static TRTGO_INLINE Ints value(const uint8_t* line, int vector) {
    const Ints words = load_halves(line + vector * kLanes * 4);
    return I == 0 ? bit_and(words, ints(0x00ff00ffu)) : shift_right_halves<8>(words);
  }
};

template <bool Scaled>
struct Int4Integers : IntegerProducts {
  static constexpr bool kScaled = Scaled;  // whether there is a scale for each output, not for each group
  static constexpr int kOffset = 8;
  static constexpr int kDepth = 8;
  static constexpr int kValues = 4;

  template <int I>
  static TRTGO_INLINE Ints value(const uint8_t* line, int vector) {
    const Ints halves = shift_right_halves<4 * I>(load_halves(line + vector * kLanes * 4));
    return I == 3 ? halves : bit_and(halves, ints(0x000f000fu));
  }
};

// int4 in groups, widened.
struct Int4Groups : Int4Weights {
  static constexpr bool kGroups = true;
  static constexpr bool kScaled = false;
  static constexpr int kLeastChains = 1, kMostChains = 1;
  static constexpr int kHead = 1;  // the sum of x
  using Sum = Vec;

  static TRTGO_INLINE Sum begin(const float*, int64_t, int) { return zero(); }
  static TRTGO_INLINE Sum nothing() { return zero(); }
  static TRTGO_INLINE Sum join(Sum a, Sum b) { return add(a, b); }
  static TRTGO_INLINE Vec end(Sum sum, const float*, int) { return sum; }
  static TRTGO_INLINE Vec sum_of_x(const float* head, int64_t, int row) { return set1(head[row]); }
};

// The scales and zeros that stand before groups of weights.
struct Header {
  int groups;  // that share one
  int64_t bytes;
  bool bf16, zeros;

  explicit Header(const WeightShape& shape)
      : groups(shape.bf16_scales && !shape.zeros ? 2 : 1),
        bytes(!shape.bf16_scales && shape.zeros ? 2 * kLineBytes : kLineBytes),
        bf16(shape.bf16_scales),
        zeros(shape.zeros) {}

  // The i-th 16 numbers of a header, of the tile's vector v.
  TRTGO_INLINE Vec numbers(const uint8_t* header, int i, int64_t panel_bytes, int v) const {
    const uint8_t* at = header + v / kPanelVectors * panel_bytes;
    const int first = i * kPanelRows + v % kPanelVectors * kLanes;
    return bf16 ? load(reinterpret_cast<const uint16_t*>(at) + first)
                : load(reinterpret_cast<const float*>(at) + first);
  }
};

// Sums of an output and group, value I of a line going to sum I % chains: several where
// the order is free and few outputs are in work, so that one need not wait for the other.
template <class Weights, int Outputs>
constexpr int chains() {
  constexpr int kSums = kTileRows * kTilePanels * kPanelVectors * 2 / 3;
  return std::max(Weights::kLeastChains, std::min({Weights::kMostChains, Weights::kValues, kSums / Outputs}));
}

template <class Weights, int I, int MR, int NV, int C>
TRTGO_INLINE void multiply_group_value(typename Weights::Sum (&sum)[C][MR][NV], const float* a, int64_t lda,
                                       const uint8_t* w, int64_t panel_bytes) {
  decltype(Weights::template value<I>(w, 0)) value[NV];
  for (int v = 0; v < NV; v++) {
    value[v] = Weights::template value<I>(w + v / kPanelVectors * panel_bytes, v % kPanelVectors);
  }
  for (int r = 0; r < MR; r++) {
    const Vec x = set1(a[I * lda + r]);
    for (int v = 0; v < NV; v++) sum[I % C][r][v] = Weights::multiply(value[v], x, sum[I % C][r][v]);
  }
}

template <class Weights, int MR, int NV, int C, int... I>
TRTGO_INLINE void multiply_group_line(std::integer_sequence<int, I...>, typename Weights::Sum (&sum)[C][MR][NV],
                                      const float* a, int64_t lda, const uint8_t* w, int64_t panel_bytes) {
  (multiply_group_value<Weights, I>(sum, a, lda, w, panel_bytes), ...);
}

template <class Weights, int MR, int NP>
TRTGO_TARGET void multiply_groups(const Tile& tile) {
  constexpr int NV = NP * kPanelVectors, C = chains<Weights, MR * NV>();
  const Header header(*tile.shape);
  const int group_lines = group_of(*tile.shape) / Weights::kDepth;
  const int64_t panel_bytes = tile.panel_bytes;
  constexpr int64_t lda = MR;  // activations of groups are packed for each tile
  const float* a = tile.a;
  const uint8_t* w = tile.w;
  const uint8_t* scales = nullptr;
  Vec total[MR][NV];
  begin_tile_sums(tile, total);
  int in_header = 0;  // which of the groups that share a header
  for (int line = 0; line < tile.steps; line += group_lines) {
    if (MR * NV > 8) asm volatile("" : "+m"(total));  // stays in memory: the registers are the sums'
    if (!Weights::kScaled && in_header == 0) {
      scales = w;
      prefetch_next<MR, NP>(w, panel_bytes);
      w += header.bytes;
    }
    const float* head = a;
    a += Weights::kHead * lda;
    typename Weights::Sum sum[C][MR][NV];
    for (int r = 0; r < MR; r++) {
      for (int v = 0; v < NV; v++) {
        sum[0][r][v] = Weights::begin(head, lda, r);
        for (int c = 1; c < C; c++) sum[c][r][v] = Weights::nothing();
      }
    }
    const int lines = std::min(group_lines, tile.steps - line);
    for (int i = 0; i < lines; i++) {
      prefetch_next<MR, NP>(w, panel_bytes);
      multiply_group_line<Weights>(std::make_integer_sequence<int, Weights::kValues>(), sum, a, lda, w, panel_bytes);
      a += Weights::kValues * lda;
      w += kLineBytes;
    }
    for (int r = 0; r < MR; r++) {
      for (int v = 0; v < NV; v++) {
        for (int c = 1; c < C; c++) sum[0][r][v] = Weights::join(sum[0][r][v], sum[c][r][v]);
      }
    }
    if constexpr (Weights::kScaled) {
      for (int r = 0; r < MR; r++) {
        for (int v = 0; v < NV; v++) total[r][v] = fma(to_floats(Ints(sum[0][r][v])), set1(head[r]), total[r][v]);
      }
      continue;
    }
    for (int v = 0; v < NV; v++) {
      const Vec scale = header.numbers(scales, in_header, panel_bytes, v);
      for (int r = 0; r < MR; r++) total[r][v] = fma(Weights::end(sum[0][r][v], head, r), scale, total[r][v]);
    }
    if (header.zeros) {
      for (int v = 0; v < NV; v++) {
        const Vec number = header.numbers(scales, 1, panel_bytes, v);
        for (int r = 0; r < MR; r++) total[r][v] = fma(Weights::sum_of_x(head, lda, r), number, total[r][v]);
      }
    }
    in_header = in_header + 1 == header.groups ? 0 : in_header + 1;
  }
  end_tile_sums<Weights::kScaled>(tile, total);
}

// bf16 activations as whole numbers of 16 bits and a power of two for each group.
struct IntegerActivations {
  using Element = uint16_t;
  static constexpr bool kInPlace = false;

  // What a group becomes.
  struct Group {
    float power;
    int32_t sum;
    alignas(64) int16_t numbers[kLargestGroup];
  };

  template <class Weights>
  static int64_t packed_floats(int depth, int group) {
    return int64_t{ceil_div(depth, Weights::kDepth)} * Weights::kValues + ceil_div(depth, group) * Weights::kHead;
  }

  // n is a multiple of 8.
  static TRTGO_INLINE void round(const uint16_t* x, int n, Group* group) {
    Vec largest = zero();
    for (int i = 0; i < n; i += kLanes) largest = max_bits(largest, absolute(load_part(x + i, n - i)));
    const int exponent = static_cast<int>(reduce_max_bits(largest) >> 23) - 127;
    Ints sum = bits(zero());
    if (exponent == 128) {  // an infinity or NaN
      for (int i = 0; i < n; i += kLanes) store_halves(group->numbers + i, sum);
      group->power = std::numeric_limits<float>::quiet_NaN();
      group->sum = 0;
      return;
    }
    const int e = std::max(-100, exponent) - 14;
    const Vec inverse = set1(float_from_bits(static_cast<uint32_t>(127 - e) << 23));
    for (int i = 0; i < n; i += kLanes) {
      const Ints numbers = round_ints(mul(load_part(x + i, n - i), inverse));
      sum = add_ints(sum, numbers);
      store_halves(group->numbers + i, numbers);
    }
    group->power = float_from_bits(static_cast<uint32_t>(127 + e) << 23);
    group->sum = reduce_add(sum);
  }

  template <class Weights>
  static TRTGO_INLINE void pack(const uint16_t* x, int64_t ldx, int count, int depth, const WeightShape& shape,
                                float* out) {
    const int size = group_of(shape);
    Group groups[kTileRows];
    const float* rows[kTileRows];
    for (int k = 0; k < depth; k += size) {
      const int lines = ceil_div(std::min(size, depth - k), Weights::kDepth);
      const int n = static_cast<int>(round_up(std::min(size, depth - k), 8));
      for (int r = 0; r < count; r++) {
        round(x + r * ldx + k, n, &groups[r]);
        const int32_t offsets = Weights::arrange(groups[r].numbers, n, groups[r].sum);
        out[r] = groups[r].power;
        out[count + r] = float_from_bits(static_cast<uint32_t>(-Weights::kOffset * offsets));
        out[2 * count + r] = static_cast<float>(groups[r].sum) * groups[r].power;
        rows[r] = reinterpret_cast<const float*>(groups[r].numbers);
      }
      out += Weights::kHead * count;
      pack_rows(rows, count, lines * Weights::kValues, out, count);
      out += lines * Weights::kValues * count;
    }
  }
};

// float activations in groups, with their sums.
struct GroupedActivations {
  using Element = float;
  static constexpr bool kInPlace = false;

  template <class Weights>
  static int64_t packed_floats(int depth, int group) {
    return IntegerActivations::packed_floats<Weights>(depth, group);
  }

  template <class Weights>
  static TRTGO_INLINE void pack(const float* x, int64_t ldx, int count, int depth, const WeightShape& shape,
                                float* out) {
    const float* rows[kTileRows];
    for (int k = 0; k < depth; k += shape.group, out += (shape.group + 1) * count) {
      for (int r = 0; r < count; r++) {
        rows[r] = x + r * ldx + k;
        float sum = 0;
        for (int i = 0; i < shape.group; i++) sum += rows[r][i];
        out[r] = sum;
      }
      pack_rows(rows, count, shape.group, out + count, count);
    }
  }
};

// int8 and int4 with bf16 x.
TRTGO_TARGET inline void linear_integers(const LinearArgs& args) {
  if (args.shape.format == kInt8) return linear<Int8Integers<true>, IntegerActivations>(args);
  if (args.shape.group == 0) return linear<Int4Integers<true>, IntegerActivations>(args);
  return linear<Int4Integers<false>, IntegerActivations>(args);
}

// int4 with float x.
TRTGO_TARGET inline void linear_int4_floats(const LinearArgs& args) {
  if (args.shape.group == 0) return linear<Int4Weights, FloatActivations>(args);
  return linear<Int4Groups, GroupedActivations>(args);
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_INTEGERS_H_
