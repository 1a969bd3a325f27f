// Kernels: what a forward pass computes, one table for each instruction set.
//
// Shapes are written [rows, columns], row-major unless said otherwise; strides
// ("ld…") are in elements. bf16 is a uint16_t with the upper half of a float.
// All functions are pure: they may run on any thread, keep nothing, and cannot
// fail. Buffers belong to the caller.
//
// Batch invariance: the value of an output depends on its own row of inputs and
// its weights only, never on m, on the panel range or on which rows stand
// beside it. Each output of a linear is one accumulation chain in ascending k,
// started at zero; bias and the old value are added after it. What the chain is
// depends on the weights' format and on x:
//
//   f32, bf16, f16 with float x     total = fma(x[k], w[k], total)
//   bf16, fp8 with bf16 x           the set's dot product of pairs of bf16, or as above
//   f16 with bf16 x                 as above, x widened
//   fp8, int8, int4 with float x    sum = fma(x[k], number[k], sum) over all k, or over a group
//   int8, int4 with bf16 x          integers, see below
//   then with a scale per output    total = sum scale
//   or for each group, ascending    total = fma(sum, scale, total), and with zeros
//                                   total = fma(sum of x over the group, zero, total)
//
// Integers: k is cut into groups of the weights' group or, where they have none, of 128
// (the last may be shorter). A group of x is written as n[k] 2^e with whole n[k] of 16
// bits: e = max(-100, floor(log2(the group's largest magnitude))) - 14, n rounded to
// nearest even, which is exact for all that is at least 1/128 of the largest. The sum of
// n[k] number[k] over a group is an exact int32, so it is the same in every set; rounded
// to float, sum = fma(it, 2^e, sum). The sum of x over a group is that of n[k], times 2^e.
// A group of x with an infinity or NaN has all n 0 and NaN for 2^e.
//
// So a row of x with an infinity or NaN gives NaN in all outputs of integer weights with
// bf16 x, and what IEEE 754 says in the others. VDPBF16PS and BFDOT take denormals for zero.
// BFDOT adds two products before it adds them to the total, and rounds both sums to odd.
#ifndef TRTGO_CPU_KERNELS_H_
#define TRTGO_CPU_KERNELS_H_

#include <cstdint>

namespace trtgo {
namespace cpu {

constexpr int kPanelRows = 16;  // output rows in a packed panel; cpuengine.PanelRows

enum WeightFormat : int { kF32 = 0, kBf16 = 1, kF16 = 2, kInt8 = 3, kInt4 = 4, kFp8 = 5, kWeightFormats = 6 };

// How a weight [n, k] is packed; see cpuengine's package comment.
struct WeightShape {
  WeightFormat format;
  int k;
  int group;         // of k that share a scale; 0: none
  bool bf16_scales;  // of groups, otherwise float
  bool zeros;        // of groups

