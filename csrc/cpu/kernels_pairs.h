// Linear layers of bf16 weights and bf16 activations, a pair of k at a time. Included
// once, after kernels_linear.h, by a file that has defined, in an unnamed namespace of
// trtgo::cpu, dpbf16(sum, a, b): VDPBF16PS.
#ifndef TRTGO_CPU_KERNELS_PAIRS_H_
#define TRTGO_CPU_KERNELS_PAIRS_H_

namespace trtgo {
namespace cpu {
namespace {

struct PairWeights {
  static constexpr int kDepth = 2;
  static constexpr int kValues = 1;  // a pair, in the bits of a float

  template <int MR, int NV>
  static TRTGO_INLINE void step(Vec (&sum)[MR][NV], const float* a, int64_t, const Vec (&line)[NV]) {
    for (int r = 0; r < MR; r++) {
      const Vec x = set1(a[r]);
      for (int v = 0; v < NV; v++) sum[r][v] = dpbf16(sum[r][v], line[v], x);
    }
  }
};

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_PAIRS_H_
