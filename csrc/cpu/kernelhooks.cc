//go:build linux && (amd64 || arm64)

#include "kernelhooks.h"

#include "e4m3.h"
#include "kernels.h"
#include "kernels_tables.h"
#include "threads.h"

using trtgo::cpu::AttentionArgs;
using trtgo::cpu::kernels_best;
using trtgo::cpu::kernels_by_name;
using trtgo::cpu::kernels_supported;
using trtgo::cpu::LinearArgs;
using trtgo::cpu::WeightFormat;
using trtgo::cpu::WeightShape;

const char* trtgo_kernels_best(void) { return kernels_best()->name; }

int trtgo_kernels_known(const char* set) { return kernels_by_name(set) != nullptr ? 1 : 0; }

int trtgo_kernels_supported(const char* set) {
  return kernels_by_name(set) != nullptr && kernels_supported(kernels_by_name(set)) ? 1 : 0;
}

void trtgo_kernel_linear(const char* set, int x_bf16, const trtgo_weight_shape* shape, const void* x, int64_t ldx,
                         const void* w, const float* bias, float* y, int64_t ldy, int m, int panel_begin, int panel_end,
                         int accumulate, int packed, void* scratch) {
  const WeightShape weights = {static_cast<WeightFormat>(shape->format), shape->k, shape->group,
                               shape->bf16_scales != 0, shape->zeros != 0};
  const LinearArgs args = {x, ldx,         w,         weights,         bias,        y,      ldy,
                           m, panel_begin, panel_end, accumulate != 0, packed != 0, scratch};
  kernels_by_name(set)->linear[weights.format][x_bf16](args);
}

int64_t trtgo_kernel_linear_scratch_bytes(const char* set, int m, int k) {
  return kernels_by_name(set)->linear_scratch_bytes(m, k);
}

void trtgo_kernel_attention(const char* set, int bf16_cache, const float* q, int64_t ldq, void* out, int64_t ldo,
                            int out_bf16, const uint8_t* kv, int64_t block_stride, int64_t v_offset,
                            const int32_t* block_table, int block_size, int head_size, int group, int rows,
                            int first_position, int window, float scale, float* scratch) {
  const trtgo::cpu::Kernels* kernels = kernels_by_name(set);
  AttentionArgs args;
  args.q = q;
  args.ldq = ldq;
  args.out = out;
  args.ldo = ldo;
  args.out_bf16 = out_bf16 != 0;
  args.kv = kv;
  args.block_stride = block_stride;
  args.v_offset = v_offset;
  args.block_table = block_table;
  args.block_size = block_size;
  args.head_size = head_size;
  args.group = group;
  args.rows = rows;
  args.first_position = first_position;
  args.window = window;
  args.scale = scale;
  args.scratch = scratch;
  if (bf16_cache != 0) {
    kernels->attention_bf16(args);
  } else {
    kernels->attention_f32(args);
  }
}

int64_t trtgo_kernel_attention_scratch_bytes(const char* set, int group, int head_size, int block_size) {
  return kernels_by_name(set)->attention_scratch_bytes(group, head_size, block_size);
}

void trtgo_kernel_rms_norm(const char* set, const float* x, const float* weight, float epsilon, int n, void* out,
                           int out_bf16) {
  kernels_by_name(set)->rms_norm(x, weight, epsilon, n, out, out_bf16 != 0);
}

void trtgo_kernel_layer_norm(const char* set, const float* x, const float* weight, const float* bias, float epsilon,
                             int n, void* out, int out_bf16) {
  kernels_by_name(set)->layer_norm(x, weight, bias, epsilon, n, out, out_bf16 != 0);
}

void trtgo_kernel_activation(const char* set, int function, const float* a, const float* b, const float* factor, int n,
                             void* out, int out_bf16) {
  kernels_by_name(set)->activation(function, a, b, factor, n, out, out_bf16 != 0);
}

void trtgo_kernel_row_statistics(const char* set, const float* x, int n, float inv_temperature, float* max,
                                 float* log_sum_exp) {
  const trtgo::cpu::RowStatistics statistics = kernels_by_name(set)->row_statistics(x, n, inv_temperature);
  *max = statistics.max;
  *log_sum_exp = statistics.log_sum_exp;
}

float trtgo_kernel_amax(const char* set, const float* x, int64_t n) { return kernels_by_name(set)->amax(x, n); }

void trtgo_kernel_to_bf16(const char* set, const float* x, uint16_t* out, int64_t n) {
  kernels_by_name(set)->to_bf16(x, out, n);
}

int trtgo_running_threads(void) { return trtgo::cpu::Team::running_threads(); }

void trtgo_round_e4m3(const float* x, float scale, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = trtgo::cpu::round_e4m3(x[i], scale);
}
