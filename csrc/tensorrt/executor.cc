#include "executor.h"

#if TRTGO_HAS_EXECUTOR

#include <algorithm>
#include <chrono>
#include <exception>

#include "executorconfig.h"
#include "guard.h"
#include "surroundings.h"

namespace trtgo {
namespace tensorrt {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long await is inside of TensorRT-LLM at most before it looks around.
constexpr milliseconds kSlice(50);

}  // namespace

class Executor::Inside {
 public:
  Inside(Executor& executor, const char* entry, State last) : executor_(executor) {
    const std::lock_guard<std::mutex> lock(executor_.mutex_);
    if (executor_.state() > last) throw Failure(TRTGO_CLOSED, entry, "the executor is closed");
    executor_.inside_++;
  }
  ~Inside() {
    const std::lock_guard<std::mutex> lock(executor_.mutex_);
    executor_.inside_--;
    executor_.changed_.notify_all();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Executor& executor_;
};

class Executor::Entering {
 public:
  explicit Entering(Executor& executor) : executor_(executor) {
    const std::lock_guard<std::mutex> lock(executor_.mutex_);
    if (executor_.state_ != State::kOpen) {
      throw Failure(TRTGO_CLOSED, "trtgo_executor_enqueue", "the executor takes no more requests");
    }
    executor_.entering_ = true;
    executor_.entered_ = steady_clock::now();
    executor_.early_ = 0;
  }
  ~Entering() {
    const std::lock_guard<std::mutex> lock(executor_.mutex_);
    executor_.entering_ = false;
    executor_.changed_.notify_all();
  }
  Entering(const Entering&) = delete;
  Entering& operator=(const Entering&) = delete;

  // The request has this id now.
  void entered(uint64_t id) {
    const std::lock_guard<std::mutex> lock(executor_.mutex_);
    if (executor_.early_ == id) return;
    executor_.live_.emplace(id, executor_.entered_);
    if (executor_.state_ == State::kOpen) return;
    // It was drained meanwhile. The request is queued all the same: without this it ends later, by itself.
    try {
      executor_.ask_to_cancel(id);
    } catch (...) {
    }
  }