  int64_t panel_bytes() const;
};

// y[m, panel_begin*16 … panel_end*16) = x[m, k] · wᵀ (+ bias) (+ y).
//
// w: panels as in cpuengine's package comment, the first byte being panel 0.
// x: rows of ldx values, float or bf16; columns from k up to the next multiple of 8
// can be read and are 0.
// y: rows of ldy floats; whole panels are written, so ldy is a multiple of 16.
struct LinearArgs {
  const void* x;
  int64_t ldx;
  const void* w;
  WeightShape shape;
  const float* bias;  // [panels*16] or null
  float* y;
  int64_t ldy;
  int m;
  int panel_begin;
  int panel_end;
  bool accumulate;
  bool packed;    // scratch is as the last call left it, which had the same x, m and shape
  void* scratch;  // linear_scratch_bytes(m, shape.k) bytes, 64-byte aligned, of this thread
};
using LinearFunction = void (*)(const LinearArgs&);

// Numbers of a KV cache. int8 is stored as number + 128.
enum KVFormat : int { kKVF32 = 0, kKVBf16 = 1, kKVInt8 = 2, kKVFp8 = 3, kKVFormats = 4 };

// Positions whose softmax is begun anew, and merged with what is before it. They begin at
// multiples of it, so that they may be computed anywhere, in any order.
constexpr int kAttentionRange = 512;

// Attention of one KV head's query group for consecutive positions of one sequence.
//
// KV block b of this layer and KV head begins at kv + b*block_stride, its values v_offset
// bytes on; KVLayout tells where each number is. Slots and columns that were not written
// may hold anything.
//
// What one query computes depends on its position only. Its positions are cut at multiples
// of 128. Of each such piece, ascending, it takes the scores (one chain over ascending
// columns, times scale and kv_scale), scales total and sums down if the maximum grows, and
// adds exp(score - maximum) to the total and, times the values, to the sums (one chain over
// ascending positions). A range of 512 begins anew; ranges are merged ascending. The result
// is sums / total * kv_scale (* out_factor), rounded to bf16 if asked.
//
// With a cache of bf16, int8 or fp8 a set that has the dot product of pairs of bf16 uses it
// for scores and sums: queries and exponentials are rounded to bf16 (the total is of the
// unrounded ones), int8 and fp8 are bf16 exactly. The other sets multiply floats.
//
// A NaN or infinity in a value makes all later queries that see it NaN or infinite in its
// column, also where it weighs 0. A score of -inf weighs 0 as long as one is finite; with
// none, or with a score of +inf or NaN, the query's result is NaN.
struct AttentionArgs {
  const float* q;  // row r, head g: q + r*ldq + g*head_size; rotated, not scaled
  int64_t ldq;
  void* out;  // same indexing with ldo; float, or bf16 when out_bf16
  int64_t ldo;
  bool out_bf16;
  const float* out_factor;  // [group*head_size], or null
  const uint8_t* kv;
  int64_t block_stride;  // bytes
  int64_t v_offset;      // bytes
  const int32_t* block_table;
  int block_size;  // 16, 32, 64 or 128
  int head_size;   // even, at most 512
  int group;       // query heads of this KV head
  int rows;        // queries at positions first_position … first_position+rows-1
  int first_position;
  int window;      // 0: all earlier positions, else the last `window` ones
  float scale;     // of scores, above 0
  float kv_scale;  // of the numbers in the cache; 1 for float and bf16
  // Null: the whole result. Otherwise the kernel computes the positions of one range, and
  // writes for each row and head that sees any of it what it came to, partial_floats(head_size)
  // floats of [ranges][rows][group], the first range being that of the first position that
  // row 0 sees; attention_merge makes out of them, and changes them.
  float* partials;
  int range;
  float* scratch;  // attention_scratch_bytes(group, head_size, block_size), of this thread
};
using AttentionFunction = void (*)(const AttentionArgs&);

// Sums of the columns, up to a multiple of 16, then the maximum, then the total.
constexpr int64_t partial_floats(int head_size) { return (head_size + 15) / 16 * 16 + 16; }

// What a row of logits is reduced to.
struct RowStatistics {
  float max;          // over edited logits / temperature
  float log_sum_exp;  // same
};

struct Kernels {
  const char* name;  // as in TRTGO_CPU_ISA

  LinearFunction linear[kWeightFormats][2];       // [format][0: x is float (`exact`), 1: bf16 (`fast`)]; no [kF32][1]
  int64_t (*linear_scratch_bytes)(int m, int k);  // enough for every format

  AttentionFunction attention[kKVFormats];
  AttentionFunction attention_merge;  // of all ranges; for every format
  int64_t (*attention_scratch_bytes)(int group, int head_size, int block_size);

  // out[n] = x / sqrt(mean(x²) + epsilon) * weight; out is float, or bf16 (rounded
  // to nearest even) when out_bf16.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int n, void* out, bool out_bf16);
  // out[n] = (x - mean) / sqrt(var + epsilon) * weight + bias, population variance.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float epsilon, int n, void* out,
                     bool out_bf16);

  // out[n] = f(a) * b * factor, from left to right; b or factor may be null. function: see
  // Activation.
  void (*activation)(int function, const float* a, const float* b, const float* factor, int n, void* out,
                     bool out_bf16);

  // log-sum-exp and maximum of x[n] * inv_temperature.
  RowStatistics (*row_statistics)(const float* x, int n, float inv_temperature);

  float (*amax)(const float* x, int64_t n);  // largest magnitude; NaN if any is NaN
  void (*to_bf16)(const float* x, uint16_t* out, int64_t n);
};

enum Activation : int { kSilu = 0, kSquaredRelu = 1, kRelu = 2, kGelu = 3, kGeluTanh = 4 };

// The table named "scalar", "avx2", "avx512bf16", "neon", "neondotprod" or "neonbf16"; null
// when the name is none of them or is not compiled for this architecture. ("avx512bf16-emulated", which
// computes VDPBF16PS by other instructions, is found too; it is for tests alone.)
// kernels_supported tells whether this machine (CPUID and the operating system's XCR0, or
// the hardware capabilities that it tells on ARM) can run it.
const Kernels* kernels_by_name(const char* name);
bool kernels_supported(const Kernels*);
// The fastest supported table.
const Kernels* kernels_best();

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_H_
