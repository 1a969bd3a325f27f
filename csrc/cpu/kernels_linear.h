// Linear layers of the vector kernel sets. A kernel set includes this once, after
// its vector type: Vec, kLanes, load, load_line, load_part, store, zero, set1, add,
// fma, even_bf16, odd_bf16, transpose4, TRTGO_TARGET, TRTGO_INLINE, and the shape of
// its register tiles: kTileRows rows, and kTilePanels panels above kNarrowRows rows.
//
// Every weight format puts 16 outputs of one step of k into a line of 64 bytes: one
// k of float, or a pair of bf16. A tile multiplies MR rows by NP panels with its
// sums in registers; rows and panels do not meet, so that each output is the same
// chain of operations in ascending k whatever tile computes it. Long rows are cut
// into blocks of k, between which the sums are stored and loaded again.
#ifndef TRTGO_CPU_KERNELS_LINEAR_H_
#define TRTGO_CPU_KERNELS_LINEAR_H_

namespace trtgo {
namespace cpu {
namespace {

constexpr int kPanelVectors = kPanelRows / kLanes;
constexpr int kLineBytes = 64;

constexpr int kRowBlock = 128;     // rows whose activations are packed together
constexpr int kDepthBlock = 1536;  // values of k that are packed together; even
constexpr int kPanelBlock = 32;    // panels whose sums wait for the next block of k

// One register tile's work.
struct Tile {
  const float* a;  // packed activations: step s, row r at a[s*kValues*lda + …]
  int64_t lda;
  const uint8_t* w;     // first line of the first panel
  int64_t panel_bytes;  // from one panel to the next
  int steps;
  float* partial;    // [MR][NP*16], when there are several blocks of k
  bool first, last;  // of the blocks
  float* y;
  int64_t ldy;
  const float* bias;  // of the first panel, or null
  bool accumulate;
};

// float weights: a step is one k.
struct FloatWeights {
  static constexpr int kDepth = 1;   // k per step
  static constexpr int kValues = 1;  // packed values per step and row

  template <int MR, int NV>
  static TRTGO_INLINE void step(Vec (&sum)[MR][NV], const float* a, int64_t, const Vec (&line)[NV]) {
    for (int r = 0; r < MR; r++) {
      const Vec x = set1(a[r]);
      for (int v = 0; v < NV; v++) sum[r][v] = fma(x, line[v], sum[r][v]);
    }
  }
};

// bf16 weights, widened: a step is a pair of k, the even one first.
struct Bf16Weights {
  static constexpr int kDepth = 2;
  static constexpr int kValues = 2;

