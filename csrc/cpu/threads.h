// Threads: a team of persistent workers that walk a step together.
//
// A job runs on all workers at once (the caller is worker 0). It is a sequence of
// phases, the same one on every worker: for_each deals out the chunks of a phase
// through an atomic counter, and a phase is over when its chunks are done, whoever
// did them. So a worker that was preempted outside of a chunk holds up nobody: it
// finds the phases that it missed done, and skips them. Waiting workers spin for a
// bounded time, then yield, then sleep on a futex; between jobs they sleep at once
// when other teams' jobs need the CPUs.
#ifndef TRTGO_CPU_THREADS_H_
#define TRTGO_CPU_THREADS_H_

#include <algorithm>
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
  // Lets all waiters through.
  void open();
  // Returns when the epoch is no longer `seen`; spins while may_spin() is true.
  template <class Condition>
  void wait(uint32_t seen, Condition may_spin);
  void wait(uint32_t seen);

 private:
  template <class Condition>
  bool spin(uint32_t seen, Condition may_spin) const;

  alignas(kCacheLine) std::atomic<uint32_t> epoch_{0};
  alignas(kCacheLine) std::atomic<int32_t> sleepers_{0};
};

int64_t monotonic_nanoseconds();

// What a thread did of some phases, in monotonic_nanoseconds.
struct Span {
  int64_t begin = 0;  // of its first chunk
  int64_t end = 0;    // of its last; 0 when it had none
  int64_t busy = 0;   // in chunks

  void add(int64_t chunk_begin, int64_t chunk_end) {
    if (end == 0) begin = chunk_begin;
    end = chunk_end;
    busy += chunk_end - chunk_begin;
  }
};

// All methods but set_abort belong to the thread that uses the team, for_each to
// the workers inside a job.
class Team {
 public:
  // Returns false when a for_each did.
  using Job = bool (*)(void* context, int worker);

  // Starts threads-1 workers. cpus are those that all teams of the process share.
  // Throws Failure when the system refuses.
  Team(int threads, int cpus);
  ~Team();  // joins them
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return size_; }

  // Runs job on the workers and returns when all that took part have left it; what
  // they wrote is visible then. Returns the job's result on worker 0: when that is
  // true every phase is done.
  bool run(Job job, void* context);

  // Threads of all jobs that run in the process, waiting ones included.
  static int running_threads() { return running_threads_.load(std::memory_order_relaxed); }

  // Adds the chunks that the calling thread will do to span; null ends it.
  static void watch(Span* span) { walk().span = span; }

  void set_abort(bool on) { abort_.store(on, std::memory_order_relaxed); }

  // Calls body(i) for each i in [0, count), spread over the workers, and returns
  // true when all of them are done, by whomever; what they wrote is visible then.
  // Returns false when the abort flag was seen: the job must return then. All
  // workers call it in the same order with equal counts. A worker may come when the
  // phase is long over, so body must not change what later phases read but by
  // being called; what has to be done once is a phase of one chunk.
  template <class Body>
  bool for_each(int64_t count, Body&& body) {
    if (count <= 0) return !aborted();
    Walk& walk = Team::walk();
    const uint64_t phase = walk.phase++;
    while (!aborted()) {
      uint64_t ticket = ticket_.load(std::memory_order_acquire);
      if (ticket >> kChunkBits != phase) return true;
      const auto chunk = static_cast<int64_t>(ticket & kChunkMask);
      if (chunk >= count) return await(phase);
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
      if (walk.span == nullptr) {
        body(chunk);
      } else {
        const int64_t begin = monotonic_nanoseconds();
        body(chunk);
        walk.span->add(begin, monotonic_nanoseconds());
      }
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
        pass(phase);
        return true;
      }
    }
    passed_.open();  // those who wait for this worker's chunk look at the flag
    return false;
  }

  // The same for small work: as for_each, but a worker takes several neighbours at once.
  // Fetching a chunk costs about as much as 100 ns of work when two workers do it.
  template <class Body>
  bool for_rows(int64_t count, Body&& body) {
    const int64_t run = std::clamp<int64_t>(count / (int64_t{4} * size_), 1, kRowsOfChunk);
    return for_each((count + run - 1) / run, [&](int64_t chunk) {
      for (int64_t i = chunk * run; i < std::min(count, (chunk + 1) * run); i++) body(i);
    });
  }

 private:
  static constexpr int64_t kRowsOfChunk = 16;

  // A ticket is the number of the phase and the next chunk of it.
  static constexpr int kChunkBits = 40;
  static constexpr uint64_t kChunkMask = (uint64_t{1} << kChunkBits) - 1;
  static constexpr uint32_t kClosed = uint32_t{1} << 31;  // in inside_: nobody may enter

  bool aborted() const { return abort_.load(std::memory_order_relaxed); }
  void pass(uint64_t phase);
  bool await(uint64_t phase);
  bool enter();
  void leave();
  void await_workers();
  void work(int worker);
  void stop_workers();
  bool has_cpus() const;

  // Where a thread is in its job; a thread walks one job at a time.
  struct Walk {
    uint64_t phase = 0;  // the next one
    Span* span = nullptr;
  };
  static Walk& walk();  // of the calling thread

  static std::atomic<int> running_threads_;

  const int size_;
  const int cpus_;
  Job job_ = nullptr;
  void* context_ = nullptr;
  std::atomic<bool> closing_{false};
  std::atomic<bool> running_{false};  // a job; its threads are among running_threads_
  std::vector<std::thread> workers_;

  Gate start_;
  Gate passed_;
  Gate left_;
  alignas(kCacheLine) std::atomic<uint64_t> ticket_{0};
  alignas(kCacheLine) std::atomic<int64_t> done_{0};           // chunks of the phase
  alignas(kCacheLine) std::atomic<uint32_t> inside_{kClosed};  // workers in the job, but for worker 0
  alignas(kCacheLine) std::atomic<bool> abort_{false};
};

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_THREADS_H_
