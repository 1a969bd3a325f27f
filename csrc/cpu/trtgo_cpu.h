/* The C ABI of the CPU runner: one forward step for a ragged batch per call.
 *
 * Rules for all functions
 *   Owner   The caller owns every array it passes, and the runner keeps none of
 *           them, except the weights: they stay mapped, unchanged, until close.
 *   Thread  A runner is used by one thread at a time, which need not be the same
 *           one; trtgo_cpu_abort may be called by any thread while it is open.
 *   Fails   By a TRTGO_CPU_… code. With it goes one sentence in `message`, cut to
 *           message_size bytes and ended by a zero; it is untouched on success.
 *           No C++ exception leaves a function.
 *   Trust   Indices, widths and sections of a program are checked in Go by
 *           cpuengine's Program.Validate, tokens, positions, block tables and rows
 *           by check.go; the functions below take them as checked, but for what
 *           each one's Fails names.
 */
#ifndef TRTGO_CPU_H_
#define TRTGO_CPU_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  TRTGO_CPU_OK = 0,
  TRTGO_CPU_ABORTED = 1,     /* trtgo_cpu_abort was called */
  TRTGO_CPU_INVALID = 2,     /* an argument is out of range */
  TRTGO_CPU_NO_MEMORY = 3,   /* the system refused memory */
  TRTGO_CPU_UNSUPPORTED = 4, /* this machine lacks the instruction set */
  TRTGO_CPU_NO_THREADS = 5,  /* the system refused threads */
};

/* Tokens in a KV block. */
#define TRTGO_CPU_BLOCK_SIZE 32
/* Most candidates of a row. */
#define TRTGO_CPU_MAX_CANDIDATES 1024

enum { /* dtypes, as trtgo::cpu::WeightFormat */
       TRTGO_CPU_F32 = 0,
       TRTGO_CPU_BF16 = 1,
       TRTGO_CPU_F16 = 2,
       TRTGO_CPU_INT8 = 3,
       TRTGO_CPU_INT4 = 4,
       TRTGO_CPU_FP8 = 5,
};
enum { TRTGO_CPU_ROWS = 0, TRTGO_CPU_PANEL16 = 1 }; /* layouts, see package cpuengine */

enum { /* kinds of operations, see package cpuengine */
       TRTGO_CPU_EMBEDDING = 0,
       TRTGO_CPU_NORM = 1,
       TRTGO_CPU_LINEAR = 2,
       TRTGO_CPU_ATTENTION = 3,
       TRTGO_CPU_ACTIVATION = 4,
       TRTGO_CPU_SELECT = 5,
};
enum { TRTGO_CPU_NORM_RMS = 0, TRTGO_CPU_NORM_LAYER = 1 };
enum { /* as trtgo::cpu::Activation */
       TRTGO_CPU_SILU = 0,
       TRTGO_CPU_SQUARED_RELU = 1,
       TRTGO_CPU_RELU = 2,
       TRTGO_CPU_GELU = 3,
       TRTGO_CPU_GELU_TANH = 4,
};

typedef struct {
  int32_t width;
  int32_t selected;     /* rows are the wanted rows, not the tokens */
  int32_t linear_input; /* read by linear operations only */
} trtgo_cpu_buffer;

typedef struct {
  int32_t dtype;
  int32_t layout;
  int32_t rows;
  int32_t cols;
  int32_t group;       /* 0: none */
  int32_t bf16_scales; /* of groups */
  int32_t zeros;       /* of groups */
  int64_t offset;      /* from weights, a multiple of 64 */
  int64_t size;
} trtgo_cpu_section;

/* Fields as in cpuengine.Op; in and out index buffers, weight, bias and
 * inv_freq and out_factor sections, -1 is none. */
typedef struct {
  int32_t kind;
  int32_t in;
  int32_t out;
  int32_t weight;
  int32_t bias;
  int32_t inv_freq;
  int32_t norm;
  float epsilon;
  int32_t n;
  int32_t k;
  int32_t accumulate;
  float input_scale;
  int32_t out_factor;
  int32_t layer;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_size;
  int32_t rotary_dim;
  float scale;
  int32_t window;
  float kv_scale;
  int32_t function;
  int32_t gated;
  int32_t width;
} trtgo_cpu_op;

typedef struct {
  int32_t vocab_size;
  int32_t num_layers;
  int32_t kv_dtype; /* TRTGO_CPU_INT8, TRTGO_CPU_FP8, or -1: float32 or bfloat16, by options.fast */
  const trtgo_cpu_buffer* buffers;
  int32_t num_buffers;
  const trtgo_cpu_op* ops;
  int32_t num_ops;
  const trtgo_cpu_section* sections;
  int32_t num_sections;
  const void* weights; /* 64-byte aligned, readable until close */
  int64_t weights_size;
} trtgo_cpu_program;

