//go:build linux && (amd64 || arm64)

// Which kernel sets this machine can run. x86: asked of the processor (CPUID) and of
// the operating system (XCR0: does it save the registers?). AArch64: the operating system
// tells what it found.
#include <cstring>

#include "kernels.h"
#include "kernels_tables.h"

#if TRTGO_CPU_X86
#include <cpuid.h>
#elif TRTGO_CPU_ARM
#include <sys/auxv.h>
#endif

namespace trtgo {
namespace cpu {
namespace {

struct Features {
  bool avx2 = false;        // AVX2, FMA and F16C
  bool avx512 = false;      // F, BW, DQ, VL
  bool avx512bf16 = false;  // the same, BF16 and VNNI
  bool neondotprod = false;
  bool neonbf16 = false;  // and dot products of bytes
};

#if TRTGO_CPU_X86

bool bit(unsigned word, int index) { return (word >> index & 1u) != 0; }

unsigned long long extended_control_register() {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<unsigned long long>(high) << 32 | low;
}

Features detect() {
  Features features;
  unsigned a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return features;
  const bool os_saves = bit(c, 27), avx = bit(c, 28), fma = bit(c, 12), f16c = bit(c, 29);
  if (!os_saves || !avx) return features;
  const unsigned long long xcr0 = extended_control_register();
  const bool ymm = (xcr0 & 0x6) == 0x6, zmm = (xcr0 & 0xe6) == 0xe6;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return features;
  const unsigned subleaves = a;
  features.avx2 = ymm && fma && f16c && bit(b, 5);
  features.avx512 = features.avx2 && zmm && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31);
  const bool vnni = bit(c, 11);
  if (features.avx512 && vnni && subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) {
    features.avx512bf16 = bit(a, 5);
  }
  return features;
}

#elif TRTGO_CPU_ARM

Features detect() {
  constexpr unsigned long kDotProd = 1UL << 20, kBf16 = 1UL << 14;  // HWCAP_ASIMDDP, HWCAP2_BF16
  Features features;
  features.neondotprod = (getauxval(AT_HWCAP) & kDotProd) != 0;
  features.neonbf16 = features.neondotprod && (getauxval(AT_HWCAP2) & kBf16) != 0;
  return features;
}

#endif

struct Entry {
  const Kernels* kernels;
  bool supported;
};

struct Entries {
  Entry list[4];
  int count;
};

// Fastest first; the emulated set last.
const Entries& entries() {
  static const Entries all = [] {
    Entries found = {};
#if TRTGO_CPU_X86
    const Features features = detect();
    found.list[found.count++] = {&kAvx512Bf16Kernels, features.avx512bf16};
    found.list[found.count++] = {&kAvx2Kernels, features.avx2};
#endif
#if TRTGO_CPU_ARM
    const Features features = detect();
    found.list[found.count++] = {&kNeonBf16Kernels, features.neonbf16};
    found.list[found.count++] = {&kNeonDotProdKernels, features.neondotprod};
    found.list[found.count++] = {&kNeonKernels, true};
#endif
    found.list[found.count++] = {&kScalarKernels, true};
#if TRTGO_CPU_X86
    found.list[found.count++] = {&kAvx512Bf16EmulatedKernels, features.avx512};
#endif
    return found;
  }();
  return all;
}

}  // namespace

const Kernels* kernels_by_name(const char* name) {
  for (int i = 0; i < entries().count; i++) {
    if (std::strcmp(entries().list[i].kernels->name, name) == 0) return entries().list[i].kernels;
  }
  return nullptr;
}

bool kernels_supported(const Kernels* kernels) {
  for (int i = 0; i < entries().count; i++) {
    if (entries().list[i].kernels == kernels) return entries().list[i].supported;
  }
  return false;
}

const Kernels* kernels_best() {
  int i = 0;
  while (!entries().list[i].supported) i++;
  return entries().list[i].kernels;
}

}  // namespace cpu
}  // namespace trtgo
