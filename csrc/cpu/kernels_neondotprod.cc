//go:build linux && (amd64 || arm64)

// Linear layers of integers with the dot products of bytes of ARMv8.2 (Neoverse N1, Cortex-A76 and
// later).
#if defined(__aarch64__)

#include "kernels_set.h"

#define TRTGO_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define TRTGO_INLINE __attribute__((target("arch=armv8.2-a+dotprod"), always_inline)) inline

namespace trtgo {
namespace cpu {
namespace {

// An output has two sums: 3 rows × 4 vectors of them leave 8 of 32 registers.
constexpr int kTileRows = 3;
constexpr int kTilePanels = 1;
constexpr int kNarrowRows = kTileRows;

}  // namespace
}  // namespace cpu
}  // namespace trtgo

#include "kernels_neon.h"
// After the vector type:
#include "kernels_formats.h"
// After kernels_formats.h:
#include "kernels_linear.h"
// After kernels_linear.h:
#include "kernels_integers.h"

namespace trtgo {
namespace cpu {
namespace {

// n = 256 high + low, low without a sign: the first sum is of low bytes, the second of high
// ones, four k to an instruction. Each is exact and so is what join makes of them.
struct ByteProducts : IntegerProducts {
  static constexpr int kLeastChains = 2, kMostChains = 2;

  static TRTGO_INLINE Sum join(Sum low, Sum high) { return add_ints(low, shift_left<8>(high)); }
  static TRTGO_INLINE Sum multiply(uint8x16_t value, Vec x, Sum sum) {
    return vdotq_u32(sum, value, vreinterpretq_u8_f32(x));
  }
  static TRTGO_INLINE Sum multiply(int8x16_t value, Vec x, Sum sum) {
    return vreinterpretq_u32_s32(vdotq_s32(vreinterpretq_s32_u32(sum), value, vreinterpretq_s8_f32(x)));
  }

  // Orders the bytes of eight numbers at a time.
  static TRTGO_INLINE void order_bytes(int16_t* numbers, int n, uint8x16_t order) {
    auto* p = reinterpret_cast<uint8_t*>(numbers);
    for (int i = 0; i < 2 * n; i += 16) vst1q_u8(p + i, vqtbl1q_u8(vld1q_u8(p + i), order));
  }
};

// Bytes with signs meet high bytes, bytes without a sign, which are 128 larger, low ones.
struct Int8Bytes : ByteProducts {
  static constexpr bool kScaled = true;
  static constexpr int kOffset = 128;
  static constexpr int kDepth = 4;
  static constexpr int kValues = 2;

  template <int I>
  static TRTGO_INLINE auto value(const uint8_t* line, int vector) {
    const uint8x16_t numbers = vld1q_u8(line + vector * kLanes * 4);
    if constexpr (I == 0) {
      return numbers;
    } else {
      return vreinterpretq_s8_u8(veorq_u8(numbers, vdupq_n_u8(0x80)));
    }
  }

  static TRTGO_INLINE int32_t arrange(int16_t* numbers, int n, int32_t) {
    uint32x4_t low = vdupq_n_u32(0);
    for (int i = 0; i < n; i += 8) {
      low = vpadalq_u16(low, vandq_u16(vreinterpretq_u16_s16(vld1q_s16(numbers + i)), vdupq_n_u16(0xff)));
    }
    order_bytes(numbers, n, uint8x16_t{0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15});
    return reduce_add(low);
  }
};

// Numbers of 4 bits, 8 larger than what they stand for, are the same with and without a sign.
template <bool Scaled>
struct Int4Bytes : ByteProducts {
  static constexpr bool kScaled = Scaled;
  static constexpr int kOffset = 8;
  static constexpr int kDepth = 8;
  static constexpr int kValues = 4;

  template <int I>
  static TRTGO_INLINE auto value(const uint8_t* line, int vector) {
    const uint8x16_t pairs = vld1q_u8(line + vector * kLanes * 4);
    const uint8x16_t numbers = I < 2 ? vandq_u8(pairs, vdupq_n_u8(0xf)) : vshrq_n_u8(pairs, 4);
    if constexpr (I % 2 == 0) {
      return numbers;
    } else {
      return vreinterpretq_s8_u8(numbers);
    }
  }

  static TRTGO_INLINE int32_t arrange(int16_t* numbers, int n, int32_t sum) {
    order_bytes(numbers, n, uint8x16_t{0, 8, 2, 10, 1, 9, 3, 11, 4, 12, 6, 14, 5, 13, 7, 15});
    return sum;
  }
};

}  // namespace

void integers_neondotprod(const LinearArgs& args) {
  if (args.shape.format == kInt8) return linear<Int8Bytes, IntegerActivations>(args);
  if (args.shape.group == 0) return linear<Int4Bytes<true>, IntegerActivations>(args);
  linear<Int4Bytes<false>, IntegerActivations>(args);
}

}  // namespace cpu
}  // namespace trtgo

#endif  // __aarch64__