typedef struct {
  const char* isa; /* "scalar", "avx2", "avx512bf16", "neon", "neondotprod", "neonbf16"; empty is the fastest */
  int32_t threads; /* at least 1, the caller of step included */
  int32_t fast;    /* bfloat16 linear inputs and KV cache; for bf16 weights only */
  int32_t max_num_tokens;
  int32_t max_batch_size;
  int32_t num_blocks; /* KV blocks in the arena */
  int32_t cpus;       /* that the runners of this process share: threads of one do not spin
                         between its steps when steps of others need them */
} trtgo_cpu_options;

typedef struct {
  const char* isa; /* static */
  int64_t kv_bytes_per_block;
  int64_t kv_bytes;         /* reserved, used as blocks are written */
  int64_t activation_bytes; /* reserved, used as larger steps come */
} trtgo_cpu_description;

/* The part of a step that belongs to one sequence. */
typedef struct {
  int32_t first_token; /* index into trtgo_cpu_step.tokens */
  int32_t num_tokens;  /* at least 1, at consecutive positions */
  int32_t first_position;
  int32_t num_blocks;
  int64_t first_block; /* index into trtgo_cpu_step.block_tables */
} trtgo_cpu_sequence;

typedef struct {
  int32_t token;
  float bias;
  float penalty; /* never 0 */
  float subtract;
  float raw; /* the runner's */
} trtgo_cpu_edit;

typedef struct {
  int32_t token;
  float logit;
  float raw;
} trtgo_cpu_candidate;

/* A token whose raw logit is wanted. */
typedef struct {
  int32_t token;
  float raw; /* filled */
} trtgo_cpu_target;

/* One wanted row: what is asked, then what is answered. */
typedef struct {
  int32_t token;          /* index into trtgo_cpu_step.tokens */
  int32_t num_candidates; /* wanted; at most the vocabulary */
  int32_t num_edits;
  int32_t num_targets;
  float inv_temperature;
  int64_t first_edit;      /* index into edits */
  int64_t first_target;    /* index into targets */
  int64_t first_candidate; /* index into candidates */
  float* logits;           /* [vocab_size] to be filled with raw logits, or null */
  float max;
  float log_sum_exp;
  float raw_log_sum_exp;
} trtgo_cpu_row;

/* One operation of an observed step. */
typedef struct {
  int64_t begin;       /* nanoseconds from the step's beginning; of the first group of rows */
  int64_t nanoseconds; /* of all groups of rows */
  float input_amax;    /* of a linear, else 0 */
} trtgo_cpu_observation;

/* What a worker did of an operation: nanoseconds, from the step's beginning. */
typedef struct {
  int64_t begin; /* of its first chunk */
  int64_t end;   /* of its last; 0 when it had none */
  int64_t busy;  /* in chunks */
} trtgo_cpu_span;

typedef struct {
  const int32_t* tokens; /* ids, [num_tokens] */
  int32_t num_tokens;
  const trtgo_cpu_sequence* sequences; /* covering tokens in order */
  int32_t num_sequences;
  const int32_t* block_tables;
  trtgo_cpu_row* rows;
  int32_t num_rows;
  trtgo_cpu_edit* edits;
  trtgo_cpu_target* targets;
  trtgo_cpu_candidate* candidates;     /* filled */
  trtgo_cpu_observation* observations; /* [num_ops] to be filled, or null */
  trtgo_cpu_span* spans;               /* [num_ops][threads] to be filled when observations are, or null */
} trtgo_cpu_step;

typedef struct trtgo_cpu_runner trtgo_cpu_runner;

/* Gives the bytes that the activations of a runner would take, its
 * trtgo_cpu_description.activation_bytes. Weights and num_blocks are not looked at.
 *
 * Owner   Nothing is kept.
 * Thread  Any.
 * Fails   INVALID for a count below its minimum, UNSUPPORTED. */
int trtgo_cpu_activation_bytes(const trtgo_cpu_program* program, const trtgo_cpu_options* options, int64_t* bytes,
                               char* message, size_t message_size);

/* Makes a runner and starts its threads (threads - 1 of them).
 *
 * Owner   program and options are copied. The weights they point to are not, and
 *         must stay as they are until close. *runner belongs to the caller, who
 *         gives it to trtgo_cpu_close.
 * Thread  Any.
 * Fails   INVALID for a count below its minimum or a section outside the weights,
 *         NO_MEMORY, NO_THREADS, UNSUPPORTED. *runner is null then. */
