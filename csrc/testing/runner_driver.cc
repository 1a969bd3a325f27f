// Runs a small model through the C ABI, as the Go binding does, and compares its
// logits with a float64 evaluation; then aborts, copies, and calls that the ABI
// allows but no sensible caller makes. Weights and results lie in arrays of exactly
// their size.
//
//   runner_driver            compare; exits with 1 when something differs
//   runner_driver --fault    the same with one spoiled value: must fail
//   runner_driver --overrun  read beyond an array: must be caught by a sanitizer
#include <algorithm>
#include <atomic>
#include <thread>

#include "check.h"
#include "kernels.h"
#include "trtgo_cpu.h"

namespace {

using trtgo::testing::Array;
using trtgo::testing::Tally;
using trtgo::testing::Values;

constexpr int kVocab = 21, kHidden = 18, kHeads = 4, kKVHeads = 2, kHead = 6, kFfn = 35;
constexpr int kQkv = (kHeads + 2 * kKVHeads) * kHead, kAttended = kHeads * kHead;
constexpr int kMostThreads = 4;
constexpr float kScale = 0.4f, kEpsilon = 1e-5f;

// A weight [rows, cols], plain and where it lies in the weights' memory.
struct Weight {
  std::vector<float> plain;
  trtgo_cpu_section section;
};

// One layer: norm, attention, gated MLP; then a norm and the head. float32 weights.
class Model {
 public:
  Model() : memory_(1 << 16) {
    Values from(7);
    add(from, TRTGO_CPU_ROWS, kVocab, kHidden, 1);           // 0 embedding
    add(from, TRTGO_CPU_ROWS, 1, kHidden, 1);                // 1 norm
    add(from, TRTGO_CPU_PANEL16, kQkv, kHidden, 0.3f);       // 2 qkv
    add(from, TRTGO_CPU_ROWS, 1, kQkv, 1);                   // 3 its bias
    add(from, TRTGO_CPU_ROWS, 1, 2, 0.5f);                   // 4 inv_freq
    add(from, TRTGO_CPU_PANEL16, kHidden, kAttended, 0.3f);  // 5 dense
    add(from, TRTGO_CPU_PANEL16, 2 * kFfn, kHidden, 0.3f);   // 6 fc
    add(from, TRTGO_CPU_PANEL16, kHidden, kFfn, 0.3f);       // 7 proj
    add(from, TRTGO_CPU_PANEL16, kVocab, kHidden, 0.3f);     // 8 head
    buffers_ = {{kHidden, 0, 0}, {kHidden, 0, 1}, {kQkv, 0, 0},    {kAttended, 0, 1}, {2 * kFfn, 0, 0},
                {kFfn, 0, 1},    {kHidden, 1, 0}, {kHidden, 1, 1}, {kVocab, 1, 0}};
    embedding();
    norm(0, 1);
    linear(1, 2, 2, 3, kQkv, kHidden, 0);
    attention();
    linear(3, 0, 5, -1, kHidden, kAttended, 1);
    norm(0, 1);
    linear(1, 4, 6, -1, 2 * kFfn, kHidden, 0);
    activation();
    linear(5, 0, 7, -1, kHidden, kFfn, 1);
    select();
    norm(6, 7);
    linear(7, 8, 8, -1, kVocab, kHidden, 0);
    for (const Weight& w : weights_) sections_.push_back(w.section);
  }

  trtgo_cpu_program program() const {
    return {kVocab,
            1,
            -1,
            buffers_.data(),
            static_cast<int32_t>(buffers_.size()),
            ops_.data(),
            num_ops(),
            sections_.data(),
            static_cast<int32_t>(sections_.size()),
            memory_.data(),
            memory_.size()};
  }
  int32_t num_ops() const { return static_cast<int32_t>(ops_.size()); }

