// Attention of the vector kernel sets, over a paged cache. A kernel set includes this
// once, after kernels_linear.h and kernels_math.h, and says in kValueVectors how many
// columns of values, in vectors, a register tile of few rows holds.
//
// A query is one head of one row. Queries of neighbouring rows and of the heads of a
// group share each load of keys and values, but do not meet: a query's blocks are
// visited in ascending order, and what it computes in one depends on its own position
// only. A block that only some rows of a tile see whole is visited row by row.
#ifndef TRTGO_CPU_KERNELS_ATTENTION_H_
#define TRTGO_CPU_KERNELS_ATTENTION_H_

namespace trtgo {
namespace cpu {
namespace {

// Queries that are in work together, in scratch.
struct Queries {
  float* packed;  // [head_size][kTileRows]
  float* scores;  // [kTileRows][block_size]; then their exponentials
  float* sum;     // [kTileRows][head_size], weighted values
  float* total;   // [kTileRows][kLanes], sums of exponentials
  float* max;     // [kTileRows]

  Queries(float* scratch, int head_size, int block_size) {
    const int64_t columns = round_up(head_size, 16);
    packed = scratch;
    scores = packed + columns * kTileRows;
    sum = scores + int64_t{block_size} * kTileRows;
    total = sum + columns * kTileRows;
    max = total + int64_t{kLanes} * kTileRows;
  }
};

inline int64_t attention_scratch_bytes(int, int head_size, int block_size) {
  return (2 * round_up(head_size, 16) + block_size + kLanes + 1) * kTileRows * 4;
}

// The tokens [begin, end) of a block, for the queries [first, first+count).
struct Span {
  int first, count;
  int begin, end;
};

// sum[r] += Σ p[r][t] values[t] over ascending t, for NV vectors of columns.
template <class T, int MR, int NV>
TRTGO_TARGET void weigh(const float* p, int64_t ldp, const T* values, int64_t ldv, int tokens, float* sum) {
  Vec acc[MR][NV];
  for (int r = 0; r < MR; r++) {
    for (int v = 0; v < NV; v++) acc[r][v] = load(sum + r * ldv + v * kLanes);
  }
  for (int t = 0; t < tokens; t++, values += ldv) {
    Vec value[NV];
    for (int v = 0; v < NV; v++) value[v] = load(values + v * kLanes);
    for (int r = 0; r < MR; r++) {
      const Vec x = set1(p[r * ldp + t]);
      for (int v = 0; v < NV; v++) acc[r][v] = fma(x, value[v], acc[r][v]);
    }
  }
  for (int r = 0; r < MR; r++) {
    for (int v = 0; v < NV; v++) store(sum + r * ldv + v * kLanes, acc[r][v]);
  }
}

inline float widen(float value) { return value; }
inline float widen(uint16_t value) { return widen_bf16(value); }

// The same for the columns past the last whole vector.
template <class T>
TRTGO_TARGET void weigh_tail(const float* p, const T* values, int64_t ldv, int tokens, int columns, float* sum) {
  for (int d = 0; d < columns; d++) {
    float acc = sum[d];
    for (int t = 0; t < tokens; t++) acc = __builtin_fmaf(p[t], widen(values[t * ldv + d]), acc);
    sum[d] = acc;
  }
}

template <class T, int MR>
TRTGO_TARGET void weigh_rows(const AttentionArgs& args, const Queries& queries, const Span& span, const T* values) {
  constexpr int kVectors =
      MR * kValueVectors <= kTileRows * kTilePanels * kPanelVectors ? kValueVectors : kTilePanels * kPanelVectors;
  const int size = args.head_size, tokens = span.end - span.begin;
  const float* p = queries.scores + int64_t{span.first} * args.block_size + span.begin;
  float* sum = queries.sum + int64_t{span.first} * size;
  const T* from = values + int64_t{span.begin} * size;
  int d = 0;
  for (; d + kVectors * kLanes <= size; d += kVectors * kLanes) {
    weigh<T, MR, kVectors>(p, args.block_size, from + d, size, tokens, sum + d);
  }
  for (; d + kLanes <= size; d += kLanes) {
    weigh<T, MR, 1>(p, args.block_size, from + d, size, tokens, sum + d);
  }
  for (int r = 0; d < size && r < MR; r++) {
    weigh_tail(p + r * args.block_size, from + d, size, tokens, size - d, sum + r * size + d);
  }
}

template <class T, class Rows = std::make_integer_sequence<int, kTileRows>>
struct WeighFunctions;

template <class T, int... Rows>
struct WeighFunctions<T, std::integer_sequence<int, Rows...>> {
  using Function = void (*)(const AttentionArgs&, const Queries&, const Span&, const T*);
  static Function of(int rows) {
    static constexpr Function functions[] = {weigh_rows<T, Rows + 1>...};
    return functions[rows - 1];
  }
};

// Scores of the panels that the span touches.
template <class Weights>
TRTGO_TARGET void score(const AttentionArgs& args, const Queries& queries, const Span& span, const uint8_t* keys) {
  Tile tile;
  tile.lda = kTileRows;
  tile.a = queries.packed + span.first;
  tile.steps = args.head_size / Weights::kDepth;
  tile.panel_bytes = int64_t{tile.steps} * kLineBytes;
  tile.partial = nullptr;
  tile.first = tile.last = true;
  tile.ldy = args.block_size;
  tile.bias = nullptr;
  tile.accumulate = false;
  const int end = (span.end + kPanelRows - 1) / kPanelRows;
  for (int panel = span.begin / kPanelRows; panel < end;) {
    const int panels = panel + kTilePanels <= end ? kTilePanels : 1;
    tile.w = keys + panel * tile.panel_bytes;
    tile.y = queries.scores + int64_t{span.first} * args.block_size + panel * kPanelRows;
    const TileFunction multiply =
        panels == 1 ? TileFunctions<Weights, 1>::of(span.count) : TileFunctions<Weights, kTilePanels>::of(span.count);
    multiply(tile);
    panel += panels;
  }
}

// Turns one query's scores into exponentials of their distance to the largest score
// so far, and brings its sums to the same scale.
TRTGO_TARGET void exponentiate(const AttentionArgs& args, const Queries& queries, const Span& span, int query) {
  const float infinity = std::numeric_limits<float>::infinity();
  const int begin = span.begin / kPanelRows * kPanelRows;
  const int end = (span.end + kPanelRows - 1) / kPanelRows * kPanelRows;
  float* scores = queries.scores + int64_t{query} * args.block_size;
  for (int t = begin; t < span.begin; t++) scores[t] = -infinity;
  for (int t = span.end; t < end; t++) scores[t] = -infinity;
  const Vec scale = set1(args.scale);
  Vec largest = set1(-infinity);
  for (int t = begin; t < end; t += kLanes) largest = max(largest, mul(load(scores + t), scale));
  const float top = reduce_max(largest);
  float* total = queries.total + int64_t{query} * kLanes;
  if (top > queries.max[query]) {
    const Vec shrink = exp(set1(queries.max[query] - top));
    float* sum = queries.sum + int64_t{query} * args.head_size;
    int d = 0;
    for (; d + kLanes <= args.head_size; d += kLanes) store(sum + d, mul(load(sum + d), shrink));
    if (d < args.head_size)
      store_part(sum + d, mul(load_part(sum + d, args.head_size - d), shrink), args.head_size - d);
    store(total, mul(load(total), shrink));
    queries.max[query] = top;
  }
  // While all scores are -inf they weigh nothing.
  const Vec base = set1(queries.max[query] == -infinity ? 0.0f : queries.max[query]);
  Vec added = load(total);
  for (int t = begin; t < end; t += kLanes) {
    const Vec p = exp(sub(mul(load(scores + t), scale), base));
    store(scores + t, p);
    added = add(added, p);
  }
  store(total, added);
}

template <class T, class Weights>
TRTGO_TARGET void attend_span(const AttentionArgs& args, const Queries& queries, const Span& span, int block) {
  const uint8_t* keys = args.kv + args.block_table[block] * args.block_stride;
  score<Weights>(args, queries, span, keys);
  for (int i = span.first; i < span.first + span.count; i++) exponentiate(args, queries, span, i);
  WeighFunctions<T>::of(span.count)(args, queries, span, reinterpret_cast<const T*>(keys + args.v_offset));
}

// Asks for the block after the one in work: blocks lie anywhere, so the processor
// does not see it coming.
inline void prefetch_block(const AttentionArgs& args, int block, int64_t value_bytes) {
  const uint8_t* next = args.kv + args.block_table[block] * args.block_stride;
  const int64_t bytes = int64_t{args.block_size} * args.head_size * value_bytes;
  for (int64_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(next + i);
    __builtin_prefetch(next + args.v_offset + i);
  }
}

// Rows [row, row+rows) and heads [head, head+heads), at most kTileRows queries.
struct QueryTile {
  int row, rows;
  int head, heads;
};

inline int first_visible(const AttentionArgs& args, int position) {
  return args.window > 0 ? std::max(0, position - args.window + 1) : 0;
}

TRTGO_TARGET inline void begin_tile(const AttentionArgs& args, const Queries& queries, const QueryTile& tile) {
  const float* q[kTileRows];
  const int count = tile.rows * tile.heads;
  for (int i = 0; i < count; i++) {
    q[i] = args.q + (tile.row + i / tile.heads) * args.ldq + int64_t{tile.head + i % tile.heads} * args.head_size;
    queries.max[i] = -std::numeric_limits<float>::infinity();
  }
  pack_rows(q, count, args.head_size, queries.packed, kTileRows);
  std::fill(queries.sum, queries.sum + int64_t{count} * args.head_size, 0.0f);
  std::fill(queries.total, queries.total + int64_t{count} * kLanes, 0.0f);
}

TRTGO_TARGET inline void end_tile(const AttentionArgs& args, const Queries& queries, const QueryTile& tile) {
  for (int i = 0; i < tile.rows * tile.heads; i++) {
    const int64_t at = (tile.row + i / tile.heads) * args.ldo + int64_t{tile.head + i % tile.heads} * args.head_size;
    void* out = static_cast<uint8_t*>(args.out) + at * (args.out_bf16 ? 2 : 4);
    const Vec total = set1(reduce_add(load(queries.total + int64_t{i} * kLanes)));
    const float* sum = queries.sum + int64_t{i} * args.head_size;
    for (int d = 0; d < args.head_size; d += kLanes) {
      const int columns = args.head_size - d;
      put(out, args.out_bf16, d, div(load_part(sum + d, columns), total), columns);
    }
  }
}

template <class T, class Weights>
TRTGO_TARGET void attend_tile(const AttentionArgs& args, const QueryTile& tile) {
  const Queries queries(args.scratch, args.head_size, args.block_size);
  begin_tile(args, queries, tile);
  const int first = args.first_position + tile.row, last = first + tile.rows - 1;
  const int begin_all = first_visible(args, last);  // from here on every row sees
  const int last_block = last / args.block_size;
  for (int block = first_visible(args, first) / args.block_size; block <= last_block; block++) {
    const int base = block * args.block_size;
    if (block < last_block && tile.rows == 1) prefetch_block(args, block + 1, sizeof(T));
    if (base >= begin_all && base + args.block_size <= first + 1) {
      attend_span<T, Weights>(args, queries, {0, tile.rows * tile.heads, 0, args.block_size}, block);
      continue;
    }
    for (int r = 0; r < tile.rows; r++) {
      const int begin = std::max(first_visible(args, first + r) - base, 0);
      const int end = std::min(first + r + 1 - base, args.block_size);
      if (begin < end) attend_span<T, Weights>(args, queries, {r * tile.heads, tile.heads, begin, end}, block);
    }
  }
  end_tile(args, queries, tile);
}

template <class T, class Weights>
TRTGO_TARGET void attention(const AttentionArgs& args) {
  const int heads = std::min(args.group, kTileRows);
  const int rows = kTileRows / heads;
  for (int row = 0; row < args.rows; row += rows) {
    for (int head = 0; head < args.group; head += heads) {
      attend_tile<T, Weights>(args, {row, std::min(rows, args.rows - row), head, std::min(heads, args.group - head)});
    }
  }
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_ATTENTION_H_
