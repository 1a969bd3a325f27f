//go:build linux && (amd64 || arm64)

#include "kernelhooks.h"

#include "e4m3.h"
#include "kernels.h"
#include "kernels_tables.h"
#include "kvnumbers.h"
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

static AttentionArgs attention_args(const trtgo_attention_args* a) {
  AttentionArgs args;
  args.q = a->q;
  args.ldq = a->ldq;
  args.out = a->out;
  args.ldo = a->ldo;
  args.out_bf16 = a->out_bf16 != 0;
  args.out_factor = a->out_factor;
  args.kv = a->kv;
  args.block_stride = a->block_stride;
  args.v_offset = a->v_offset;
  args.block_table = a->block_table;
  args.block_size = a->block_size;
  args.head_size = a->head_size;
  args.group = a->group;
  args.rows = a->rows;
  args.first_position = a->first_position;
  args.window = a->window;
  args.scale = a->scale;
  args.kv_scale = a->kv_scale;
  args.partials = a->partials;
  args.range = a->range;
  args.scratch = a->scratch;
  return args;
}

void trtgo_kernel_attention(const char* set, const trtgo_attention_args* args) {
  kernels_by_name(set)->attention[args->format](attention_args(args));
}

void trtgo_kernel_attention_merge(const char* set, const trtgo_attention_args* args) {
  kernels_by_name(set)->attention_merge(attention_args(args));
}

int64_t trtgo_partial_floats(int head_size) { return trtgo::cpu::partial_floats(head_size); }

void trtgo_encode_kv(int format, const float* x, float scale, int n, uint8_t* out) {
  (format == trtgo::cpu::kKVInt8 ? trtgo::cpu::encode_int8 : trtgo::cpu::encode_fp8)(x, scale, n, out);
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
