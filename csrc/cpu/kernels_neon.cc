//go:build linux && (amd64 || arm64)

// The kernel set of NEON, for every AArch64 processor.
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

const Kernels kNeonKernels = {
    "neon",
    {{linear<FloatWeights, FloatActivations>, nullptr},
     {linear<Bf16Weights, FloatActivations>, linear<Bf16Weights, WidenedActivations>},
     {linear<F16Weights, FloatActivations>, linear<F16Weights, WidenedActivations>},
     {linear<Int8Weights, FloatActivations>, linear_integers},
     {linear_int4_floats, linear_integers},
     {linear<Fp8Weights, FloatActivations>, linear<Fp8Weights, WidenedActivations>}},
    linear_scratch_bytes,
    {attention<FloatWeights>, attention<Bf16Weights>, attention<Int8Weights>, attention<Fp8Weights>},
    attention_merge,
    attention_scratch_bytes,
    rms_norm,
    layer_norm,
    activation,
    row_statistics,
    amax,
    to_bf16,
};

}  // namespace cpu
}  // namespace trtgo

#endif  // __aarch64__