int trtgo_cpu_open(const trtgo_cpu_program* program, const trtgo_cpu_options* options, trtgo_cpu_runner** runner,
                   char* message, size_t message_size);

/* Runs one forward pass and fills rows, targets, candidates, observations and spans.
 *
 * Owner   Nothing of step is kept.
 * Thread  The one that uses the runner; it works too, as worker 0.
 * Fails   ABORTED: the keys and values of earlier positions are as they were, and
 *         the step may be repeated. NO_MEMORY. INVALID for more tokens or
 *         sequences than the options allow. */
int trtgo_cpu_run_step(trtgo_cpu_runner* runner, const trtgo_cpu_step* step, char* message, size_t message_size);

/* Sets (on = 1) or clears (on = 0) the abort flag. While it is set, a step ends
 * with ABORTED after the chunks of work that its threads are at. A step does not
 * clear it.
 *
 * Thread  Any, at any time between open and close. Cannot fail. */
void trtgo_cpu_abort(trtgo_cpu_runner* runner, int on);

/* Copies the first n tokens of KV block src to dst in all layers; the other
 * tokens of dst stay.
 *
 * Thread  The one that uses the runner.
 * Fails   INVALID when src, dst or n is out of range. */
int trtgo_cpu_copy_block(trtgo_cpu_runner* runner, int32_t src, int32_t dst, int32_t n, char* message,
                         size_t message_size);

/* Tells what the runner was opened with. Thread: any. Cannot fail. */
void trtgo_cpu_describe(const trtgo_cpu_runner* runner, trtgo_cpu_description* description);

/* Ends the threads and frees everything; null is ignored.
 *
 * Thread  Any, once nothing else uses the runner. Cannot fail. */
void trtgo_cpu_close(trtgo_cpu_runner* runner);

/* Maps size bytes of zeroed anonymous memory, 2 MiB aligned and in huge pages
 * where the system allows, for weights that are read rather than mapped.
 *
 * Owner   The caller, who gives it to trtgo_cpu_free with the same size.
 * Thread  Any.
 * Fails   By null. */
void* trtgo_cpu_alloc(int64_t size);

/* Unmaps what trtgo_cpu_alloc gave; null is ignored. Thread: any. */
void trtgo_cpu_free(void* memory, int64_t size);

enum { /* kinds of arithmetic, as the kernels of a set do it: of floats; of pairs of bfloat16,
        * where the set has an instruction for them, else of floats; of integers of 16 bits */
       TRTGO_CPU_ARITHMETIC_FLOATS = 0,
       TRTGO_CPU_ARITHMETIC_PAIRS = 1,
       TRTGO_CPU_ARITHMETIC_INTEGERS = 2,
};

typedef struct trtgo_cpu_limits trtgo_cpu_limits;

/* Makes what measures the ceilings of a runner's steps: threads, and size bytes of
 * memory (1 MiB at least) that they have written. isa and cpus are as in
 * trtgo_cpu_options. It is made for taking turns with steps: its functions do a given
 * piece of work, and the caller looks at the clock.
 *
 * Owner   *limits belongs to the caller, who gives it to trtgo_cpu_limits_close.
 * Thread  Any.
 * Fails   NO_MEMORY, NO_THREADS, UNSUPPORTED. *limits is null then. */
int trtgo_cpu_limits_open(const char* isa, int32_t threads, int32_t cpus, int64_t size, trtgo_cpu_limits** limits,
                          char* message, size_t message_size);

/* Reads the next `bytes` of the memory, in whole MiB and from the beginning again at its
 * end, and returns how many that were: the ceiling of a step that reads much.
 *
 * Thread  One at a time; it reads too. Cannot fail. */
int64_t trtgo_cpu_limits_read(trtgo_cpu_limits* limits, int64_t bytes);

/* Does about `count` multiply-adds of a kind on registers, and returns how many
 * operations that were, two for each: the ceiling of a step that computes much.
 *
 * Thread  One at a time; it computes too. Cannot fail. */
double trtgo_cpu_limits_multiply(trtgo_cpu_limits* limits, int32_t arithmetic, double count);

/* Ends the threads and frees the memory; null is ignored.
 *
 * Thread  Any, once nothing else uses the limits. Cannot fail. */
void trtgo_cpu_limits_close(trtgo_cpu_limits* limits);

#ifdef __cplusplus
}
#endif

#endif /* TRTGO_CPU_H_ */
