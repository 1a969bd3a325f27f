//go:build linux && (amd64 || arm64)

// The kernel sets of NEON: the one for every AArch64 processor, and those that compute some linear
// layers and attention with later instructions, which stand in files of their own.
#if defined(__aarch64__)

#include "kernels_set.h"

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
// After those:
#include "kernels_vectorset.h"

namespace trtgo {
namespace cpu {

const Kernels kNeonKernels = kernels_with("neon", widened<linear_integers>());
const Kernels kNeonDotProdKernels = kernels_with("neondotprod", widened<integers_neondotprod>());
const Kernels kNeonBf16Kernels =
    kernels_with("neonbf16", {pairs_neonbf16, pairs_neonbf16, integers_neondotprod, attention_bf16_neonbf16,
                              attention_int8_neonbf16, attention_fp8_neonbf16});

}  // namespace cpu
}  // namespace trtgo

#endif  // __aarch64__
