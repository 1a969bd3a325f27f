// Attention of the vector kernel sets, over a paged cache. A kernel set includes this
// once, after kernels_linear.h and kernels_math.h.
//
// A query is one head of one row. Queries of neighbouring rows and of the heads of a
// group share each load of keys and values in a register tile, but do not meet: what one
// computes of a unit of positions depends on its own position only. Keys and values are
// panels as weights are: scores are the linear of a query over columns, the weighted
// sums the linear of exponentials over tokens. Lines of values that only some rows see
// are multiplied for those alone, and where a row sees only some tokens of a line, the
// others are masked, since they may be NaN.
#ifndef TRTGO_CPU_KERNELS_ATTENTION_H_
#define TRTGO_CPU_KERNELS_ATTENTION_H_

namespace trtgo {
namespace cpu {
namespace {

constexpr int kUnit = 128;  // positions whose exponentials are computed together

// Queries that are in work together, in scratch.
struct Queries {
  float* packed;   // [columns][kTileRows], or of pairs of columns
  float* scores;   // [kTileRows][kUnit]; then their exponentials, float or bf16
  float* weights;  // [kUnit][kTileRows], the exponentials, or of pairs of tokens
  float* sum;      // [kTileRows][columns], weighted values of the range
  float* total;    // [kTileRows][kLanes], sums of exponentials
  float* max;      // [kTileRows]
  float* kept;     // [kTileRows][partial_floats], of the ranges before
  float* partial;  // [partial_floats]
  float* masked;   // [columns]: a line of each panel of values
  int64_t columns;

