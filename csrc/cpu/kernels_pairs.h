// bf16 and fp8 weights with bf16 activations, a pair of k at a time. Included once, after
// kernels_formats.h, by a file that has defined, in an unnamed namespace of trtgo::cpu,
// dpbf16(sum, a, b): VDPBF16PS, and e4m3_pairs.
#ifndef TRTGO_CPU_KERNELS_PAIRS_H_
#define TRTGO_CPU_KERNELS_PAIRS_H_

namespace trtgo {
namespace cpu {
namespace {

struct PairProducts {
  static constexpr bool kGroups = false;
  static TRTGO_INLINE Vec multiply(Vec value, Vec x, Vec sum) { return dpbf16(sum, value, x); }
};

struct PairWeights : PairProducts {
  static constexpr bool kScaled = false;
  static constexpr int kDepth = 2;
  static constexpr int kValues = 1;  // a pair, in the bits of a float

  template <int I>
  static TRTGO_INLINE Vec value(const uint8_t* line, int vector) {
    return load_line(line + vector * kLanes * 4);
  }
};

// fp8 as bf16, which is exact.
struct Fp8Pairs : PairProducts {
  static constexpr bool kScaled = true;
  static constexpr int kDepth = 4;
  static constexpr int kValues = 2;

  template <int I>
  static TRTGO_INLINE Vec value(const uint8_t* line, int vector) {
    const Ints words = load_ints(line + vector * kLanes * 4);
    return e4m3_pairs(I == 0 ? bit_and(words, ints(0x00ff00ffu)) : shift_right_halves<8>(words));
  }
};

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_PAIRS_H_