  // Logits after each token, in float64.
  std::vector<std::vector<double>> evaluate(const std::vector<int32_t>& tokens) const {
    std::vector<std::vector<double>> x, out;
    for (int32_t id : tokens) {
      const float* row = weights_[0].plain.data() + id * kHidden;
      x.emplace_back(row, row + kHidden);
    }
    std::vector<std::vector<double>> qkv;
    for (const auto& row : x) qkv.push_back(product(normed(row), 2, 3));
    for (size_t t = 0; t < x.size(); t++) {
      for (int h = 0; h < kHeads + kKVHeads; h++) rotate(&qkv[t][static_cast<size_t>(h * kHead)], static_cast<int>(t));
    }
    for (size_t t = 0; t < x.size(); t++) {
      add_to(x[t], product(attended(qkv, t), 5, -1));
      std::vector<double> gated = product(normed(x[t]), 6, -1), activated;
      for (size_t i = 0; i < kFfn; i++) activated.push_back(gated[i] / (1 + std::exp(-gated[i])) * gated[kFfn + i]);
      add_to(x[t], product(activated, 7, -1));
      out.push_back(product(normed(x[t]), 8, -1));
    }
    return out;
  }

 private:
  trtgo_cpu_op& op(int32_t kind, int32_t in, int32_t out) {
    ops_.push_back({});
    trtgo_cpu_op& o = ops_.back();
    o.kind = kind, o.in = in, o.out = out;
    o.weight = o.bias = o.inv_freq = o.out_factor = -1;
    return o;
  }
  void embedding() {
    trtgo_cpu_op& o = op(TRTGO_CPU_EMBEDDING, -1, 0);
    o.weight = 0, o.width = kHidden;
  }
  void norm(int32_t in, int32_t out) {
    trtgo_cpu_op& o = op(TRTGO_CPU_NORM, in, out);
    o.weight = 1, o.norm = TRTGO_CPU_NORM_RMS, o.epsilon = kEpsilon;
  }
  void linear(int32_t in, int32_t out, int32_t weight, int32_t bias, int32_t n, int32_t k, int32_t accumulate) {
    trtgo_cpu_op& o = op(TRTGO_CPU_LINEAR, in, out);
    o.weight = weight, o.bias = bias, o.n = n, o.k = k, o.accumulate = accumulate;
  }
  void attention() {
    trtgo_cpu_op& o = op(TRTGO_CPU_ATTENTION, 2, 3);
    o.inv_freq = 4, o.heads = kHeads, o.kv_heads = kKVHeads, o.head_size = kHead, o.rotary_dim = 4, o.scale = kScale;
  }
  void activation() {
    trtgo_cpu_op& o = op(TRTGO_CPU_ACTIVATION, 4, 5);
    o.function = TRTGO_CPU_SILU, o.gated = 1, o.width = kFfn;
  }
  void select() { op(TRTGO_CPU_SELECT, 0, 6).width = kHidden; }

  void add(Values& from, int32_t layout, int32_t rows, int32_t cols, float spread) {
    Weight w;
    const int32_t padded = layout == TRTGO_CPU_PANEL16 ? (rows + 15) / 16 * 16 : rows;
    w.section = {TRTGO_CPU_F32, layout, rows, cols, 0, 0, 0, used_, int64_t{padded} * cols * 4};
    float* to = memory_.data() + used_ / 4;
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < cols; c++) {
        w.plain.push_back(from.normal(spread));
        to[layout == TRTGO_CPU_PANEL16 ? r / 16 * 16 * cols + c * 16 + r % 16 : r * cols + c] = w.plain.back();
      }
    }
    used_ += (w.section.size + 63) / 64 * 64;
    if (used_ > memory_.size() * 4) std::abort();
    weights_.push_back(std::move(w));
  }

  std::vector<double> normed(const std::vector<double>& x) const {
    double squares = 0;
    for (double v : x) squares += v * v;
    std::vector<double> out;
    for (size_t i = 0; i < x.size(); i++) {
      out.push_back(x[i] / std::sqrt(squares / kHidden + double{kEpsilon}) * weights_[1].plain[i]);
    }
    return out;
  }
  std::vector<double> product(const std::vector<double>& x, size_t weight, int bias) const {
    std::vector<double> out;
    const Weight& w = weights_[weight];
    for (int n = 0; n < w.section.rows; n++) {
      double sum = bias >= 0 ? weights_[static_cast<size_t>(bias)].plain[static_cast<size_t>(n)] : 0;
      for (size_t i = 0; i < x.size(); i++) sum += x[i] * w.plain[static_cast<size_t>(n) * x.size() + i];
      out.push_back(sum);
    }
    return out;
  }
  void rotate(double* head, int position) const {
    for (int j = 0; j < 2; j++) {
      const double angle = static_cast<float>(position) * weights_[4].plain[static_cast<size_t>(j)];
      const double a = head[j], b = head[j + 2], c = std::cos(angle), s = std::sin(angle);
      head[j] = a * c - b * s;
      head[j + 2] = b * c + a * s;
    }
  }
  static std::vector<double> attended(const std::vector<std::vector<double>>& qkv, size_t last) {
    std::vector<double> out;
    for (int h = 0; h < kHeads; h++) {
      const int key = (kHeads + h / (kHeads / kKVHeads)) * kHead;
      double total = 0;
      std::vector<double> sum(kHead);
      for (size_t t = 0; t <= last; t++) {
        double score = 0;
        for (int d = 0; d < kHead; d++) {
          score += qkv[last][static_cast<size_t>(h * kHead + d)] * qkv[t][static_cast<size_t>(key + d)];
        }
        const double p = std::exp(double{kScale} * score);
        total += p;
        for (int d = 0; d < kHead; d++) {
          sum[static_cast<size_t>(d)] += p * qkv[t][static_cast<size_t>(key + kKVHeads * kHead + d)];
        }
      }
      for (double v : sum) out.push_back(v / total);
    }
    return out;
  }
  static void add_to(std::vector<double>& x, const std::vector<double>& y) {
    for (size_t i = 0; i < x.size(); i++) x[i] += y[i];
  }

  Array<float> memory_;
  int64_t used_ = 0;
  std::vector<Weight> weights_;
  std::vector<trtgo_cpu_section> sections_;
  std::vector<trtgo_cpu_buffer> buffers_;
  std::vector<trtgo_cpu_op> ops_;
};

