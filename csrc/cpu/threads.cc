//go:build linux && (amd64 || arm64)

#include "threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>
#include <string>
#include <system_error>

#include "failure.h"

namespace trtgo {
namespace cpu {

namespace {

// A barrier is usually passed within a microsecond; a scheduler that chooses
// tokens comes back within a hundred. After that a sleep costs less than it saves.
constexpr int kSpins = 2000;
constexpr int64_t kYieldNanoseconds = 100 * 1000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t), "a futex is 32 bits");

void futex(std::atomic<uint32_t>* word, int operation, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), operation, value, nullptr, nullptr, 0);
}

}  // namespace

int64_t monotonic_nanoseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
}

void Gate::open() {
  // Sequentially consistent with wait(): either the opener sees the sleeper, or
  // the sleeper sees the new epoch.
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    futex(&epoch_, FUTEX_WAKE_PRIVATE, INT_MAX);
  }
}

template <class Condition>
bool Gate::spin(uint32_t seen, Condition may_spin) const {
  for (int i = 0; i < kSpins && may_spin(); i++) {
    if (epoch_.load(std::memory_order_acquire) != seen) return true;
    pause();
  }
  for (const int64_t begin = monotonic_nanoseconds();
       may_spin() && monotonic_nanoseconds() - begin < kYieldNanoseconds;) {
    if (epoch_.load(std::memory_order_acquire) != seen) return true;
    sched_yield();
  }
  return false;
}

template <class Condition>
void Gate::wait(uint32_t seen, Condition may_spin) {
  if (spin(seen, may_spin)) return;
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (epoch_.load(std::memory_order_seq_cst) == seen) {
    futex(&epoch_, FUTEX_WAIT_PRIVATE, seen);
  }
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

void Gate::wait(uint32_t seen) {
  wait(seen, [] { return true; });
}

std::atomic<int> Team::running_threads_{0};

Team::Team(int threads, int cpus) : size_(threads), cpus_(cpus) {
  // The process's signals are for the threads of its own runtime.
  sigset_t blocked, before;
  sigfillset(&blocked);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&blocked, fault);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  try {
    workers_.reserve(static_cast<size_t>(size_ - 1));
    for (int worker = 1; worker < size_; worker++) {
      workers_.emplace_back([this, worker] { work(worker); });
    }
  } catch (const std::system_error& e) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    const size_t refused = workers_.size() + 1;
    stop_workers();
    throw Failure(TRTGO_CPU_NO_THREADS, "the system refused thread " + std::to_string(refused) + " of " +
                                            std::to_string(size_) + "; ask for fewer threads (" + e.what() + ")");
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    stop_workers();
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Team::~Team() { stop_workers(); }

void Team::stop_workers() {
  closing_ = true;
  start_.open();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

Team::Walk& Team::walk() {
  static thread_local Walk walk;
  return walk;
}

void Team::work(int worker) {
  pthread_setname_np(pthread_self(), "trtgo-worker");  // for top and debuggers; refused without harm
  for (uint32_t seen = 0;;) {
    start_.wait(seen, [this] { return has_cpus(); });
    seen = start_.epoch();
    if (closing_) return;
    if (!enter()) continue;  // too late: the job is over
    walk().phase = 0;
    job_(context_, worker);
    leave();
  }
}

// Whether this team's threads would have CPUs of their own beside other teams' jobs.
// A team alone may have more threads than there are CPUs.
bool Team::has_cpus() const {
  const int others = running_threads_.load(std::memory_order_relaxed) - (running_ ? size_ : 0);
  return others <= 0 || others + size_ <= cpus_;
}

bool Team::enter() {
  uint32_t inside = inside_.load(std::memory_order_relaxed);
  do {
    if ((inside & kClosed) != 0) return false;
  } while (!inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acquire, std::memory_order_relaxed));
  return true;
}

void Team::leave() {
  if (inside_.fetch_sub(1, std::memory_order_acq_rel) == kClosed + 1) left_.open();
}

bool Team::run(Job job, void* context) {
  job_ = job;
  context_ = context;
  walk().phase = 0;
  ticket_.store(0, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  inside_.store(0, std::memory_order_release);  // with what stands above
  running_ = true;
  running_threads_ += size_;
  if (size_ > 1) start_.open();
  const bool complete = job(context, 0);
  await_workers();
  running_threads_ -= size_;
  running_ = false;
  return complete;
}

// Lets no more workers in, and waits for those that are.
void Team::await_workers() {
  inside_.fetch_or(kClosed, std::memory_order_acq_rel);
  for (;;) {
    const uint32_t seen = left_.epoch();
    if (inside_.load(std::memory_order_acquire) == kClosed) return;
    left_.wait(seen);
  }
}

// Ends a phase whose chunks are all done.
void Team::pass(uint64_t phase) {
  done_.store(0, std::memory_order_relaxed);
  ticket_.store((phase + 1) << kChunkBits, std::memory_order_release);
  if (size_ > 1) passed_.open();
}

// Waits for the chunks that other workers have.
bool Team::await(uint64_t phase) {
  while (!aborted()) {
    const uint32_t seen = passed_.epoch();
    if (ticket_.load(std::memory_order_acquire) >> kChunkBits != phase) return true;
    passed_.wait(seen);
  }
  passed_.open();
  return false;
}

}  // namespace cpu
}  // namespace trtgo
