//go:build linux && (amd64 || arm64)

#include "kernels.h"

namespace trtgo {
namespace cpu {

namespace {

constexpr int64_t kLine = 64;  // bytes

int64_t lines(int64_t k, int64_t in_line) { return (k + in_line - 1) / in_line * kLine; }

}  // namespace

int64_t WeightShape::panel_bytes() const {
  switch (format) {
    case kF32: return lines(k, 1);
    case kBf16:
    case kF16: return lines(k, 2);
    case kInt8:
    case kFp8: return kLine + lines(k, 4);
    case kInt4: break;
    case kWeightFormats: return 0;
  }
  if (group == 0) return kLine + lines(k, 8);
  const int64_t groups = k / group;
  const int64_t headers = bf16_scales && !zeros ? (groups + 1) / 2 : !bf16_scales && zeros ? 2 * groups : groups;
  return headers * kLine + lines(k, 8);
}

}  // namespace cpu
}  // namespace trtgo