// A step of one sequence, tokens [from, …) of it, with a row wanted after each.
class Step {
 public:
  Step(const std::vector<int32_t>& tokens, int from, const std::vector<int32_t>& blocks, int num_ops)
      : logits(static_cast<int64_t>(tokens.size() - static_cast<size_t>(from)) * kVocab),
        tokens_(tokens.begin() + from, tokens.end()),
        blocks_(blocks),
        targets_(static_cast<int64_t>(tokens_.size())),
        candidates_(static_cast<int64_t>(tokens_.size()) * 3),
        observations_(num_ops),
        spans_(int64_t{num_ops} * kMostThreads) {
    const auto n = static_cast<int32_t>(tokens_.size());
    sequence_ = {0, n, from, static_cast<int32_t>(blocks_.size()), 0};
    for (int32_t i = 0; i < n; i++) {
      trtgo_cpu_row row = {};
      row.token = i, row.num_candidates = 3, row.inv_temperature = 1;
      row.first_candidate = int64_t{i} * 3;
      row.num_targets = 1, row.first_target = i;
      targets_[i].token = (7 * i + from) % kVocab;
      row.logits = logits.data() + int64_t{i} * kVocab;
      rows.push_back(row);
    }
    step = {tokens_.data(),
            n,
            &sequence_,
            1,
            blocks_.data(),
            rows.data(),
            n,
            nullptr,
            targets_.data(),
            candidates_.data(),
            observations_.data(),
            spans_.data()};
  }
  Step(const Step&) = delete;

  trtgo_cpu_step step;
  Array<float> logits;
  std::vector<trtgo_cpu_row> rows;

  // Whether each row's target came back as its logits have it.
  bool targets_agree() const {
    for (int64_t i = 0; i < targets_.size(); i++) {
      if (targets_[i].raw != logits[i * kVocab + targets_[i].token]) return false;
    }
    return true;
  }

 private:
  std::vector<int32_t> tokens_, blocks_;
  Array<trtgo_cpu_target> targets_;
  Array<trtgo_cpu_candidate> candidates_;
  Array<trtgo_cpu_observation> observations_;
  Array<trtgo_cpu_span> spans_;
  trtgo_cpu_sequence sequence_;
};

struct Opened {
  trtgo_cpu_runner* runner = nullptr;
  char message[128] = "";

  Opened(const Model& model, const char* isa, int threads) {
    const trtgo_cpu_program program = model.program();
    const trtgo_cpu_options options = {isa, threads, 0, 256, 4, 12, 2};
    if (trtgo_cpu_open(&program, &options, &runner, message, sizeof message) != TRTGO_CPU_OK) std::abort();
  }
  ~Opened() { trtgo_cpu_close(runner); }
  Opened(const Opened&) = delete;
  int run(Step& s) { return trtgo_cpu_run_step(runner, &s.step, message, sizeof message); }
};

