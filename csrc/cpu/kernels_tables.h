// The kernel sets, each defined in a file of its own. Callers find them through
// kernels_by_name and kernels_best.
#ifndef TRTGO_CPU_KERNELS_TABLES_H_
#define TRTGO_CPU_KERNELS_TABLES_H_

#include "kernels.h"

#if defined(__x86_64__)
#define TRTGO_CPU_X86 1
#else
#define TRTGO_CPU_X86 0
#endif
#if defined(__aarch64__)
#define TRTGO_CPU_ARM 1
#else
#define TRTGO_CPU_ARM 0
#endif

namespace trtgo {
namespace cpu {

extern const Kernels kScalarKernels;
#if TRTGO_CPU_X86
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Bf16Kernels;
// The avx512bf16 set with VDPBF16PS computed by AVX-512F instructions: slow, for
// tests on machines without it. Never the best one.
extern const Kernels kAvx512Bf16EmulatedKernels;

// Linears with bf16 x: bf16 and fp8 weights of the two, int8 and int4 of the first.
void pairs_avx512bf16(const LinearArgs&);
void pairs_avx512bf16_emulated(const LinearArgs&);
void integers_avx512vnni(const LinearArgs&);

// Attention over caches of these formats with VDPBF16PS.
void attention_bf16_avx512bf16(const AttentionArgs&);
void attention_int8_avx512bf16(const AttentionArgs&);
void attention_fp8_avx512bf16(const AttentionArgs&);
void attention_bf16_emulated(const AttentionArgs&);
void attention_int8_emulated(const AttentionArgs&);
void attention_fp8_emulated(const AttentionArgs&);
#endif
#if TRTGO_CPU_ARM
extern const Kernels kNeonKernels;
extern const Kernels kNeonDotProdKernels;
extern const Kernels kNeonBf16Kernels;

// Linears with bf16 x: int8 and int4 weights of the first, bf16 and fp8 of the second.
void integers_neondotprod(const LinearArgs&);
void pairs_neonbf16(const LinearArgs&);

// Attention over caches of these formats with BFDOT.
void attention_bf16_neonbf16(const AttentionArgs&);
void attention_int8_neonbf16(const AttentionArgs&);
void attention_fp8_neonbf16(const AttentionArgs&);
#endif

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_TABLES_H_
