// Threads: a team of persistent workers that walk a step together.
//
// A job runs on all workers at once (the caller is worker 0). Inside it,
// for_each deals out the chunks of one operation through an atomic counter, so
// that a preempted worker does not hold up the others, and ends with a barrier.
// Waiting workers spin for a bounded time, then yield, then sleep on a futex.
#ifndef TRTGO_CPU_THREADS_H_
#define TRTGO_CPU_THREADS_H_

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace trtgo {
namespace cpu {

constexpr int kCacheLine = 64;

// A counter that threads wait on until it changes.
class Gate {
 public:
  uint32_t epoch() const { return epoch_.load(std::memory_order_acquire); }
  // Lets all waiters through. One thread at a time.
  void open();
  // Returns when the epoch is no longer `seen`.
  void wait(uint32_t seen);

 private:
  bool spin(uint32_t seen) const;

  alignas(kCacheLine) std::atomic<uint32_t> epoch_{0};
  alignas(kCacheLine) std::atomic<int32_t> sleepers_{0};
};

// All methods but set_abort belong to the thread that uses the team, for_each to
// the workers inside a job.
class Team {
 public:
  using Job = void (*)(void* context, int worker);

  // Starts threads-1 workers. Throws Failure when the system refuses.
  explicit Team(int threads);
  ~Team();  // joins them
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return size_; }

  // Runs job on every worker and returns when all of them are through. Returns
  // false when a barrier saw the abort flag.
  bool run(Job job, void* context);

  void set_abort(bool on) { abort_.store(on, std::memory_order_relaxed); }

  // Calls body(i) for each i in [0, count), spread over the workers, and returns
  // true when all of them are done; or false on all workers when the abort flag
  // was seen: the job must return then. All workers call it with equal counts.
  template <class Body>
  bool for_each(int64_t count, Body&& body) {
    while (!abort_.load(std::memory_order_relaxed)) {
      const int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) break;
      body(i);
    }
    return barrier();
  }

 private:
  void arrive();
  bool barrier();
  void work(int worker);
  void stop_workers();

  const int size_;
  Job job_ = nullptr;
  void* context_ = nullptr;
  bool closing_ = false;
  bool stopped_ = false;  // a barrier of this job saw the abort flag; written before its gate opens
  std::vector<std::thread> workers_;

  Gate start_;
  Gate passed_;
  alignas(kCacheLine) std::atomic<int32_t> arrived_{0};
  alignas(kCacheLine) std::atomic<int64_t> next_{0};
  alignas(kCacheLine) std::atomic<bool> abort_{false};
};

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_THREADS_H_
