// The kernels as C functions, so that Go tests can call them: a test file cannot use
// cgo itself. Arguments are those of kernels.h; `set` is a kernel set's name, which
// must be known and supported. Nothing is kept and nothing can fail.
#ifndef TRTGO_CPU_KERNELHOOKS_H_
#define TRTGO_CPU_KERNELHOOKS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// trtgo::cpu::WeightShape; format is TRTGO_CPU_F32 … TRTGO_CPU_FP8.
typedef struct {
  int format;
  int k;
  int group;
  int bf16_scales;
  int zeros;
} trtgo_weight_shape;

const char* trtgo_kernels_best(void);
int trtgo_kernels_known(const char* set);
int trtgo_kernels_supported(const char* set);

void trtgo_kernel_linear(const char* set, int x_bf16, const trtgo_weight_shape* shape, const void* x, int64_t ldx,
                         const void* w, const float* bias, float* y, int64_t ldy, int m, int panel_begin, int panel_end,
                         int accumulate, int packed, void* scratch);
int64_t trtgo_kernel_linear_scratch_bytes(const char* set, int m, int k);

// trtgo::cpu::AttentionArgs, and the format of the cache (trtgo::cpu::KVFormat).
typedef struct {
  int format;
  const float* q;
  int64_t ldq;
  void* out;
  int64_t ldo;
  int out_bf16;
  const float* out_factor;
  const uint8_t* kv;
  int64_t block_stride;
  int64_t v_offset;
  const int32_t* block_table;
  int block_size;
  int head_size;
  int group;
  int rows;
  int first_position;
  int window;
  float scale;
  float kv_scale;
  float* partials;
  int range;
  float* scratch;
} trtgo_attention_args;

void trtgo_kernel_attention(const char* set, const trtgo_attention_args* args);
void trtgo_kernel_attention_merge(const char* set, const trtgo_attention_args* args);
int64_t trtgo_partial_floats(int head_size);
int64_t trtgo_kernel_attention_scratch_bytes(const char* set, int group, int head_size, int block_size);

void trtgo_kernel_rms_norm(const char* set, const float* x, const float* weight, float epsilon, int n, void* out,
                           int out_bf16);
void trtgo_kernel_layer_norm(const char* set, const float* x, const float* weight, const float* bias, float epsilon,
                             int n, void* out, int out_bf16);
void trtgo_kernel_activation(const char* set, int function, const float* a, const float* b, const float* factor, int n,
                             void* out, int out_bf16);
void trtgo_kernel_row_statistics(const char* set, const float* x, int n, float inv_temperature, float* max,
                                 float* log_sum_exp);
float trtgo_kernel_amax(const char* set, const float* x, int64_t n);
void trtgo_kernel_to_bf16(const char* set, const float* x, uint16_t* out, int64_t n);

// x[n] as an int8 or FP8 cache holds it; int8 is number + 128.
void trtgo_encode_kv(int format, const float* x, float scale, int n, uint8_t* out);

// Threads of all steps that run in this process.
int trtgo_running_threads(void);

// x[n] as a linear with this input_scale takes it.
void trtgo_round_e4m3(const float* x, float scale, float* out, int64_t n);

#ifdef __cplusplus
}
#endif

#endif  // TRTGO_CPU_KERNELHOOKS_H_
