//go:build linux && (amd64 || arm64)

// The kernel sets of NEON: the one for every AArch64 processor, and those that compute some linear
// layers and attention with later instructions, which stand in files of their own.
#if defined(__aarch64__)

// Multiply and add are fused only where the code says so.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
// Scheduled before registers are allocated, the weights of a tile crowd out its sums.
#pragma GCC optimize("no-schedule-insns")
#endif

#include <arm_neon.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels.h"
#include "kernels_bf16.h"
#include "kernels_tables.h"

#define TRTGO_TARGET
#define TRTGO_INLINE __attribute__((always_inline)) inline

namespace trtgo {
namespace cpu {
namespace {

// 6 rows × 4 vectors of sums leave 8 of 32 registers for weights and activations.
constexpr int kTileRows = 6;
constexpr int kTilePanels = 1;
constexpr int kNarrowRows = kTileRows;

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#include "kernels_neon.h"
// After the vector type:
#include "kernels_formats.h"
#include "kernels_math.h"
// After kernels_math.h:
#include "kernels_rows.h"
// After both:
#include "kernels_linear.h"
// After kernels_linear.h:
#include "kernels_integers.h"
// After all:
#include "kernels_attention.h"

namespace trtgo {
namespace cpu {
namespace {

// What sets of more instructions compute otherwise: linears with bf16 x and attention.
struct Differences {
  LinearFunction bf16, fp8, integers;
  AttentionFunction cache_bf16, cache_int8, cache_fp8;
};

constexpr Kernels kernels_with(const char* name, Differences own) {
  return {
      name,
      {{linear<FloatWeights, FloatActivations>, nullptr},
       {linear<Bf16Weights, FloatActivations>, own.bf16},
       {linear<F16Weights, FloatActivations>, linear<F16Weights, WidenedActivations>},
       {linear<Int8Weights, FloatActivations>, own.integers},
       {linear_int4_floats, own.integers},
       {linear<Fp8Weights, FloatActivations>, own.fp8}},
      linear_scratch_bytes,
      {attention<FloatWeights>, own.cache_bf16, own.cache_int8, own.cache_fp8},
      attention_merge,
      attention_scratch_bytes,
      rms_norm,
      layer_norm,
      activation,
      row_statistics,
      amax,
      to_bf16,
  };
}

constexpr Differences widened(LinearFunction integers) {
  return {linear<Bf16Weights, WidenedActivations>,
          linear<Fp8Weights, WidenedActivations>,
          integers,
          attention<Bf16Weights>,
          attention<Int8Weights>,
          attention<Fp8Weights>};
}

}  // namespace

const Kernels kNeonKernels = kernels_with("neon", widened(linear_integers));
const Kernels kNeonDotProdKernels = kernels_with("neondotprod", widened(integers_neondotprod));
const Kernels kNeonBf16Kernels =
    kernels_with("neonbf16", {pairs_neonbf16, pairs_neonbf16, integers_neondotprod, attention_bf16_neonbf16,
                              attention_int8_neonbf16, attention_fp8_neonbf16});

}  // namespace cpu
}  // namespace trtgo

#endif  // __aarch64__