  template <int MR, int NV>
  static TRTGO_INLINE void step(Vec (&sum)[MR][NV], const float* a, int64_t lda, const Vec (&line)[NV]) {
    Vec w[NV];
    for (int v = 0; v < NV; v++) w[v] = even_bf16(line[v]);
    for (int r = 0; r < MR; r++) {
      const Vec x = set1(a[r]);
      for (int v = 0; v < NV; v++) sum[r][v] = fma(x, w[v], sum[r][v]);
    }
    for (int v = 0; v < NV; v++) w[v] = odd_bf16(line[v]);
    for (int r = 0; r < MR; r++) {
      const Vec x = set1(a[lda + r]);
      for (int v = 0; v < NV; v++) sum[r][v] = fma(x, w[v], sum[r][v]);
    }
  }
};

template <class Weights, int MR, int NP>
TRTGO_TARGET void multiply_tile(const Tile& tile) {
  constexpr int NV = NP * kPanelVectors;
  Vec sum[MR][NV];
  for (int r = 0; r < MR; r++) {
    for (int v = 0; v < NV; v++) {
      sum[r][v] = tile.first ? zero() : load(tile.partial + (r * NV + v) * kLanes);
    }
  }
  const float* a = tile.a;
  const uint8_t* w = tile.w;
  const int64_t lda = tile.lda, panel_bytes = tile.panel_bytes;
  for (int s = 0; s < tile.steps; s++) {
    Vec line[NV];
    for (int v = 0; v < NV; v++) {
      line[v] = load_line(w + v / kPanelVectors * panel_bytes + v % kPanelVectors * kLanes * 4);
    }
    Weights::template step<MR, NV>(sum, a, lda, line);
    a += Weights::kValues * lda;
    w += kLineBytes;
  }
  for (int r = 0; r < MR; r++) {
    for (int v = 0; v < NV; v++) {
      if (!tile.last) {
        store(tile.partial + (r * NV + v) * kLanes, sum[r][v]);
        continue;
      }
      float* y = tile.y + r * tile.ldy + v * kLanes;
      Vec value = sum[r][v];
      if (tile.bias != nullptr) value = add(value, load(tile.bias + v * kLanes));
      if (tile.accumulate) value = add(value, load(y));
      store(y, value);
    }
  }
}

using TileFunction = void (*)(const Tile&);

template <class Weights, int NP, class Rows = std::make_integer_sequence<int, kTileRows>>
struct TileFunctions;

// A tile function for each count of rows, 1 … kTileRows.
template <class Weights, int NP, int... Rows>
struct TileFunctions<Weights, NP, std::integer_sequence<int, Rows...>> {
  static TileFunction of(int rows) {
    static constexpr TileFunction functions[] = {multiply_tile<Weights, Rows + 1, NP>...};
    return functions[rows - 1];
  }
};

// out[i*ld + r] = rows[r][i], i < n.
TRTGO_TARGET inline void pack_rows(const float* const* rows, int count, int n, float* out, int64_t ld) {
  int r = 0;
  for (; r + 4 <= count; r += 4) {
    int i = 0;
    for (; i + 4 <= n; i += 4) {
      transpose4(rows[r] + i, rows[r + 1] + i, rows[r + 2] + i, rows[r + 3] + i, out + i * ld + r, ld);
    }
    for (; i < n; i++) {
      for (int j = r; j < r + 4; j++) std::memcpy(out + i * ld + j, rows[j] + i, 4);
    }
  }
  for (; r < count; r++) {
    for (int i = 0; i < n; i++) std::memcpy(out + i * ld + r, rows[r] + i, 4);
  }
}

// Activations as tiles read them: 4-byte values of which a row has `values(k)`.
struct FloatActivations {
  using Element = float;
  static constexpr bool kInPlace = true;  // a row of x is a packed tile of one row

  static TRTGO_INLINE void pack(const float* x, int64_t ldx, int count, int n, float* out) {
    const float* rows[kTileRows];
    for (int r = 0; r < count; r++) rows[r] = x + r * ldx;
    pack_rows(rows, count, n, out, count);
  }
};

// bf16 activations for float arithmetic.
struct WidenedActivations {
  using Element = uint16_t;
  static constexpr bool kInPlace = false;