  Queries(float* scratch, int head_size) : columns(round_up(head_size, 16)) {
    packed = scratch;
    scores = packed + columns * kTileRows;
    weights = scores + int64_t{kUnit} * kTileRows;
    sum = weights + int64_t{kUnit} * kTileRows;
    total = sum + columns * kTileRows;
    max = total + int64_t{kLanes} * kTileRows;
    kept = max + 16;
    partial = kept + partial_floats(head_size) * kTileRows;
    masked = partial + partial_floats(head_size);
  }
};

inline int64_t attention_scratch_bytes(int, int head_size, int) {
  const int64_t columns = round_up(head_size, 16);
  const int64_t of_row = 2 * columns + 2 * kUnit + kLanes + partial_floats(head_size);
  return (of_row * kTileRows + 16 + partial_floats(head_size) + columns) * 4;
}

// y[MR][NP*16] = (y +) a · panels, one chain for each. ahead: bytes to what is read next,
// which is fetched meanwhile: into the second level, which has far more misses under way
// than the first.
struct Product {
  const float* a;  // value i of step s, row r at a[(s*kValues + i)*lda + r]
  int64_t lda;
  const uint8_t* w;
  int64_t panel_bytes;
  int64_t ahead;
  int steps;
  float* y;
  int64_t ldy;
  bool first;
};

template <class Weights, int MR, int NP>
TRTGO_TARGET void multiply_cache(const Product& product) {
  constexpr int NV = NP * kPanelVectors;
  const int64_t lda = product.lda, panel_bytes = product.panel_bytes, ldy = product.ldy, ahead = product.ahead;
  const float* a = product.a;
  const uint8_t* w = product.w;
  float* y = product.y;
  Vec sum[MR][NV];
  for (int r = 0; r < MR; r++) {
    for (int v = 0; v < NV; v++) sum[r][v] = product.first ? zero() : load(y + r * ldy + v * kLanes);
  }
  for (int s = 0; s < product.steps; s++) {
    for (int p = 0; p < NP; p++) __builtin_prefetch(w + p * panel_bytes + ahead, 0, 2);
    multiply_line<Weights>(std::make_integer_sequence<int, Weights::kValues>(), sum, a, lda, w, panel_bytes);
    a += Weights::kValues * lda;
    w += kLineBytes;
  }
  TRTGO_UNROLL
  for (int r = 0; r < MR; r++) {
    TRTGO_UNROLL
    for (int v = 0; v < NV; v++) store(y + r * ldy + v * kLanes, sum[r][v]);
  }
}

template <class Weights, int NP, class Rows = std::make_integer_sequence<int, kTileRows>>
struct ProductFunctions;

template <class Weights, int NP, int... Rows>
struct ProductFunctions<Weights, NP, std::integer_sequence<int, Rows...>> {
  using Function = void (*)(const Product&);
  static Function of(int rows) {
    static constexpr Function functions[] = {multiply_cache<Weights, Rows + 1, NP>...};
    return functions[rows - 1];
  }
};

// The product for a number of rows and panels.
template <class Weights>
TRTGO_TARGET void multiply_panels(Product product, int rows, int panels) {
  for (int panel = 0; panel < panels;) {
    const bool wide = panel + kTilePanels <= panels;
    (wide ? ProductFunctions<Weights, kTilePanels>::of(rows) : ProductFunctions<Weights, 1>::of(rows))(product);
    const int done = wide ? kTilePanels : 1;
    product.w += done * product.panel_bytes;
    product.y += done * kPanelRows;
    panel += done;
  }
}

// Whether values meet the cache as pairs of bf16.
template <class Weights>
constexpr bool kPairs = Weights::kValues < Weights::kDepth;

// Rows [row, row+rows) and heads [head, head+heads), at most kTileRows queries.
struct QueryTile {
  int row, rows;
  int head, heads;
};

inline int first_visible(const AttentionArgs& args, int position) {
  return args.window > 0 ? std::max(0, position - args.window + 1) : 0;
}

// A unit of positions as the rows of a tile see it.
struct Unit {
  int base;                              // its first position
  int first, last;                       // rows that see any of it: [first, last)
  int begin[kTileRows], end[kTileRows];  // what each of them sees, from base on
};

TRTGO_TARGET inline Unit unit_of(const AttentionArgs& args, const QueryTile& tile, int base) {
  Unit unit;
  unit.base = base;
  unit.first = tile.rows;
  unit.last = 0;
  for (int r = 0; r < tile.rows; r++) {
    const int position = args.first_position + tile.row + r;
    unit.begin[r] = std::max(first_visible(args, position) - base, 0);
    unit.end[r] = std::min(position + 1 - base, kUnit);
    if (unit.begin[r] >= unit.end[r]) continue;
    unit.first = std::min(unit.first, r);
    unit.last = r + 1;
  }
  return unit;
}

inline const uint8_t* block_at(const AttentionArgs& args, int position) {
  return args.kv + args.block_table[position / args.block_size] * args.block_stride;
}

// Bytes from a block to the one after it, for a single row, which reads each block once.
inline int64_t bytes_ahead(const AttentionArgs& args, int position) {
  const int block = position / args.block_size;
  if (args.rows > 1 || block >= args.first_position / args.block_size) return 0;
  return (int64_t{args.block_table[block + 1]} - args.block_table[block]) * args.block_stride;
}

// Scores of the panels that the rows of a unit see anything of.
template <class Weights>
TRTGO_TARGET void score(const AttentionArgs& args, const Queries& queries, const QueryTile& tile, const Unit& unit) {
  const int first = unit.first * tile.heads, count = unit.last * tile.heads - first;
  const int begin = unit.begin[unit.first] / kPanelRows, end = ceil_div(unit.end[unit.last - 1], kPanelRows);
  const int block_panels = args.block_size / kPanelRows;
  Product product;
  product.a = queries.packed + first;
  product.lda = kTileRows;
  product.steps = ceil_div(args.head_size, Weights::kDepth);
  product.panel_bytes = int64_t{product.steps} * kLineBytes;
  product.ldy = kUnit;
  product.first = true;
  for (int panel = begin; panel < end;) {
    const int in_block = panel % block_panels, panels = std::min(block_panels - in_block, end - panel);
    const int position = unit.base + panel * kPanelRows;
    product.w = block_at(args, position) + in_block * product.panel_bytes;
    product.ahead = bytes_ahead(args, position);
    product.y = queries.scores + int64_t{first} * kUnit + panel * kPanelRows;
    multiply_panels<Weights>(product, count, panels);
    panel += panels;
  }
}

// Turns one query's scores of [begin, end), of those of whole panels in [from, to), into
// exponentials of their distance to the largest score so far, 0 for the others, and
// brings its sums to the same scale.
template <bool Pairs>
TRTGO_TARGET void exponentiate(const AttentionArgs& args, const Queries& queries, int query, int begin, int end,
                               int from, int to) {
  const float infinity = std::numeric_limits<float>::infinity();
  float* scores = queries.scores + int64_t{query} * kUnit;
  std::fill(scores + from, scores + begin, -infinity);
  std::fill(scores + end, scores + to, -infinity);
  const Vec scale = set1(args.scale * args.kv_scale);
  Vec largest = set1(-infinity);
  for (int t = from; t < to; t += kLanes) {
    const Vec scaled = mul(load(scores + t), scale);
    store(scores + t, scaled);
    largest = max(scaled, largest);
  }
  const float top = reduce_max(largest);
  float* total = queries.total + int64_t{query} * kLanes;
  if (top > queries.max[query]) {
    const Vec shrink = exp(set1(queries.max[query] - top));
    float* sum = queries.sum + query * queries.columns;
    for (int d = 0; d < queries.columns; d += kLanes) store(sum + d, mul(load(sum + d), shrink));
    store(total, mul(load(total), shrink));
    queries.max[query] = top;
  }
  // While all scores are -inf they weigh nothing.
  const Vec base = set1(queries.max[query] == -infinity ? 0.0f : queries.max[query]);
  Vec added = load(total);
  for (int t = from; t < to; t += kLanes) {
    const Vec p = exp(sub(load(scores + t), base));
    added = add(added, p);
    if constexpr (Pairs) {
      store(reinterpret_cast<uint16_t*>(scores) + t, p);  // behind what is still to be read
    } else {
      store(scores + t, p);
    }
  }
  store(total, added);
}

// Sums of the lines [begin, end) of a unit, for the queries [first, first+count).
template <class Weights>
TRTGO_TARGET void weigh_lines(const AttentionArgs& args, const Queries& queries, int base, int first, int count,
                              int begin, int end) {
  const int block_lines = args.block_size / Weights::kDepth;
  Product product;
  product.lda = kTileRows;
  product.panel_bytes = int64_t{block_lines} * kLineBytes;
  product.y = queries.sum + first * queries.columns;
  product.ldy = queries.columns;
  product.first = false;
  for (int line = begin; line < end;) {
    const int in_block = line % block_lines, position = base + line * Weights::kDepth;
    product.steps = std::min(block_lines - in_block, end - line);
    product.a = queries.weights + int64_t{line} * Weights::kValues * kTileRows + first;
    product.w = block_at(args, position) + args.v_offset + in_block * kLineBytes;
    product.ahead = bytes_ahead(args, position);
    multiply_panels<Weights>(product, count, ceil_div(args.head_size, kPanelRows));
    line += product.steps;
  }
}

// Sums of the tokens [begin, end) of one line.
template <class Weights>
TRTGO_TARGET void weigh_part(const AttentionArgs& args, const Queries& queries, int base, int first, int count,
                             int begin, int end) {
  const int line = begin / Weights::kDepth, block_lines = args.block_size / Weights::kDepth;
  uint32_t mask = 0;
  for (int t = begin; t < end; t++) {
    const int i = t % Weights::kDepth;
    mask |= Weights::kDepth == 4 ? 0xffu << 8 * byte_of(i) : 0xffffu << 16 * i;
  }
  const uint8_t* values = block_at(args, base + begin) + args.v_offset + int64_t{line % block_lines} * kLineBytes;
  const int panels = ceil_div(args.head_size, kPanelRows);
  for (int panel = 0; panel < panels; panel++, values += int64_t{block_lines} * kLineBytes) {
    uint32_t words[kPanelRows];
    std::memcpy(words, values, sizeof words);
    for (uint32_t& word : words) word &= mask;
    std::memcpy(queries.masked + panel * kPanelRows, words, sizeof words);
  }
  Product product;
  product.a = queries.weights + int64_t{line} * Weights::kValues * kTileRows + first;
  product.lda = kTileRows;
  product.w = reinterpret_cast<const uint8_t*>(queries.masked);
  product.panel_bytes = kLineBytes;
  product.ahead = 0;
  product.steps = 1;
  product.y = queries.sum + first * queries.columns;
  product.ldy = queries.columns;
  product.first = false;
  multiply_panels<Weights>(product, count, panels);
}

// Each row takes its lines in ascending order: those before the ones that all rows see
// whole, these, those after.
template <class Weights>
TRTGO_TARGET void weigh(const AttentionArgs& args, const Queries& queries, const QueryTile& tile, const Unit& unit) {
  constexpr int kDepth = Weights::kDepth;
  const int begin = ceil_div(unit.begin[unit.last - 1], kDepth), end = unit.end[unit.first] / kDepth;
  const int heads = tile.heads;
  const bool shared = begin < end;
  for (int r = unit.first; r < unit.last; r++) {
    const int from = unit.begin[r], to = unit.end[r], last = to / kDepth;
    const int line = ceil_div(from, kDepth);
    if (from % kDepth != 0) {
      weigh_part<Weights>(args, queries, unit.base, r * heads, heads, from, std::min(to, line * kDepth));
    }
    weigh_lines<Weights>(args, queries, unit.base, r * heads, heads, line, shared ? begin : last);
    if (!shared && to % kDepth != 0 && last >= line) {
      weigh_part<Weights>(args, queries, unit.base, r * heads, heads, last * kDepth, to);
    }
  }
  if (!shared) return;
  weigh_lines<Weights>(args, queries, unit.base, unit.first * heads, (unit.last - unit.first) * heads, begin, end);
  for (int r = unit.first; r < unit.last; r++) {
    const int to = unit.end[r], last = to / kDepth;
    weigh_lines<Weights>(args, queries, unit.base, r * heads, heads, end, last);
    if (to % kDepth != 0) weigh_part<Weights>(args, queries, unit.base, r * heads, heads, last * kDepth, to);
  }
}

template <class Weights>
TRTGO_TARGET void attend_unit(const AttentionArgs& args, const Queries& queries, const QueryTile& tile, int base) {
  const Unit unit = unit_of(args, tile, base);
  if (unit.first >= unit.last) return;
  score<Weights>(args, queries, tile, unit);
  const int from = unit.begin[unit.first] / kPanelRows * kPanelRows;
  const int to = ceil_div(unit.end[unit.last - 1], kPanelRows) * kPanelRows;
  const int first = unit.first * tile.heads, last = unit.last * tile.heads;
  constexpr int kOfFloat = kPairs<Weights> ? 2 : 1;  // exponentials in 4 bytes
  const float* rows[kTileRows];
  for (int i = first; i < last; i++) {
    const int r = i / tile.heads;
    // A query's own panels, so that what it adds does not depend on the tile.
    const int own = unit.begin[r] / kPanelRows * kPanelRows, end = ceil_div(unit.end[r], kPanelRows) * kPanelRows;
    exponentiate<kPairs<Weights>>(args, queries, i, unit.begin[r], unit.end[r], own, end);
    rows[i - first] = queries.scores + int64_t{i} * kUnit + from / kOfFloat;
  }
  pack_rows(rows, last - first, (to - from) / kOfFloat, queries.weights + int64_t{from / kOfFloat} * kTileRows + first,
            kTileRows);
  weigh<Weights>(args, queries, tile, unit);
}

template <class Weights>
TRTGO_TARGET void pack_queries(const AttentionArgs& args, const Queries& queries, const QueryTile& tile) {
  constexpr int kOfFloat = kPairs<Weights> ? 2 : 1;
  const int count = tile.rows * tile.heads, columns = static_cast<int>(round_up(args.head_size, 4));
  const float* q[kTileRows];
  for (int i = 0; i < count; i++) {
    const float* from =
        args.q + (tile.row + i / tile.heads) * args.ldq + int64_t{tile.head + i % tile.heads} * args.head_size;
    float* row = queries.sum + i * queries.columns;  // not in use yet
    for (int d = 0; d < columns; d += kLanes) {
      const Vec part = load_part(from + d, std::max(args.head_size - d, 0));
      if constexpr (kPairs<Weights>) {
        store(reinterpret_cast<uint16_t*>(row) + d, part);
      } else {
        store(row + d, part);
      }
    }
    q[i] = row;
  }
  pack_rows(q, count, columns / kOfFloat, queries.packed, kTileRows);
}

// kept = kept and, after it, partial.
TRTGO_TARGET inline void merge_partial(float* kept, const float* partial, int64_t columns) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float top = std::max(kept[columns], partial[columns]), base = top == -infinity ? 0.0f : top;
  const Vec a = exp(set1(kept[columns] - base)), b = exp(set1(partial[columns] - base));
  // The total stands in a vector of its own.
  for (int64_t d = 0; d < columns; d += kLanes) store(kept + d, fma(load(partial + d), b, mul(load(kept + d), a)));
  float* total = kept + columns + 1;
  store_part(total, fma(load_part(partial + columns + 1, 1), b, mul(load_part(total, 1), a)), 1);
  kept[columns] = top;
}

TRTGO_TARGET inline void write_output(const AttentionArgs& args, int row, int head, const float* kept) {
  const int64_t columns = round_up(args.head_size, 16), at = row * args.ldo + int64_t{head} * args.head_size;
  void* out = static_cast<uint8_t*>(args.out) + at * (args.out_bf16 ? 2 : 4);
  const float* factor = args.out_factor != nullptr ? args.out_factor + int64_t{head} * args.head_size : nullptr;
  const Vec total = set1(kept[columns + 1]), scale = set1(args.kv_scale);
  for (int d = 0; d < args.head_size; d += kLanes) {
    const int count = args.head_size - d;
    Vec value = mul(div(load(kept + d), total), scale);
    if (factor != nullptr) value = mul(value, load_part(factor + d, count));
    put(out, args.out_bf16, d, value, count);
  }
}

inline float* partial_of(const AttentionArgs& args, int range, int row, int head) {
  const int64_t from_first = range - first_visible(args, args.first_position) / kAttentionRange;
  return args.partials + ((from_first * args.rows + row) * args.group + head) * partial_floats(args.head_size);
}

// What a range gave to the rows that see it.
TRTGO_TARGET inline void end_range(const AttentionArgs& args, const Queries& queries, const QueryTile& tile,
                                   int range) {
  const int64_t columns = queries.columns;
  for (int i = 0; i < tile.rows * tile.heads; i++) {
    const int row = tile.row + i / tile.heads, position = args.first_position + row;
    const int first = first_visible(args, position) / kAttentionRange;
    if (range < first || range > position / kAttentionRange) continue;
    float* kept = queries.kept + i * partial_floats(args.head_size);
    float* to = args.partials != nullptr ? partial_of(args, range, row, tile.head + i % tile.heads)
                : range == first         ? kept
                                         : queries.partial;
    std::memcpy(to, queries.sum + i * columns, static_cast<size_t>(columns) * 4);
    to[columns] = queries.max[i];
    to[columns + 1] = reduce_add(load(queries.total + int64_t{i} * kLanes));
    if (to == queries.partial) merge_partial(kept, to, columns);
  }
}

template <class Weights>
TRTGO_TARGET void attend_tile(const AttentionArgs& args, const QueryTile& tile) {
  const Queries queries(args.scratch, args.head_size);
  pack_queries<Weights>(args, queries, tile);
  const int count = tile.rows * tile.heads;
  const int first = first_visible(args, args.first_position + tile.row);
  const int last = args.first_position + tile.row + tile.rows - 1;
  const int first_range = args.partials != nullptr ? args.range : first / kAttentionRange;
  const int last_range = args.partials != nullptr ? args.range : last / kAttentionRange;
  for (int range = first_range; range <= last_range; range++) {
    std::fill(queries.max, queries.max + count, -std::numeric_limits<float>::infinity());
    std::fill(queries.sum, queries.sum + count * queries.columns, 0.0f);
    std::fill(queries.total, queries.total + int64_t{count} * kLanes, 0.0f);
    const int begin = std::max(first / kUnit * kUnit, range * kAttentionRange);
    const int end = std::min(last + 1, (range + 1) * kAttentionRange);
    for (int base = begin; base < end; base += kUnit) attend_unit<Weights>(args, queries, tile, base);
    end_range(args, queries, tile, range);
  }
  if (args.partials != nullptr) return;
  for (int i = 0; i < count; i++) {
    write_output(args, tile.row + i / tile.heads, tile.head + i % tile.heads,
                 queries.kept + i * partial_floats(args.head_size));
  }
}

template <class Weights>
TRTGO_TARGET void attention(const AttentionArgs& args) {
  const int heads = std::min(args.group, kTileRows);
  const int rows = kTileRows / heads;
  for (int row = 0; row < args.rows; row += rows) {
    for (int head = 0; head < args.group; head += heads) {
      attend_tile<Weights>(args, {row, std::min(rows, args.rows - row), head, std::min(heads, args.group - head)});
    }
  }
}

TRTGO_TARGET inline void attention_merge(const AttentionArgs& args) {
  const int64_t columns = round_up(args.head_size, 16);
  for (int row = 0; row < args.rows; row++) {
    const int position = args.first_position + row, first = first_visible(args, position) / kAttentionRange;
    for (int head = 0; head < args.group; head++) {
      float* kept = partial_of(args, first, row, head);
      for (int range = first + 1; range <= position / kAttentionRange; range++) {
        merge_partial(kept, partial_of(args, range, row, head), columns);
      }
      write_output(args, row, head, kept);
    }
  }
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_ATTENTION_H_
