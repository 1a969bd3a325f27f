// Linear layers of the vector kernel sets. A kernel set includes this once, after
// kernels_formats.h and its vector type: Vec, kLanes, load, load_line, load_part, store,
// zero, set1, add, mul, fma, even_bf16, odd_bf16, transpose4, TRTGO_TARGET, TRTGO_INLINE,
// and the shape of its register tiles: kTileRows rows, and kTilePanels panels above
// kNarrowRows rows.
//
// Every weight format puts 16 outputs of one or several k into a line of 64 bytes. A tile
// multiplies MR rows by NP panels with its sums in registers; rows and panels do not meet,
// so that each output is the same chain of operations in ascending k whatever tile
// computes it. Long rows are cut into blocks of k, between which the sums are stored and
// loaded again; the blocks begin at multiples of kDepthUnit, so that none cuts a group.
#ifndef TRTGO_CPU_KERNELS_LINEAR_H_
#define TRTGO_CPU_KERNELS_LINEAR_H_

// Before loops over all sums at the end of a tile. A set whose tiles are many vectors tells
// the compiler to unroll them: otherwise it keeps the sums in memory, to find there the one
// that the loop has come to.
#ifndef TRTGO_UNROLL
#define TRTGO_UNROLL
#endif

namespace trtgo {
namespace cpu {
namespace {

constexpr int kPanelVectors = kPanelRows / kLanes;

constexpr int kRowBlock = 128;     // rows whose activations are packed together
constexpr int kDepthUnit = 256;    // two of the largest groups
constexpr int kDepthBlock = 1536;  // values of k that are packed together, of kRowBlock rows
constexpr int kPanelBlock = 32;    // panels whose sums wait for the next block of k

// One register tile's work.
struct Tile {
  const float* a;  // packed activations: value i of step s, row r at a[(s*kValues + i)*lda + r]
  int64_t lda;
  const uint8_t* w;     // first line of the first panel, or the header before it
  int64_t panel_bytes;  // from one panel to the next
  int steps;            // lines
  float* partial;       // [MR][NP*16], when there are several blocks of k
  bool first, last;     // of the blocks
  float* y;
  int64_t ldy;
  const float* bias;  // of the first panel, or null
  bool accumulate;
  const uint8_t* scales;     // of formats with one for each output: float [16] of the first panel
  const WeightShape* shape;  // of formats in groups
};

template <int MR, int NV>
TRTGO_INLINE void begin_tile_sums(const Tile& tile, Vec (&sum)[MR][NV]) {
  for (int r = 0; r < MR; r++) {
    for (int v = 0; v < NV; v++) sum[r][v] = tile.first ? zero() : load(tile.partial + (r * NV + v) * kLanes);
  }
}

// Floats at a place in a panel, of the tile's vector v.
TRTGO_INLINE Vec load_header(const uint8_t* header, int64_t panel_bytes, int v) {
  return load(reinterpret_cast<const float*>(header + v / kPanelVectors * panel_bytes) + v % kPanelVectors * kLanes);
}

template <bool Scaled, int MR, int NV>
TRTGO_INLINE void end_tile_sums(const Tile& tile, const Vec (&sum)[MR][NV]) {
  TRTGO_UNROLL
  for (int r = 0; r < MR; r++) {
    TRTGO_UNROLL
    for (int v = 0; v < NV; v++) {
      if (!tile.last) {
        store(tile.partial + (r * NV + v) * kLanes, sum[r][v]);
        continue;
      }
      float* y = tile.y + r * tile.ldy + v * kLanes;
      Vec value = sum[r][v];
      if (Scaled) value = mul(value, load_header(tile.scales, tile.panel_bytes, v));
      if (tile.bias != nullptr) value = add(value, load(tile.bias + v * kLanes));
      if (tile.accumulate) value = add(value, load(y));
      store(y, value);
    }
  }
}

// The I-th value of x of each row times its value of a line.
template <class Weights, int I, int MR, int NV>
TRTGO_INLINE void multiply_value(Vec (&sum)[MR][NV], const float* a, int64_t lda, const uint8_t* w,
                                 int64_t panel_bytes) {
  Vec value[NV];
  for (int v = 0; v < NV; v++) {
    value[v] = Weights::template value<I>(w + v / kPanelVectors * panel_bytes, v % kPanelVectors);
  }
  for (int r = 0; r < MR; r++) {
    const Vec x = set1(a[I * lda + r]);
    for (int v = 0; v < NV; v++) sum[r][v] = Weights::multiply(value[v], x, sum[r][v]);
  }
}

template <class Weights, int MR, int NV, int... I>
TRTGO_INLINE void multiply_line(std::integer_sequence<int, I...>, Vec (&sum)[MR][NV], const float* a, int64_t lda,
                                const uint8_t* w, int64_t panel_bytes) {
  (multiply_value<Weights, I>(sum, a, lda, w, panel_bytes), ...);
}

// Asks for the lines of the next panels that stand where w does in these. With few rows
// the processor runs far enough ahead by itself.
template <int MR, int NP>
TRTGO_INLINE void prefetch_next(const uint8_t* w, int64_t panel_bytes) {
  if (MR <= 2) return;
  for (int p = 0; p < NP; p++) __builtin_prefetch(w + (NP + p) * panel_bytes, 0, 2);
}

template <class Weights, int MR, int NP>
TRTGO_TARGET void multiply_tile(const Tile& tile) {
  constexpr int NV = NP * kPanelVectors;
  Vec sum[MR][NV];
  begin_tile_sums(tile, sum);
  const float* a = tile.a;
  const uint8_t* w = tile.w;
  const int64_t lda = tile.lda, panel_bytes = tile.panel_bytes;
  for (int s = 0; s < tile.steps; s++) {
    prefetch_next<MR, NP>(w, panel_bytes);
    multiply_line<Weights>(std::make_integer_sequence<int, Weights::kValues>(), sum, a, lda, w, panel_bytes);
    a += Weights::kValues * lda;
    w += kLineBytes;
  }
  end_tile_sums<Weights::kScaled>(tile, sum);
}

// The same for formats in groups; see kernels_integers.h.
template <class Weights, int MR, int NP>
TRTGO_TARGET void multiply_groups(const Tile& tile);

using TileFunction = void (*)(const Tile&);

template <class Weights, int NP, class Rows = std::make_integer_sequence<int, kTileRows>>
struct TileFunctions;

// A tile function for each count of rows, 1 … kTileRows.
template <class Weights, int NP, int... Rows>
struct TileFunctions<Weights, NP, std::integer_sequence<int, Rows...>> {
  template <int MR>
  static constexpr TileFunction function() {
    if constexpr (Weights::kGroups) {
      return multiply_groups<Weights, MR, NP>;
    } else {
      return multiply_tile<Weights, MR, NP>;
    }
  }

