//go:build linux && (amd64 || arm64)

// What a runner is made of, and the walk of a step through its program.
#include "runner.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "bfloat16.h"
#include "candidates.h"
#include "failure.h"
#include "rotary.h"

namespace trtgo {
namespace cpu {

namespace {

// Makes a magnitude that several workers write the larger one; NaN is above all.
void enlarge(float* largest, float x) {
  float before;
  __atomic_load(largest, &before, __ATOMIC_RELAXED);
  while (before == before && !(x <= before)) {
    if (__atomic_compare_exchange(largest, &before, &x, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return;
  }
}

float amax_bf16(const uint16_t* x, int n) {
  uint16_t largest = 0;  // magnitudes order as their bits do
  for (int i = 0; i < n; i++) largest = std::max(largest, static_cast<uint16_t>(x[i] & 0x7fff));
  return from_bf16(largest);
}

}  // namespace

const Kernels* find_kernels(const char* isa) {
  if (isa == nullptr || *isa == 0) return kernels_best();
  const Kernels* kernels = kernels_by_name(isa);
  if (kernels == nullptr || !kernels_supported(kernels)) {
    throw Failure(TRTGO_CPU_UNSUPPORTED, std::string("this machine cannot run the kernel set ") + isa +
                                             "; leave it unset to get " + kernels_best()->name);
  }
  return kernels;
}

Runner::Runner(const trtgo_cpu_program& program, const trtgo_cpu_options& options)
    : kernels_(find_kernels(options.isa)),
      options_(options),
      activations_("activations of " + std::to_string(options.max_num_tokens) + " tokens; lower max_num_tokens"),
      team_(std::max(options.threads, 1), options.cpus) {
  if (options.threads < 1 || options.max_num_tokens < 1 || options.max_batch_size < 1 || options.num_blocks < 1) {
    throw Failure(TRTGO_CPU_INVALID, "threads, max_num_tokens, max_batch_size and num_blocks must be at least 1");
  }
  copy_program(program);
  map_buffers(program);
  check_linears();
  map_cache(program, options.num_blocks);
  map_scratch();
  partials_ = Mapping(partials_bytes(team_.size()), activations_);
  attention_work_.resize(ops_.size());
  sequence_of_.resize(static_cast<size_t>(options.max_num_tokens));
}

void Runner::copy_program(const trtgo_cpu_program& program) {
  vocab_size_ = program.vocab_size;
  weights_ = static_cast<const uint8_t*>(program.weights);
  weights_size_ = program.weights_size;
  buffer_shapes_.assign(program.buffers, program.buffers + program.num_buffers);
  ops_.assign(program.ops, program.ops + program.num_ops);
  sections_.assign(program.sections, program.sections + program.num_sections);
  for (const trtgo_cpu_section& s : sections_) {
    if (s.offset < 0 || s.size < 0 || s.offset > weights_size_ || s.size > weights_size_ - s.offset) {
      throw Failure(TRTGO_CPU_INVALID, "a section of " + std::to_string(s.size) + " bytes at " +
                                           std::to_string(s.offset) + " is outside the weights' " +
                                           std::to_string(weights_size_));
    }
  }
  rotary_of_op_.assign(ops_.size(), -1);
  for (size_t i = 0; i < ops_.size(); i++) {
    const trtgo_cpu_op& op = ops_[i];
    pad_bias(op);
    work_of_op_.push_back(work_of(i));
    if (op.kind == TRTGO_CPU_SELECT) select_op_ = i;
    if (op.kind == TRTGO_CPU_ATTENTION && op.rotary_dim > 0) {
      rotary_of_op_[i] = rotary_of(op.inv_freq, op.rotary_dim / 2);
    }
  }
}

// The first attention operation of the same shape; -1 for others.
int Runner::work_of(size_t index) const {
  const trtgo_cpu_op& op = ops_[index];
  if (op.kind != TRTGO_CPU_ATTENTION) return -1;
  for (size_t i = 0; i < index; i++) {
    const trtgo_cpu_op& other = ops_[i];
    if (other.kind == TRTGO_CPU_ATTENTION && other.heads == op.heads && other.kv_heads == op.kv_heads &&
        other.head_size == op.head_size && other.window == op.window) {
      return work_of_op_[i];
    }
  }
  return static_cast<int>(index);
}

// Kernels add whole panels of bias.
void Runner::pad_bias(const trtgo_cpu_op& op) {
  biases_.emplace_back();
  if (op.kind != TRTGO_CPU_LINEAR || op.bias < 0) return;
  const float* bias = section_floats(op.bias);
  biases_.back().assign(bias, bias + op.n);
  biases_.back().resize(static_cast<size_t>(round_up(op.n, kPanelRows)));
}

int Runner::rotary_of(int section, int half) {
  for (size_t i = 0; i < rotaries_.size(); i++) {
    if (rotaries_[i].section == section) return static_cast<int>(i);
  }
  Rotary rotary;
  rotary.section = section;
  rotary.half = half;
  rotary.memory = Mapping(rotary_bytes(half, options_), activations_);
  rotaries_.push_back(std::move(rotary));
  return static_cast<int>(rotaries_.size()) - 1;
}

void Runner::map_buffers(const trtgo_cpu_program& program) {
  for (const BufferSize& size : buffer_sizes(program, options_)) {
    Activation a;
    a.ld = size.ld;
    a.bf16 = size.bf16;
    a.memory = Mapping(size.bytes(), activations_);
    buffers_.push_back(std::move(a));
  }
}

// Each linear must have a kernel for its weights and its input.
void Runner::check_linears() const {
  static constexpr const char* kNames[kWeightFormats] = {"f32", "bf16", "f16", "int8", "int4", "fp8"};
  for (const trtgo_cpu_op& op : ops_) {
    if (op.kind != TRTGO_CPU_LINEAR) continue;
    const int format = sections_[static_cast<size_t>(op.weight)].dtype;
    const bool bf16 = buffers_[static_cast<size_t>(op.in)].bf16;
    if (kernels_->linear[format][bf16 ? 1 : 0] != nullptr) continue;
    throw Failure(TRTGO_CPU_UNSUPPORTED, std::string("the kernel set ") + kernels_->name + " has no linear of " +
                                             kNames[format] + " weights and " + (bf16 ? "bf16" : "float") +
                                             " inputs; take another one");
  }
}

void Runner::map_cache(const trtgo_cpu_program& program, int num_blocks) {
  std::vector<KVCache::Layer> layers;
  for (const trtgo_cpu_op& op : ops_) {
    if (op.kind != TRTGO_CPU_ATTENTION) continue;
    if (layers.size() <= static_cast<size_t>(op.layer)) layers.resize(static_cast<size_t>(op.layer) + 1);
    layers[static_cast<size_t>(op.layer)].kv_heads = op.kv_heads;
    layers[static_cast<size_t>(op.layer)].head_size = op.head_size;
    if (op.kv_scale > 0) layers[static_cast<size_t>(op.layer)].scale = op.kv_scale;
  }
  const bool fast = options_.fast != 0;
  KVFormat format = fast ? kKVBf16 : kKVF32;
  if (program.kv_dtype == TRTGO_CPU_INT8) format = kKVInt8;
  if (program.kv_dtype == TRTGO_CPU_FP8) format = kKVFp8;
  cache_ = KVCache(std::move(layers), num_blocks, fast ? format : kKVF32, format);
}

void Runner::map_scratch() {
  scratch_size_ = scratch_size(ops_.data(), static_cast<int>(ops_.size()), *kernels_, options_);
  scratch_ = Mapping(scratch_size_.bytes * team_.size(),
                     "scratch of " + std::to_string(team_.size()) + " threads; ask for fewer");
}

const uint8_t* Runner::section_data(int section) const {
  return weights_ + sections_[static_cast<size_t>(section)].offset;
}

void Runner::copy_block(int src, int dst, int n) {
  const int blocks = cache_.num_blocks();
  if (src < 0 || dst < 0 || src >= blocks || dst >= blocks || n < 0 || n > kBlockSize) {
    throw Failure(TRTGO_CPU_INVALID, "copy of " + std::to_string(n) + " tokens from block " + std::to_string(src) +
                                         " to " + std::to_string(dst) + ": there are " + std::to_string(blocks) +
                                         " blocks of " + std::to_string(kBlockSize));
  }
  cache_.copy_block(src, dst, n);
}

void Runner::describe(trtgo_cpu_description* d) const {
  d->isa = kernels_->name;
  d->kv_bytes_per_block = cache_.block_bytes();
  d->kv_bytes = cache_.block_bytes() * cache_.num_blocks();
  d->activation_bytes = scratch_.size() + partials_.size();
  for (const Activation& a : buffers_) d->activation_bytes += a.memory.size();
  for (const Rotary& r : rotaries_) d->activation_bytes += r.memory.size();
}

bool Runner::step(const trtgo_cpu_step& step) {
  if (step.num_tokens < 1 || step.num_tokens > options_.max_num_tokens ||
      step.num_sequences > options_.max_batch_size) {
    throw Failure(TRTGO_CPU_INVALID, std::to_string(step.num_tokens) + " tokens of " +
                                         std::to_string(step.num_sequences) + " sequences in a step; the limits are " +
                                         std::to_string(options_.max_num_tokens) + " and " +
                                         std::to_string(options_.max_batch_size));
  }
  plan(step);
  return team_.run([](void* runner, int worker) { return static_cast<Runner*>(runner)->walk(worker); }, this);
}

void Runner::plan(const trtgo_cpu_step& step) {
  step_ = &step;
  tiles_.clear();
  appends_.clear();
  for (int s = 0; s < step.num_sequences; s++) {
    const trtgo_cpu_sequence& sequence = step.sequences[s];
    for (int i = 0; i < sequence.num_tokens; i++) sequence_of_[static_cast<size_t>(sequence.first_token + i)] = s;
    for (int i = 0; i < sequence.num_tokens; i += kQueryTile) {
      tiles_.push_back(
          {s, sequence.first_token + i, std::min(kQueryTile, sequence.num_tokens - i), sequence.first_position + i});
    }
    for (int i = 0; i < sequence.num_tokens;) {
      const int position = sequence.first_position + i;
      const int tokens = std::min(kBlockSize - position % kBlockSize, sequence.num_tokens - i);
      appends_.push_back({s, sequence.first_token + i, tokens, position});
      i += tokens;
    }
  }
  for (size_t i = 0; i < ops_.size(); i++) {
    if (work_of_op_[i] == static_cast<int>(i)) attention_work_[i] = plan_attention(ops_[i]);
  }
  if (step.observations != nullptr) {
    first_time_ = monotonic_nanoseconds();
    std::memset(step.observations, 0, ops_.size() * sizeof *step.observations);
    if (step.spans != nullptr) {
      std::memset(step.spans, 0, ops_.size() * static_cast<size_t>(team_.size()) * sizeof *step.spans);
    }
  }
}

// Runs on every worker, which does what others have left of each operation.
bool Runner::walk(int worker) { return walk_tokens(worker) && walk_rows(worker); }

bool Runner::walk_tokens(int worker) {
  if (!fill_rotary()) return false;
  for (size_t i = 0; i < select_op_; i++) {
    if (!run(i, worker, 0, step_->num_tokens)) return false;
  }
  return true;
}

bool Runner::walk_rows(int worker) {
  for (int first = 0; first < step_->num_rows; first += kRowGroup) {
    const int rows = std::min(kRowGroup, step_->num_rows - first);
    for (size_t i = select_op_; i < ops_.size(); i++) {
      if (!run(i, worker, first, rows)) return false;
    }
    if (!answer(worker, first, rows)) return false;
  }
  return true;
}

bool Runner::fill_rotary() {
  return team_.for_rows(step_->num_tokens, [this](int64_t token) {
    const trtgo_cpu_sequence& sequence = step_->sequences[sequence_of_[static_cast<size_t>(token)]];
    const int position = sequence.first_position + static_cast<int>(token) - sequence.first_token;
    for (const Rotary& r : rotaries_) rotary_row(position, section_floats(r.section), r.half, r.row(token));
  });
}

// first_row is the first of the rows that were selected; before that it is 0.
bool Runner::run(size_t index, int worker, int first_row, int64_t rows) {
  const trtgo_cpu_op& op = ops_[index];
  const bool observed = step_->observations != nullptr;
  if (observed && !observe_input(index, rows)) return false;
  Span span;
  if (observed) Team::watch(&span);
  bool done = false;
  switch (op.kind) {
    case TRTGO_CPU_EMBEDDING: done = embedding(op); break;
    case TRTGO_CPU_NORM: done = norm(op, rows); break;
    case TRTGO_CPU_LINEAR: done = linear(index, worker, rows); break;
    case TRTGO_CPU_ATTENTION: done = attention(op, worker); break;
    case TRTGO_CPU_ACTIVATION: done = activation(op, rows); break;
    case TRTGO_CPU_SELECT: done = select(op, first_row, rows); break;
  }
  if (!observed) return done;
  Team::watch(nullptr);
  observe_worker(index, worker, span);
  return done && observe_time(index);
}

// The clock of an operation starts after what is not its own: looking at its
// input, and for the first one of a group of rows, answering the group before.
bool Runner::observe_input(size_t index, int64_t rows) {
  const trtgo_cpu_op& op = ops_[index];
  if (op.kind == TRTGO_CPU_LINEAR) {
    const Activation& in = buffers_[static_cast<size_t>(op.in)];
    float* largest = &step_->observations[index].input_amax;
    const bool looked = team_.for_rows(rows, [&](int64_t r) {
      const float row =
          in.bf16 ? amax_bf16(reinterpret_cast<const uint16_t*>(in.row(r)), op.k) : kernels_->amax(in.floats(r), op.k);
      enlarge(largest, row);
    });
    if (!looked) return false;
  }
  return team_.for_each(1, [&](int64_t) {
    last_time_ = monotonic_nanoseconds();
    int64_t& begin = step_->observations[index].begin;
    if (begin == 0) begin = last_time_ - first_time_;
  });
}

bool Runner::observe_time(size_t index) {
  return team_.for_each(
      1, [&](int64_t) { step_->observations[index].nanoseconds += monotonic_nanoseconds() - last_time_; });
}

void Runner::observe_worker(size_t index, int worker, const Span& span) {
  if (step_->spans == nullptr || span.end == 0) return;
  trtgo_cpu_span& of = step_->spans[index * static_cast<size_t>(team_.size()) + static_cast<size_t>(worker)];
  if (of.end == 0) of.begin = span.begin - first_time_;
  of.end = span.end - first_time_;
  of.busy += span.busy;
}

bool Runner::answer(int worker, int first_row, int rows) {
  const Activation& logits = buffers_[static_cast<size_t>(ops_.back().out)];
  auto* keys = reinterpret_cast<uint64_t*>(scratch(worker) + scratch_size_.keys_offset);
  return team_.for_each(rows, [&](int64_t r) {
    trtgo_cpu_row* row = step_->rows + first_row + r;
    answer_row(*kernels_, logits.floats(r), vocab_size_, row, step_->edits + row->first_edit,
               step_->targets + row->first_target, keys, step_->candidates + row->first_candidate);
  });
}

}  // namespace cpu
}  // namespace trtgo