std::vector<int32_t> random_tokens(int n) {
  std::vector<int32_t> tokens;
  for (uint32_t i = 0, state = 1; i < static_cast<uint32_t>(n); i++) {
    state = state * 1664525u + 1013904223u;
    tokens.push_back(static_cast<int32_t>((state >> 8) % kVocab));
  }
  return tokens;
}

bool same(const float* a, const float* b, int64_t n) { return std::memcmp(a, b, static_cast<size_t>(n) * 4) == 0; }

// Logits within 5e-6 of float64 (they are of size 1), in one step and in chunks, whose
// bits are equal.
void check_logits(const Model& model, const char* isa, int threads, Tally& tally) {
  const std::vector<int32_t> tokens = random_tokens(75);
  const auto want = model.evaluate(tokens);
  Opened opened(model, isa, threads);
  Step whole(tokens, 0, {7, 0, 4}, model.num_ops());
  tally.require(opened.run(whole) == TRTGO_CPU_OK, opened.message);
  tally.require(whole.targets_agree(), "targets");
  for (size_t t = 0; t < tokens.size(); t++) {
    for (int i = 0; i < kVocab; i++) {
      tally.within(want[t][static_cast<size_t>(i)], whole.logits[static_cast<int64_t>(t) * kVocab + i], 5e-6,
                   std::string(isa) + " logit");
    }
  }
  for (size_t begin = 0; begin < tokens.size(); begin += 13) {
    const std::vector<int32_t> until(tokens.begin(),
                                     tokens.begin() + static_cast<int64_t>(std::min(begin + 13, tokens.size())));
    Step part(until, static_cast<int>(begin), {2, 1, 3}, model.num_ops());
    tally.require(opened.run(part) == TRTGO_CPU_OK, opened.message);
    tally.require(
        same(part.logits.data(), whole.logits.data() + static_cast<int64_t>(begin) * kVocab, part.logits.size()),
        "bits of a chunk");
  }
  tally.report(std::string(isa) + ", " + std::to_string(threads) + " threads: logits");
}

