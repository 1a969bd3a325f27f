// Runner: a program, its weights, its KV cache and the threads that walk it.
#ifndef TRTGO_CPU_RUNNER_H_
#define TRTGO_CPU_RUNNER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels.h"
#include "kvcache.h"
#include "memory.h"
#include "sizes.h"
#include "threads.h"
#include "trtgo_cpu.h"

namespace trtgo {
namespace cpu {

// Queries of one attention work item. Any number gives the same bits.
constexpr int kQueryTile = 24;

// The named kernel set, or the best one for no name. Throws Failure when this machine
// cannot run it.
const Kernels* find_kernels(const char* isa);

class Runner {
 public:
  // Throws Failure and std::bad_alloc.
  Runner(const trtgo_cpu_program& program, const trtgo_cpu_options& options);

  // Returns false when the step was aborted. Throws Failure and std::bad_alloc.
  bool step(const trtgo_cpu_step& step);

  void abort(bool on) { team_.set_abort(on); }
  void copy_block(int src, int dst, int n);
  void describe(trtgo_cpu_description* description) const;

 private:
  // An activation buffer [rows, ld], float32 or bf16.
  struct Activation {
    Mapping memory;
    int64_t ld = 0;
    bool bf16 = false;

    uint8_t* row(int64_t r) const { return memory.data() + r * ld * (bf16 ? 2 : 4); }
    float* floats(int64_t r) const { return reinterpret_cast<float*>(row(r)); }
  };

  // cos and sin of a step's tokens for one inv_freq section: [tokens, 2*half].
  struct Rotary {
    int section = -1;
    int half = 0;
    Mapping memory;

    float* row(int64_t token) const { return reinterpret_cast<float*>(memory.data()) + token * 2 * half; }
  };

  // Consecutive queries of one sequence.
  struct QueryTile {
    int sequence;
    int first_token;
    int rows;
    int first_position;
  };

  // A KV head's queries of a tile, over one range of positions, or all when it is -1.
  struct AttentionItem {
    int tile;
    int kv_head;
    int range;
    int64_t partials;  // where in partials_ its ranges begin, in floats
  };

  // Items of a step's attention operations, and those cut by ranges, to be merged.
  struct AttentionWork {
    std::vector<AttentionItem> items, merges;
  };

  void copy_program(const trtgo_cpu_program& program);
  void map_buffers(const trtgo_cpu_program& program);
  void check_linears() const;
  void map_scratch();
  int work_of(size_t index) const;
  void map_cache(const trtgo_cpu_program& program, int num_blocks);
  void pad_bias(const trtgo_cpu_op& op);
  int rotary_of(int section, int half);

  void plan(const trtgo_cpu_step& step);
  bool walk(int worker);
  bool walk_tokens(int worker);
  bool walk_rows(int worker);
  bool fill_rotary();
  bool run(size_t index, int worker, int first_row, int64_t rows);
  bool answer(int worker, int first_row, int rows);
  bool observe_input(size_t index, int64_t rows);
  bool observe_time(size_t index);
  void observe_worker(size_t index, int worker, const Span& span);

  bool embedding(const trtgo_cpu_op& op);
  bool norm(const trtgo_cpu_op& op, int64_t rows);
  bool linear(size_t index, int worker, int64_t rows);
  bool round_input(const trtgo_cpu_op& op, int64_t rows);
  bool attention(const trtgo_cpu_op& op, int worker);
  bool activation(const trtgo_cpu_op& op, int64_t rows);
  bool select(const trtgo_cpu_op& op, int first_row, int64_t rows);
  AttentionWork plan_attention(const trtgo_cpu_op& op) const;
  AttentionArgs attention_args(const trtgo_cpu_op& op, const AttentionItem& item, int worker) const;
  void append_tokens(const trtgo_cpu_op& op, const QueryTile& tokens, int kv_head);

  const uint8_t* section_data(int section) const;
  const float* section_floats(int section) const { return reinterpret_cast<const float*>(section_data(section)); }
  uint8_t* scratch(int worker) const { return scratch_.data() + worker * scratch_size_.bytes; }

  const Kernels* kernels_;
  int vocab_size_ = 0;
  const trtgo_cpu_options options_;  // the caller's isa is gone
  const std::string activations_;    // what their memory is for, should it be refused
  const uint8_t* weights_ = nullptr;
  int64_t weights_size_ = 0;
  std::vector<trtgo_cpu_buffer> buffer_shapes_;
  std::vector<trtgo_cpu_op> ops_;
  std::vector<trtgo_cpu_section> sections_;
  size_t select_op_ = 0;
  std::vector<std::vector<float>> biases_;  // of each op, padded to whole panels; empty without
  std::vector<int> rotary_of_op_;
  std::vector<int> work_of_op_;  // in attention_work_; that of the first operation of its shape

  std::vector<Activation> buffers_;
  std::vector<Rotary> rotaries_;
  KVCache cache_;
  Mapping scratch_;
  Mapping partials_;               // of attention ranges
  ScratchSize scratch_size_ = {};  // of each worker

  // Of the running step.
  const trtgo_cpu_step* step_ = nullptr;
  std::vector<int32_t> sequence_of_;  // of each token
  std::vector<QueryTile> tiles_;
  std::vector<QueryTile> appends_;             // the tokens of each block
  std::vector<AttentionWork> attention_work_;  // at the first operation of each shape
  int64_t first_time_ = 0;                     // when the observed step began
  int64_t last_time_ = 0;                      // when the observed operation began

  Team team_;  // last: its threads must be gone before anything else
};

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_RUNNER_H_
