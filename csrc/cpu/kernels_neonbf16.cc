//go:build linux && (amd64 || arm64)

// The linear layers and attention of BFDOT (ARMv8.6: Neoverse V1, N2, Cortex-A510 and later).
#if defined(__aarch64__)

#include "kernels_set.h"

#define TRTGO_TARGET __attribute__((target("arch=armv8.2-a+bf16")))
#define TRTGO_INLINE __attribute__((target("arch=armv8.2-a+bf16"), always_inline)) inline

namespace trtgo {
namespace cpu {
namespace {

// As those of floats; see kernels_neon.cc.
constexpr int kTileRows = 6;
constexpr int kTilePanels = 1;
constexpr int kNarrowRows = kTileRows;

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#include "kernels_neon.h"

namespace trtgo {
namespace cpu {
namespace {

// sum + a·b over the pair of bf16 in each lane.
TRTGO_INLINE Vec dpbf16(Vec sum, Vec a, Vec b) {
  return vbfdotq_f32(sum, vreinterpretq_bf16_f32(a), vreinterpretq_bf16_f32(b));
}

// The E4M3 numbers in the low bytes of halves of 16 bits, as bf16.
TRTGO_INLINE Vec e4m3_pairs(Ints halves) {
  const uint16x8_t denormals = {0, 0x3b00, 0x3b80, 0x3bc0, 0x3c00, 0x3c20, 0x3c40, 0x3c60};
  const uint16x8_t bytes = vreinterpretq_u16_u32(halves);
  const uint16x8_t magnitude = vandq_u16(bytes, vdupq_n_u16(0x7f));
  const uint16x8_t normal = vaddq_u16(vshlq_n_u16(magnitude, 4), vdupq_n_u16(120 * 128));
  // Where the two bytes of a denormal are; what is beyond the table stays as it is.
  const uint16x8_t places = vmlaq_n_u16(vdupq_n_u16(0x100), magnitude, 0x202);
  const uint8x16_t number =
      vqtbx1q_u8(vreinterpretq_u8_u16(normal), vreinterpretq_u8_u16(denormals), vreinterpretq_u8_u16(places));
  const uint16x8_t nan = vceqq_u16(magnitude, vdupq_n_u16(0x7f));
  const uint16x8_t value = vorrq_u16(vreinterpretq_u16_u8(number), nan), sign = vshlq_n_u16(bytes, 8);
  return vreinterpretq_f32_u16(vbslq_u16(vdupq_n_u16(0x8000), sign, value));
}

}  // namespace
}  // namespace cpu
}  // namespace trtgo

// After the vector type:
#include "kernels_formats.h"
#include "kernels_math.h"
// After kernels_formats.h:
#include "kernels_linear.h"
#include "kernels_pairs.h"
// After kernels_pairs.h:
#include "kernels_attention_pairs.h"
// After kernels_linear.h and kernels_math.h:
#include "kernels_attention.h"

namespace trtgo {
namespace cpu {

void pairs_neonbf16(const LinearArgs& args) {
  if (args.shape.format == kFp8) return linear<Fp8Pairs, FloatActivations>(args);
  linear<PairWeights, FloatActivations>(args);
}

void attention_bf16_neonbf16(const AttentionArgs& args) { attention<PairWeights>(args); }
void attention_int8_neonbf16(const AttentionArgs& args) { attention<Int8Pairs>(args); }
void attention_fp8_neonbf16(const AttentionArgs& args) { attention<Fp8Pairs>(args); }

}  // namespace cpu
}  // namespace trtgo

#endif  // __aarch64__