  static TRTGO_INLINE void pack(const uint16_t* x, int64_t ldx, int count, int n, float* out) {
    constexpr int kPiece = 64;
    alignas(64) float wide[kTileRows][kPiece];
    const float* rows[kTileRows];
    for (int i = 0; i < n; i += kPiece) {
      const int piece = n - i < kPiece ? n - i : kPiece;
      for (int r = 0; r < count; r++) {
        rows[r] = wide[r];
        const uint16_t* from = x + r * ldx + i;
        for (int j = 0; j < piece; j += kLanes) store(wide[r] + j, load_part(from + j, piece - j));
      }
      pack_rows(rows, count, piece, out + int64_t{i} * count, count);
    }
  }
};

// How m rows are cut into tiles of nearly equal height.
struct RowTiles {
  int count, rows;
  explicit RowTiles(int m) : count((m + kTileRows - 1) / kTileRows), rows(m) {}
  int begin(int tile) const { return static_cast<int>(int64_t{tile} * rows / count); }
};

inline int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Floats of packed activations, a multiple of 16.
inline int64_t packed_floats(int m, int k) {
  return round_up(int64_t{std::min(m, kRowBlock)} * round_up(std::min(k, kDepthBlock), 2), 16);
}

inline int64_t linear_scratch_bytes(int m, int k) {
  const int64_t one_row = round_up(int64_t{k} + 1, 16);
  const int64_t sums = k > kDepthBlock ? int64_t{std::min(m, kRowBlock)} * kPanelBlock * kPanelRows : 0;
  return std::max(one_row, packed_floats(m, k) + sums) * 4;
}

// A block of rows, panels and k: the tiles in it.
struct Block {
  int row, rows;
  int k, depth;  // first value of k; how many
  int panel, panels;
  bool first, last;
};

template <class Weights>
TRTGO_TARGET void multiply_block(const LinearArgs& args, const Block& block, const float* packed, float* sums) {
  const RowTiles tiles(block.rows);
  const int64_t panel_bytes = int64_t{args.shape.k + Weights::kDepth - 1} / Weights::kDepth * kLineBytes;
  const int steps = (block.depth + Weights::kDepth - 1) / Weights::kDepth;
  const bool wide = kTilePanels > 1 && block.rows > kNarrowRows;
  for (int p = 0; p < block.panels;) {
    const int panels = wide && p + kTilePanels <= block.panels ? kTilePanels : 1;
    for (int t = 0; t < tiles.count; t++) {
      const int row = tiles.begin(t), rows = tiles.begin(t + 1) - row;
      Tile tile;
      tile.a = packed + int64_t{row} * steps * Weights::kValues;
      tile.lda = rows;
      tile.w = static_cast<const uint8_t*>(args.w) + (block.panel + p) * panel_bytes +
               int64_t{block.k} / Weights::kDepth * kLineBytes;
      tile.panel_bytes = panel_bytes;
      tile.steps = steps;
      tile.partial = sums + (int64_t{p} * block.rows + int64_t{row} * panels) * kPanelRows;
      tile.first = block.first;
      tile.last = block.last;
      const int64_t column = int64_t{block.panel + p} * kPanelRows;
      tile.y = args.y + (block.row + row) * args.ldy + column;
      tile.ldy = args.ldy;
      tile.bias = args.bias != nullptr ? args.bias + column : nullptr;
      tile.accumulate = args.accumulate;
      const TileFunction multiply =
          panels == 1 ? TileFunctions<Weights, 1>::of(rows) : TileFunctions<Weights, kTilePanels>::of(rows);
      multiply(tile);
    }
    p += panels;
  }
}

template <class Weights, class Activations>
TRTGO_TARGET void pack_block(const LinearArgs& args, const Block& block, float* packed) {
  // An element of x is 4 bytes where a step takes one packed value of it.
  const RowTiles tiles(block.rows);
  const int per_value = Weights::kDepth / Weights::kValues;  // k in a packed value
  const int n = (block.depth + Weights::kDepth - 1) / Weights::kDepth * Weights::kValues;
  const auto* x = static_cast<const typename Activations::Element*>(args.x) + block.k / per_value;
  const int64_t ldx = args.ldx / per_value;
  for (int t = 0; t < tiles.count; t++) {
    const int row = tiles.begin(t), rows = tiles.begin(t + 1) - row;
    Activations::pack(x + (block.row + row) * ldx, ldx, rows, n, packed + int64_t{row} * n);
  }
}

// One row: its activations are read where they stand, its weights in one stream.
template <class Weights, class Activations>
TRTGO_TARGET void multiply_row(const LinearArgs& args) {
  Block block = {0, 1, 0, args.shape.k, args.panel_begin, args.panel_end - args.panel_begin, true, true};
  float* scratch = static_cast<float*>(args.scratch);
  if (Activations::kInPlace) {
    multiply_block<Weights>(args, block, static_cast<const float*>(args.x), scratch);
  } else {
    pack_block<Weights, Activations>(args, block, scratch);
    multiply_block<Weights>(args, block, scratch, scratch);
  }
}

template <class Weights, class Activations>
TRTGO_TARGET void linear(const LinearArgs& args) {
  if (args.m == 1) return multiply_row<Weights, Activations>(args);
  float* packed = static_cast<float*>(args.scratch);
  float* sums = packed + packed_floats(args.m, args.shape.k);
  const int depths = std::max(1, (args.shape.k + kDepthBlock - 1) / kDepthBlock);
  const int depth = static_cast<int>(round_up((args.shape.k + depths - 1) / depths, 2));
  for (int row = 0; row < args.m; row += kRowBlock) {
    const int rows = std::min(kRowBlock, args.m - row);
    // With one block of k, activations are packed once for all panels.
    const int panels = depths == 1 ? std::max(1, args.panel_end - args.panel_begin) : kPanelBlock;
    for (int panel = args.panel_begin; panel < args.panel_end; panel += panels) {
      for (int k = 0; k < args.shape.k; k += depth) {
        const Block block = {row,    rows,
                             k,      std::min(depth, args.shape.k - k),
                             panel,  std::min(panels, args.panel_end - panel),
                             k == 0, k + depth >= args.shape.k};
        pack_block<Weights, Activations>(args, block, packed);
        multiply_block<Weights>(args, block, packed, sums);
      }
    }
  }
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_LINEAR_H_