// The flag stops a step before and while it runs; what the step repeats is the same.
void check_abort(const Model& model, int threads, Tally& tally) {
  const std::vector<int32_t> tokens = random_tokens(250);
  Opened opened(model, "", threads);
  Step first(tokens, 0, {0, 1, 2, 3, 4, 5, 6, 7}, model.num_ops());
  tally.require(opened.run(first) == TRTGO_CPU_OK, opened.message);
  trtgo_cpu_abort(opened.runner, 1);
  Step stopped(tokens, 0, {0, 1, 2, 3, 4, 5, 6, 7}, model.num_ops());
  tally.require(opened.run(stopped) == TRTGO_CPU_ABORTED, "a step with the flag set");
  tally.require(opened.run(stopped) == TRTGO_CPU_ABORTED, "a step does not clear the flag");
  trtgo_cpu_abort(opened.runner, 0);
  std::atomic<bool> ended{false};
  std::thread flag([&] {
    while (!ended) {
      trtgo_cpu_abort(opened.runner, 1);
      std::this_thread::yield();
      trtgo_cpu_abort(opened.runner, 0);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  for (int i = 0; i < 60; i++) {
    Step again(tokens, 100, {0, 1, 2, 3, 4, 5, 6, 7}, model.num_ops());
    const int code = opened.run(again);
    tally.require(code == TRTGO_CPU_ABORTED ||
                      (code == TRTGO_CPU_OK &&
                       same(again.logits.data(), first.logits.data() + 100 * kVocab, again.logits.size())),
                  "a step beside a flag that comes and goes");
  }
  ended = true;
  flag.join();
  trtgo_cpu_abort(opened.runner, 0);
  Step repeated(tokens, 100, {0, 1, 2, 3, 4, 5, 6, 7}, model.num_ops());
  tally.require(opened.run(repeated) == TRTGO_CPU_OK, opened.message);
  tally.require(same(repeated.logits.data(), first.logits.data() + 100 * kVocab, repeated.logits.size()),
                "bits after aborts");
  tally.report(std::to_string(threads) + " threads: aborts");
}

void check_copies(const Model& model, Tally& tally) {
  const std::vector<int32_t> tokens = random_tokens(40);
  Opened opened(model, "", 2);
  Step whole(tokens, 0, {0, 1}, model.num_ops());
  tally.require(opened.run(whole) == TRTGO_CPU_OK, opened.message);
  char* message = opened.message;
  const size_t size = sizeof opened.message;
  for (int32_t n : {1, 15, 16, 17, 31, 32}) {
    tally.require(trtgo_cpu_copy_block(opened.runner, 0, 5, n, message, size) == TRTGO_CPU_OK, message);
    Step fork(tokens, n, {5, 6}, model.num_ops());
    tally.require(opened.run(fork) == TRTGO_CPU_OK, message);
    tally.require(same(fork.logits.data(), whole.logits.data() + n * kVocab, fork.logits.size()), "bits of a fork");
  }
  for (const auto& bad : std::vector<std::vector<int32_t>>{
           {-1, 0, 1}, {0, -1, 1}, {12, 0, 1}, {0, 12, 1}, {0, 1, -1}, {0, 1, 33}, {INT32_MAX, INT32_MIN, INT32_MAX}}) {
    tally.require(trtgo_cpu_copy_block(opened.runner, bad[0], bad[1], bad[2], message, size) == TRTGO_CPU_INVALID,
                  "a copy that cannot be");
  }
  tally.report("copies");
}

// What the header names as failing, and messages without room.
void check_refusals(const Model& model, Tally& tally) {
  const trtgo_cpu_program program = model.program();
  const trtgo_cpu_options good = {"", 2, 0, 8, 2, 2, 2};
  char message[128];
  const auto refused = [&](const trtgo_cpu_program& p, const trtgo_cpu_options& o, int code) {
    trtgo_cpu_runner* runner = reinterpret_cast<trtgo_cpu_runner*>(&message);
    message[0] = 0;
    tally.require(trtgo_cpu_open(&p, &o, &runner, message, sizeof message) == code, "code of a refused open");
    tally.require(runner == nullptr && std::strlen(message) > 10, "message of a refused open");
    tally.require(trtgo_cpu_open(&p, &o, &runner, nullptr, 0) == code && runner == nullptr, "no room for a message");
    char one = 'x';
    tally.require(trtgo_cpu_open(&p, &o, &runner, &one, 1) == code && one == 0, "room for the end of a message");
  };
  trtgo_cpu_options o = good;
  for (int32_t trtgo_cpu_options::*count : {&trtgo_cpu_options::threads, &trtgo_cpu_options::max_num_tokens,
                                            &trtgo_cpu_options::max_batch_size, &trtgo_cpu_options::num_blocks}) {
    for (int32_t value : {0, -1, INT32_MIN}) {
      o = good;
      o.*count = value;
      refused(program, o, TRTGO_CPU_INVALID);
    }
  }
  o = good;
  o.isa = "avx1024";
  refused(program, o, TRTGO_CPU_UNSUPPORTED);
  int64_t bytes = 7;
  tally.require(trtgo_cpu_activation_bytes(&program, &o, &bytes, message, sizeof message) == TRTGO_CPU_UNSUPPORTED,
                "activations of a kernel set that is none");
  o = good;
  o.threads = 0;
  tally.require(trtgo_cpu_activation_bytes(&program, &o, &bytes, message, sizeof message) == TRTGO_CPU_INVALID,
                "activations of no threads");
  tally.require(bytes == 7, "a refusal that changes its result");
  for (int64_t offset : {int64_t{-64}, int64_t{1} << 40, INT64_MAX, INT64_MIN}) {
    std::vector<trtgo_cpu_section> sections(program.sections, program.sections + program.num_sections);
    sections[3].offset = offset;
    trtgo_cpu_program p = program;
    p.sections = sections.data();
    refused(p, good, TRTGO_CPU_INVALID);
    sections[3] = program.sections[3];
    sections[3].size = offset;
    refused(p, good, TRTGO_CPU_INVALID);
  }

  Opened opened(model, "", 1);
  trtgo_cpu_description description;
  trtgo_cpu_describe(opened.runner, &description);
  const trtgo_cpu_options as_opened = {"", 1, 0, 256, 4, 12, 2};
  tally.require(trtgo_cpu_activation_bytes(&program, &as_opened, &bytes, nullptr, 0) == TRTGO_CPU_OK &&
                    bytes == description.activation_bytes,
                "activations as planned");
  Step step(random_tokens(5), 0, {0}, model.num_ops());
  for (int32_t n : {0, -1, 257, INT32_MAX}) {
    step.step.num_tokens = n;
    tally.require(opened.run(step) == TRTGO_CPU_INVALID, "a step of a wrong number of tokens");
  }
  step.step.num_tokens = 5;
  step.step.num_sequences = 5;
  tally.require(opened.run(step) == TRTGO_CPU_INVALID, "a step of too many sequences");
  step.step.num_sequences = 1;
  step.step.num_rows = 0, step.step.rows = nullptr, step.step.candidates = nullptr, step.step.observations = nullptr;
  tally.require(opened.run(step) == TRTGO_CPU_OK, "a step that wants nothing");
  tally.report("refusals");
}

void check_odd_calls(const Model& model, Tally& tally) {
  trtgo_cpu_close(nullptr);
  trtgo_cpu_free(nullptr, 100);
  tally.require(trtgo_cpu_alloc(0) == nullptr && trtgo_cpu_alloc(-5) == nullptr, "no memory to allocate");
  tally.require(trtgo_cpu_alloc(INT64_MAX) == nullptr && trtgo_cpu_alloc(int64_t{1} << 60) == nullptr,
                "too much memory");
  for (int64_t size : {int64_t{1}, int64_t{4096}, int64_t{4097}, int64_t{2} << 20, (int64_t{5} << 20) + 1}) {
    auto* p = static_cast<uint8_t*>(trtgo_cpu_alloc(size));
    tally.require(p != nullptr && p[0] == 0 && p[size - 1] == 0 && reinterpret_cast<uintptr_t>(p) % 64 == 0,
                  "allocated");
    p[size - 1] = 1;
    trtgo_cpu_free(p, size);
  }
  Opened opened(model, "", 3);
  trtgo_cpu_description d;
  trtgo_cpu_describe(opened.runner, &d);
  const int64_t columns = kHead + (kHead + 15) / 16 * 16;  // of keys, and of values in panels of 16
  tally.require(d.kv_bytes_per_block == 32 * kKVHeads * columns * 4 && d.kv_bytes == 12 * d.kv_bytes_per_block,
                "sizes");
  tally.require(std::string(d.isa) == trtgo::cpu::kernels_best()->name, "the fastest kernel set");
  for (int threads : {0, 1, 3}) {
    trtgo_cpu_limits* limits = nullptr;
    char message[200] = "";
    tally.require(trtgo_cpu_limits_open("", threads, 2, threads * (3 << 20) - 5, &limits, message, sizeof message) == 0,
                  "limits");
    tally.require(
        trtgo_cpu_limits_read(limits, 0) == 1 << 20 && trtgo_cpu_limits_read(limits, (10 << 20) + 1) == 10 << 20,
        "memory read, around its end");
    for (int32_t arithmetic :
         {TRTGO_CPU_ARITHMETIC_FLOATS, TRTGO_CPU_ARITHMETIC_PAIRS, TRTGO_CPU_ARITHMETIC_INTEGERS}) {
      tally.require(trtgo_cpu_limits_multiply(limits, arithmetic, 1) > 0, "operations");
    }
    trtgo_cpu_limits_close(limits);
    tally.require(
        trtgo_cpu_limits_open("none", threads, 2, 1, &limits, message, sizeof message) == TRTGO_CPU_UNSUPPORTED &&
            limits == nullptr && message[0] != 0,
        "a kernel set that is not there");
  }
  trtgo_cpu_limits_close(nullptr);
  for (int threads : {1, 2, 3, 64}) {  // opened and closed without a step; with an abort that nobody sees
    Opened idle(model, "", threads);
    trtgo_cpu_abort(idle.runner, 1);
  }
  tally.report("odd calls");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--overrun") return trtgo::testing::overrun();
  Tally tally(mode == "--fault");
  const Model model;
  for (const char* isa : {"scalar", "avx2", "avx512bf16", "neon", "neondotprod", "neonbf16"}) {
    const trtgo::cpu::Kernels* set = trtgo::cpu::kernels_by_name(isa);
    if (set == nullptr || !trtgo::cpu::kernels_supported(set)) {
      std::printf("%s: not on this machine\n", isa);
      continue;
    }
    for (int threads : {1, 2, 3}) check_logits(model, isa, threads, tally);
  }
  for (int threads : {1, 2, 3}) check_abort(model, threads, tally);
  check_copies(model, tally);
  check_refusals(model, tally);
  check_odd_calls(model, tally);
  return tally.exit_status();
}
