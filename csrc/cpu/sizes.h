// Sizes: what a program's activations and scratch come to, known before any of it
// is mapped.
#ifndef TRTGO_CPU_SIZES_H_
#define TRTGO_CPU_SIZES_H_

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "trtgo_cpu.h"

namespace trtgo {
namespace cpu {

inline int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Rows of logits that are computed together after the select operation, so that
// logits of a whole prompt need no [tokens, vocab_size] memory.
constexpr int kRowGroup = 32;

// Rows of activations that one call of a linear kernel takes.
constexpr int kLinearRows = 128;

// An activation buffer [rows, ld].
struct BufferSize {
  int64_t rows;
  int64_t ld;  // values from row to row
  bool bf16;

  int64_t bytes() const { return rows * ld * (bf16 ? 2 : 4); }
};
// Of each buffer. A fast runner keeps what only linears read in bf16, unless one of
// them has float32 weights, for which no kernel takes bf16.
std::vector<BufferSize> buffer_sizes(const trtgo_cpu_program& program, const trtgo_cpu_options& options);

// What attention of long contexts keeps between phases, of all threads.
inline int64_t partials_bytes(int threads) { return threads > 1 ? threads * (int64_t{1} << 18) : 0; }

// cos and sin of a step's tokens, [tokens, 2*half].
int64_t rotary_bytes(int half, const trtgo_cpu_options& options);

// A worker's scratch: for the largest linear and attention, then for candidates' keys.
struct ScratchSize {
  int64_t bytes;
  int64_t keys_offset;
};
ScratchSize scratch_size(const trtgo_cpu_op* ops, int num_ops, const Kernels& kernels,
                         const trtgo_cpu_options& options);

// All of the above for a runner of the program.
int64_t activation_bytes(const trtgo_cpu_program& program, const Kernels& kernels, const trtgo_cpu_options& options);

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_SIZES_H_
