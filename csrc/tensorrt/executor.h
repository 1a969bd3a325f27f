// Executor: TensorRT-LLM's, with the life that trtgo.h gives it.
#ifndef TRTGO_TENSORRT_EXECUTOR_H_
#define TRTGO_TENSORRT_EXECUTOR_H_

#include "../native/trtgo.h"
#include "versions.h"

#if TRTGO_HAS_EXECUTOR

#include <tensorrt_llm/executor/executor.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "../native/signals.h"
#include "library.h"
#include "outputs.h"

namespace trtgo {
namespace tensorrt {

// The release of the TensorRT-LLM that is loaded.
const char* trtllm_version();

// Ends MPI, and refuses executors from now on. Throws Failure with TRTGO_INVALID while there is one.
void finalize();

// The right to have the one executor of the process, for as long as it lives.
class Claim {
 public:
  // Throws Failure with TRTGO_INVALID where there is another, or where finalize was called.
  Claim();
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
};

// The functions are those of trtgo.h that are called alike, and throw Failure. They may run at the same time, as there.
//
// Rules of TensorRT-LLM 1.2.1 that this keeps: ids are given out without a lock, so one thread enqueues at a time;
// after shutdown() all calls but two throw, so it waits for the others and lets none begin; it remembers a cancelled
// id that it does not know for ever, so it is told only ids that have not ended; what it tells of times begins when it
// took the request from its queue, so the beginning is noted here.
class Executor {
 public:
  Executor(const Library& library, const trtgo_executor_options& options);
  // Shuts down if that was not done.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  bool leader() const { return leader_; }
  uint64_t enqueue(const trtgo_request& request);
  void cancel(uint64_t id);
  // Null where nothing came in time.
  std::unique_ptr<trtgo_outputs> await(int32_t timeout_ms);
  const char* stats(bool of_requests);
  void drain();
  void shutdown();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class State { kOpen, kDraining, kDrained, kStopping, kStopped };  // in this order

  // A call that is inside of TensorRT-LLM, for as long as it lives: shutdown waits for it. Throws after the last state
  // in which it may begin.
  class Inside;
  // Allows enqueue to find out that its request has ended before it knew the id.
  class Entering;

  void need_leader(const char* entry) const;
  // The state: it is drained when every request has had its last output. The mutex is held.
  State state() const;
  // Cancels in TensorRT-LLM. The mutex is held.
  void ask_to_cancel(uint64_t id);
  // Makes the times of a batch those since the requests were enqueued, and forgets the requests that ended with it.
  void settle(trtgo_outputs& batch);
  // Waits for outputs, a short time: it returns to look whether there was a shutdown, and after the signals.
  void wait_slice(std::chrono::milliseconds slice);

  const Claim claim_;
  trtgo_signals signals_{};  // as they were before
  std::unique_ptr<tensorrt_llm::executor::Executor> upstream_;
  bool leader_ = false;
  void* context_ = nullptr;  // CUDA's, in which TensorRT-LLM opened the engine

  std::mutex enqueue_mutex_;                // held before the other one
  std::unique_ptr<trtgo_outputs> pending_;  // of the thread that awaits: taken but not yet given
  std::string stats_[2];                    // of the thread that asks for them

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  State state_ = State::kOpen;                    // never kDrained
  int inside_ = 0;                                // calls
  std::unordered_map<uint64_t, TimePoint> live_;  // requests that have not had their last output, and when they came
  bool entering_ = false;                         // a request is being enqueued
  TimePoint entered_;                             // when that one came, or the last
  uint64_t early_ = 0;                            // that request, if it has ended already
};

}  // namespace tensorrt
}  // namespace trtgo

struct trtgo_executor {
  trtgo::tensorrt::Executor executor;
};

#endif  // TRTGO_HAS_EXECUTOR

#endif  // TRTGO_TENSORRT_EXECUTOR_H_