  static TileFunction of(int rows) {
    static constexpr TileFunction functions[] = {function<Rows + 1>()...};
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

inline int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

inline int ceil_div(int n, int divisor) { return (n + divisor - 1) / divisor; }

// Values of k whose products are summed apart, of formats that have groups.
inline int group_of(const WeightShape& shape) { return shape.group == 0 ? 128 : shape.group; }

// Activations as tiles read them: for each line of weights kValues values of 4 bytes of a
// row, each a float or the bits of a pair of bf16.
struct FloatActivations {
  using Element = float;
  static constexpr bool kInPlace = true;  // a row of x is a packed tile of one row

  template <class Weights>
  static int64_t packed_floats(int depth, int) {  // of a row
    return int64_t{ceil_div(depth, Weights::kDepth)} * Weights::kValues;
  }

  template <class Weights>
  static TRTGO_INLINE void pack(const float* x, int64_t ldx, int count, int depth, const WeightShape&, float* out) {
    const float* rows[kTileRows];
    for (int r = 0; r < count; r++) rows[r] = x + r * ldx;
    pack_rows(rows, count, static_cast<int>(packed_floats<Weights>(depth, 0)), out, count);
  }
};

// bf16 activations for float arithmetic.
struct WidenedActivations {
  using Element = uint16_t;
  static constexpr bool kInPlace = false;

  template <class Weights>
  static int64_t packed_floats(int depth, int group) {
    return FloatActivations::packed_floats<Weights>(depth, group);
  }

  template <class Weights>
  static TRTGO_INLINE void pack(const uint16_t* x, int64_t ldx, int count, int depth, const WeightShape&, float* out) {
    constexpr int kPiece = 64;
    alignas(64) float wide[kTileRows][kPiece];
    const float* rows[kTileRows];
    const int n = static_cast<int>(packed_floats<Weights>(depth, 0));
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
  explicit RowTiles(int m) : count(ceil_div(m, kTileRows)), rows(m) {}
  int begin(int tile) const { return static_cast<int>(int64_t{tile} * rows / count); }
};

// How deep blocks of that many rows are: all give about the same size. A multiple of
// kDepthUnit.
inline int depth_block(int rows) {
  return kDepthBlock * kRowBlock / std::min(rows, kRowBlock) / kDepthUnit * kDepthUnit;
}

// Floats of packed activations, of any format, a multiple of 16. Groups of 32 or more have
// up to three values beside them.
inline int64_t packed_floats(int m, int k) {
  return round_up(int64_t{std::min(m, kRowBlock)} * (round_up(k, 8) + 3 * ceil_div(k, 32)), 16);
}

inline int64_t linear_scratch_bytes(int m, int k) {
  const int rows = std::min(m, kRowBlock);
  const int64_t sums = k > depth_block(rows) ? int64_t{rows} * kPanelBlock * kPanelRows : 0;
  return (packed_floats(m, k) + sums) * 4;
}

// A block of rows, panels and k: the tiles in it.
struct Block {
  int row, rows;
  int k, depth;  // first value of k; how many
  int panel, panels;
  bool first, last;
};

// Where in a panel the lines of k, a multiple of kDepthUnit, begin, or the header of their group.
inline int64_t line_offset(const WeightShape& shape, int k) {
  if (k == 0) return shape.group == 0 && shape.format >= kInt8 ? kLineBytes : 0;
  WeightShape before = shape;
  before.k = k;
  return before.panel_bytes();
}

template <class Weights, class Activations>
TRTGO_TARGET void multiply_block(const LinearArgs& args, const Block& block, const float* packed, float* sums) {
  const RowTiles tiles(block.rows);
  const int64_t panel_bytes = args.shape.panel_bytes();
  const int64_t row_floats = Activations::template packed_floats<Weights>(block.depth, group_of(args.shape));
  const bool wide = kTilePanels > 1 && block.rows > kNarrowRows;
  Tile tile;
  tile.panel_bytes = panel_bytes;
  tile.steps = ceil_div(block.depth, Weights::kDepth);
  tile.first = block.first;
  tile.last = block.last;
  tile.ldy = args.ldy;
  tile.accumulate = args.accumulate;
  tile.shape = &args.shape;
  for (int p = 0; p < block.panels;) {
    const int panels = wide && p + kTilePanels <= block.panels ? kTilePanels : 1;
    const int64_t column = int64_t{block.panel + p} * kPanelRows;
    tile.scales = static_cast<const uint8_t*>(args.w) + (block.panel + p) * panel_bytes;
    tile.w = tile.scales + line_offset(args.shape, block.k);
    tile.bias = args.bias != nullptr ? args.bias + column : nullptr;
    for (int t = 0; t < tiles.count; t++) {
      const int row = tiles.begin(t), rows = tiles.begin(t + 1) - row;
      tile.a = packed + row * row_floats;
      tile.lda = rows;
      tile.partial = sums + (int64_t{p} * block.rows + int64_t{row} * panels) * kPanelRows;
      tile.y = args.y + (block.row + row) * args.ldy + column;
      const TileFunction multiply =
          panels == 1 ? TileFunctions<Weights, 1>::of(rows) : TileFunctions<Weights, kTilePanels>::of(rows);
      multiply(tile);
    }
    p += panels;
  }
}

template <class Weights, class Activations>
TRTGO_TARGET void pack_block(const LinearArgs& args, const Block& block, float* packed) {
  // An element of x is 4 bytes where a packed value is a pair.
  constexpr int kPerValue = sizeof(typename Activations::Element) == 4 ? Weights::kDepth / Weights::kValues : 1;
  const RowTiles tiles(block.rows);
  const int64_t row_floats = Activations::template packed_floats<Weights>(block.depth, group_of(args.shape));
  const auto* x = static_cast<const typename Activations::Element*>(args.x) + block.k / kPerValue;
  const int64_t ldx = args.ldx / kPerValue;
  for (int t = 0; t < tiles.count; t++) {
    const int row = tiles.begin(t), rows = tiles.begin(t + 1) - row;
    Activations::template pack<Weights>(x + (block.row + row) * ldx, ldx, rows, block.depth, args.shape,
                                        packed + row * row_floats);
  }
}

// One block of rows. Its activations are packed block of k by block of k, once for all
// panels, and left in scratch for the next call.
template <class Weights, class Activations>
TRTGO_TARGET void multiply_rows(const LinearArgs& args, int row, int rows) {
  const int k = args.shape.k, depths = ceil_div(k, depth_block(rows));
  const int depth = depths == 1 ? k : static_cast<int>(round_up(ceil_div(k, depths), kDepthUnit));
  const int64_t packed_depth = rows * Activations::template packed_floats<Weights>(depth, group_of(args.shape));
  auto* packed = static_cast<float*>(args.scratch);
  float* sums = packed + packed_floats(args.m, k);
  const auto block_at = [&](int i, int panel, int panels) {
    const int from = i * depth, to = std::min(k, from + depth);
    return Block{row, rows, from, to - from, panel, panels, from == 0, to == k};
  };
  const bool in_place = args.m == 1 && Activations::kInPlace;
  const float* activations = in_place ? static_cast<const float*>(args.x) : packed;
  if (!in_place && (!args.packed || args.m > kRowBlock)) {
    for (int i = 0; i * depth < k; i++) {
      pack_block<Weights, Activations>(args, block_at(i, 0, 0), packed + i * packed_depth);
    }
  }
  const int panel_block = depths == 1 ? args.panel_end - args.panel_begin : kPanelBlock;
  for (int panel = args.panel_begin; panel < args.panel_end; panel += panel_block) {
    for (int i = 0; i * depth < k; i++) {
      const Block block = block_at(i, panel, std::min(panel_block, args.panel_end - panel));
      multiply_block<Weights, Activations>(args, block, activations + i * packed_depth, sums);
    }
  }
}

template <class Weights, class Activations>
TRTGO_TARGET void linear(const LinearArgs& args) {
  for (int row = 0; row < args.m; row += kRowBlock) {
    multiply_rows<Weights, Activations>(args, row, std::min(kRowBlock, args.m - row));
  }
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_LINEAR_H_
