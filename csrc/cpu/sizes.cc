//go:build linux && (amd64 || arm64)

#include "sizes.h"

#include <algorithm>
#include <set>

#include "candidates.h"

namespace trtgo {
namespace cpu {

std::vector<BufferSize> buffer_sizes(const trtgo_cpu_program& program, const trtgo_cpu_options& options) {
  std::vector<BufferSize> sizes;
  for (int i = 0; i < program.num_buffers; i++) {
    const trtgo_cpu_buffer& shape = program.buffers[i];
    sizes.push_back({shape.selected != 0 ? kRowGroup : options.max_num_tokens, round_up(shape.width, kPanelRows),
                     options.fast != 0 && shape.linear_input != 0});
  }
  for (int i = 0; i < program.num_ops; i++) {
    const trtgo_cpu_op& op = program.ops[i];
    if (op.kind == TRTGO_CPU_LINEAR && program.sections[op.weight].dtype == TRTGO_CPU_F32) {
      sizes[static_cast<size_t>(op.in)].bf16 = false;
    }
  }
  return sizes;
}

int64_t rotary_bytes(int half, const trtgo_cpu_options& options) {
  return int64_t{options.max_num_tokens} * 2 * half * 4;
}

ScratchSize scratch_size(const trtgo_cpu_op* ops, int num_ops, const Kernels& kernels,
                         const trtgo_cpu_options& options) {
  int64_t bytes = 0;
  for (int i = 0; i < num_ops; i++) {
    const trtgo_cpu_op& op = ops[i];
    if (op.kind == TRTGO_CPU_LINEAR) {
      bytes = std::max(bytes, kernels.linear_scratch_bytes(std::min(options.max_num_tokens, kLinearRows), op.k));
    } else if (op.kind == TRTGO_CPU_ATTENTION) {
      bytes =
          std::max(bytes, kernels.attention_scratch_bytes(op.heads / op.kv_heads, op.head_size, TRTGO_CPU_BLOCK_SIZE));
    }
  }
  const int64_t keys_offset = round_up(bytes, 64);
  return {round_up(keys_offset + kCandidateKeys * int64_t{8}, 4096), keys_offset};
}

int64_t activation_bytes(const trtgo_cpu_program& program, const Kernels& kernels, const trtgo_cpu_options& options) {
  int64_t bytes = scratch_size(program.ops, program.num_ops, kernels, options).bytes * options.threads +
                  partials_bytes(options.threads);
  for (const BufferSize& size : buffer_sizes(program, options)) bytes += size.bytes();
  std::set<int32_t> rotaries;
  for (int i = 0; i < program.num_ops; i++) {
    const trtgo_cpu_op& op = program.ops[i];
    if (op.kind != TRTGO_CPU_ATTENTION || op.rotary_dim <= 0 || !rotaries.insert(op.inv_freq).second) continue;
    bytes += rotary_bytes(op.rotary_dim / 2, options);
  }
  return bytes;
}

}  // namespace cpu
}  // namespace trtgo