 private:
  Executor& executor_;
};

Executor::State Executor::state() const {
  return state_ == State::kDraining && live_.empty() && !entering_ ? State::kDrained : state_;
}

void Executor::need_leader(const char* entry) const {
  if (leader_) return;
  throw Failure(TRTGO_INVALID, entry, "this process is not the leader of the executor: it can only shut down");
}

uint64_t Executor::enqueue(const trtgo_request& given) {
  need_leader("trtgo_executor_enqueue");
  const tensorrt_llm::executor::Request request = make_request(given);
  const std::lock_guard<std::mutex> one(enqueue_mutex_);
  Entering entering(*this);
  const uint64_t id = attempt(TRTGO_INVALID, "enqueueRequest", "TensorRT-LLM refuses the request",
                              [&] { return upstream_->enqueueRequest(request); });
  entering.entered(id);
  return id;
}

void Executor::ask_to_cancel(uint64_t id) {
  attempt(TRTGO_INTERNAL, "cancelRequest", "TensorRT-LLM cannot cancel the request",
          [&] { upstream_->cancelRequest(id); });
}

void Executor::cancel(uint64_t id) {
  need_leader("trtgo_executor_cancel");
  const std::lock_guard<std::mutex> lock(mutex_);
  if (live_.count(id) != 0) ask_to_cancel(id);
}

void Executor::settle(trtgo_outputs& batch) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (trtgo_output& output : batch.list) {
    const auto at = live_.find(output.id);
    count_times_from(at == live_.end() ? entered_ : at->second, &output);  // one that is not there is being enqueued
  }
  for (const trtgo_output& output : batch.list) {
    if (output.final == 0 || output.beam != 0) continue;
    if (live_.erase(output.id) == 0) early_ = output.id;  // it is still being enqueued
  }
}

void Executor::wait_slice(milliseconds slice) {
  const Inside inside(*this, "trtgo_executor_await", State::kDraining);
  // Libraries that TensorRT-LLM loads later may want the handlers too.
  struct Restore {
    const trtgo_signals* signals;
    ~Restore() { trtgo_signals_restore_faults(signals); }
  } const restore{&signals_};
  auto batch = std::make_unique<trtgo_outputs>();
  // The type decides which awaitResponses this is: those for one id wait for ever.
  const std::optional<milliseconds> timeout(slice);
  batch->responses = attempt(TRTGO_INTERNAL, "awaitResponses", "TensorRT-LLM cannot tell what is new",
                             [&] { return upstream_->awaitResponses(timeout); });
  if (!batch->responses.empty()) pending_ = std::move(batch);
}

std::unique_ptr<trtgo_outputs> Executor::await(int32_t timeout_ms) {
  const char* const entry = "trtgo_executor_await";
  if (timeout_ms < 0) {
    throw Failure(TRTGO_INVALID, entry, "timeout_ms is " + std::to_string(timeout_ms) + ", want 0 or more");
  }
  if (!leader_) {
    const Inside inside(*this, entry, State::kDraining);  // to be closed comes before what follows
    need_leader(entry);
  }
  const auto end = steady_clock::now() + milliseconds(timeout_ms);
  while (pending_ == nullptr) {
    const auto left = std::max(std::chrono::ceil<milliseconds>(end - steady_clock::now()), milliseconds(0));
    wait_slice(std::min(left, kSlice));
    if (pending_ == nullptr && steady_clock::now() >= end) return nullptr;
  }
  pending_->describe();  // what throws here is tried again by the next call
  settle(*pending_);
  return std::move(pending_);
}

const char* Executor::stats(bool of_requests) {
  const char* const entry = "trtgo_executor_stats";
  need_leader(entry);
  const Inside inside(*this, entry, State::kDrained);
  std::string text;
  const auto add = [&text](const auto& list) {
    for (const auto& one : list) {
      text += text.empty() ? "[" : ",";
      text += tensorrt_llm::executor::JsonSerialization::toJsonStr(one);
    }
  };
  attempt(TRTGO_INTERNAL, of_requests ? "getLatestRequestStats" : "getLatestIterationStats",
          "TensorRT-LLM cannot give its statistics",
          [&] { of_requests ? add(upstream_->getLatestRequestStats()) : add(upstream_->getLatestIterationStats()); });
  text += text.empty() ? "[]" : "]";
  stats_[of_requests ? 1 : 0] = std::move(text);
  return stats_[of_requests ? 1 : 0].c_str();
}

void Executor::drain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kOpen) return;
  state_ = State::kDraining;
  std::exception_ptr failed;
  for (const auto& [id, since] : live_) {
    try {
      ask_to_cancel(id);
    } catch (...) {  // the others are cancelled all the same
      if (failed == nullptr) failed = std::current_exception();
    }
  }
  if (failed != nullptr) std::rethrow_exception(failed);
}

void Executor::shutdown() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (state_ == State::kStopping) changed_.wait(lock, [this] { return state_ == State::kStopped; });
  if (state_ == State::kStopped) return;
  if (state() != State::kDrained) {
    const char* const entry = "trtgo_executor_shutdown";
    if (state_ == State::kOpen) throw Failure(TRTGO_INVALID, entry, "the executor has not been drained");
    throw Failure(TRTGO_INVALID, entry,
                  std::to_string(live_.size()) + " requests have not had their last output: await it");
  }
  state_ = State::kStopping;
  changed_.wait(lock, [this] { return inside_ == 0 && !entering_; });
  lock.unlock();
  std::exception_ptr failed;
  try {
    const Surroundings surroundings;
    put_cuda_context(context_);
    attempt(TRTGO_INTERNAL, "shutdown", "TensorRT-LLM cannot shut down", [&] { upstream_->shutdown(); });
  } catch (...) {
    failed = std::current_exception();
  }
  trtgo_signals_restore_faults(&signals_);  // what was changed before the call
  lock.lock();
  state_ = State::kStopped;
  changed_.notify_all();
  if (failed != nullptr) std::rethrow_exception(failed);
}

Executor::~Executor() {
  // No other function runs. What is thrown here has nobody to tell.
  try {
    drain();
  } catch (...) {
  }
  {
    const Surroundings surroundings;
    put_cuda_context(context_);  // what is on a GPU is freed there
    pending_.reset();
    if (state_ != State::kStopped) {
      // Its destructor does the same, but would end the process with what is thrown.
      try {
        upstream_->shutdown();
      } catch (...) {
      }
    }
    upstream_.reset();
  }
  trtgo_signals_restore_faults(&signals_);
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR
