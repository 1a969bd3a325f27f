// The weights of linear layers whose outputs are one chain of floating-point operations
// over all k. A kernel set includes this once, before kernels_linear.h, after its vector
// type and words: Ints, load_ints, ints, bit_and, bit_or, shift_left, shift_right,
// load_f16, e4m3.
//
// Such a format says how many values of x a line of 64 bytes meets, of how many k, and
// what the I-th of them is multiplied by: value<I> of one vector of the line's outputs.
#ifndef TRTGO_CPU_KERNELS_FORMATS_H_
#define TRTGO_CPU_KERNELS_FORMATS_H_

namespace trtgo {
namespace cpu {
namespace {

constexpr int kLineBytes = 64;

// Products of floats, in a panel without a header.
struct FloatProducts {
  static constexpr bool kGroups = false;  // see kernels_integers.h
  static constexpr bool kScaled = false;  // whether the panel begins with a line of scales
  static TRTGO_INLINE Vec multiply(Vec value, Vec x, Vec sum) { return fma(x, value, sum); }
};

struct ScaledProducts : FloatProducts {
  static constexpr bool kScaled = true;
};

struct FloatWeights : FloatProducts {
  static constexpr int kDepth = 1;   // k of a line
  static constexpr int kValues = 1;  // packed values of x for a line and row

  template <int I>
  static TRTGO_INLINE Vec value(const uint8_t* line, int vector) {
    return load_line(line + vector * kLanes * 4);
  }
};

// bf16, widened.
struct Bf16Weights : FloatProducts {
  static constexpr int kDepth = 2;
  static constexpr int kValues = 2;

  template <int I>
  static TRTGO_INLINE Vec value(const uint8_t* line, int vector) {
    const Vec pairs = load_line(line + vector * kLanes * 4);
    return I == 0 ? even_bf16(pairs) : odd_bf16(pairs);
  }
};

struct F16Weights : FloatProducts {
  static constexpr int kDepth = 2;
  static constexpr int kValues = 2;

  template <int I>
  static TRTGO_INLINE Vec value(const uint8_t* line, int vector) {
    return load_f16(line + (I * kPanelRows + vector * kLanes) * 2);
  }
};

// Where a line of bytes has its I-th k: k, k+2, k+1, k+3.
constexpr int byte_of(int i) { return (i & 1) * 2 + i / 2; }

// The unsigned number of `Bits` bits from bit `Begin` on of each word, less Offset: it is
// put under the exponent of 2^23, where a unit is the last place.
template <int Begin, int Bits, int Offset>
TRTGO_INLINE Vec whole_number(Ints words) {
  const Ints number = bit_and(shift_right<Begin>(words), ints((1u << Bits) - 1));
  return sub(bits(bit_or(number, ints(0x4b000000u))), set1(0x1p23f + Offset));
}

struct Int8Weights : ScaledProducts {
  static constexpr int kDepth = 4;
  static constexpr int kValues = 4;

  template <int I>
  static TRTGO_INLINE Vec value(const uint8_t* line, int vector) {
    return whole_number<8 * byte_of(I), 8, 128>(load_ints(line + vector * kLanes * 4));
  }
};

struct Fp8Weights : ScaledProducts {
  static constexpr int kDepth = 4;
  static constexpr int kValues = 4;

  template <int I>
  static TRTGO_INLINE Vec value(const uint8_t* line, int vector) {
    return e4m3(shift_left<24 - 8 * byte_of(I)>(load_ints(line + vector * kLanes * 4)));
  }
};

struct Int4Weights : ScaledProducts {
  static constexpr int kDepth = 8;
  static constexpr int kValues = 8;

  template <int I>
  static TRTGO_INLINE Vec value(const uint8_t* line, int vector) {
    return whole_number<16 * (I & 1) + 4 * (I / 2), 4, 8>(load_ints(line + vector * kLanes * 4));
  }
};

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_FORMATS_H_
