// int8 of a KV cache as pairs of bf16. Included once, after kernels_pairs.h.
#ifndef TRTGO_CPU_KERNELS_ATTENTION_PAIRS_H_
#define TRTGO_CPU_KERNELS_ATTENTION_PAIRS_H_

namespace trtgo {
namespace cpu {
namespace {

// Whole numbers of 8 bits are bf16 exactly: the upper half of their floats.
struct Int8Pairs : PairProducts {
  static constexpr int kDepth = 4;
  static constexpr int kValues = 2;

  template <int I>
  static TRTGO_INLINE Vec value(const uint8_t* line, int vector) {
    const Ints words = load_ints(line + vector * kLanes * 4);
    const Ints even = bits(whole_number<8 * byte_of(2 * I), 8, 128>(words));
    const Ints odd = bits(whole_number<8 * byte_of(2 * I + 1), 8, 128>(words));
    return bits(bit_or(shift_right<16>(even), odd));
  }
};

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_ATTENTION_PAIRS_H_
