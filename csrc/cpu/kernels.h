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
// started at zero; bias and the old value are added after it.
#ifndef TRTGO_CPU_KERNELS_H_
#define TRTGO_CPU_KERNELS_H_

#include <cstdint>

namespace trtgo {
namespace cpu {

constexpr int kPanelRows = 16;  // output rows in a packed panel; cpuengine.PanelRows

// y[m, panel_begin*16 … panel_end*16) = x[m, k] · wᵀ (+ bias) (+ y).
//
// w: panels as in cpuengine's package comment, the first byte being panel 0.
// x: rows of ldx values; columns from k up to the next even number must be 0.
// y: rows of ldy floats; whole panels are written, so ldy is a multiple of 16.
struct LinearArgs {
  const void* x;
  int64_t ldx;
  const void* w;
  const float* bias;  // [panels*16] or null
  float* y;
  int64_t ldy;
  int m;
  int k;
  int panel_begin;
  int panel_end;
  bool accumulate;
  void* scratch;  // linear_scratch_bytes(m, k) bytes, 64-byte aligned, of this thread
};

// Attention of one KV head's query group for consecutive positions of one sequence.
//
// KV block b of this layer and KV head begins at kv + b*block_stride: first the
// keys, packed as panels of 16 tokens with K = head_size (bf16 [block/16][d/2][16][2],
// f32 [block/16][d][16]), then, v_offset bytes on, the values [block][d] row-major.
struct AttentionArgs {
  const float* q;  // row r, head g: q + r*ldq + g*head_size; rotated, not scaled
  int64_t ldq;
  void* out;  // same indexing with ldo; float, or bf16 when out_bf16
  int64_t ldo;
  bool out_bf16;
  const uint8_t* kv;
  int64_t block_stride;  // bytes
  int64_t v_offset;      // bytes
  const int32_t* block_table;
  int block_size;  // multiple of 16
  int head_size;   // even, at most 512
  int group;       // query heads of this KV head
  int rows;        // queries at positions first_position … first_position+rows-1
  int first_position;
  int window;  // 0: all earlier positions, else the last `window` ones
  float scale;
  float* scratch;  // attention_scratch_bytes(group, head_size, block_size), of this thread
};

// What a row of logits is reduced to.
struct RowStatistics {
  float max;          // over edited logits / temperature
  float log_sum_exp;  // same
};

struct Kernels {
  const char* name;  // as in TRTGO_CPU_ISA

  void (*linear_f32_f32)(const LinearArgs&);    // x float, w float
  void (*linear_f32_bf16)(const LinearArgs&);   // x float, w bf16 widened: `exact`
  void (*linear_bf16_bf16)(const LinearArgs&);  // x bf16, w bf16: `fast`
  int64_t (*linear_scratch_bytes)(int m, int k);

  void (*attention_f32)(const AttentionArgs&);   // float cache
  void (*attention_bf16)(const AttentionArgs&);  // bf16 cache
  int64_t (*attention_scratch_bytes)(int group, int head_size, int block_size);

  // out[n] = x / sqrt(mean(x²) + epsilon) * weight; out is float, or bf16 (rounded
  // to nearest even) when out_bf16.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int n, void* out, bool out_bf16);
  // out[n] = (x - mean) / sqrt(var + epsilon) * weight + bias, population variance.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float epsilon, int n, void* out,
                     bool out_bf16);

  // out[n] = f(a) * b, or f(a) when b is null. function: see Activation.
  void (*activation)(int function, const float* a, const float* b, int n, void* out, bool out_bf16);

  // log-sum-exp and maximum of x[n] * inv_temperature.
  RowStatistics (*row_statistics)(const float* x, int n, float inv_temperature);

  float (*amax)(const float* x, int64_t n);  // largest magnitude; NaN if any is NaN
  void (*to_bf16)(const float* x, uint16_t* out, int64_t n);
};

enum Activation : int { kSilu = 0, kSquaredRelu = 1, kRelu = 2, kGelu = 3, kGeluTanh = 4 };

// The table named "scalar", "avx2" or "avx512bf16"; null when the name is none
// of them or is not compiled for this architecture. ("avx512bf16-emulated", which
// computes VDPBF16PS by other instructions, is found too; it is for tests alone.)
// supported() tells whether this machine (CPUID and the operating
// system's XCR0) can run it.
const Kernels* kernels_by_name(const char* name);
bool kernels_supported(const Kernels*);
// The fastest supported table.
const Kernels* kernels_best();

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_KERNELS_H_
