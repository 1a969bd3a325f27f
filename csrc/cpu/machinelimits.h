// Limits: what memory and arithmetic give the threads of a runner, to be measured
// beside its steps.
#ifndef TRTGO_CPU_MACHINELIMITS_H_
#define TRTGO_CPU_MACHINELIMITS_H_

#include <atomic>
#include <cstdint>

#include "kernels.h"
#include "memory.h"
#include "threads.h"
#include "trtgo_cpu.h"

namespace trtgo {
namespace cpu {

class Limits {
 public:
  // A team of its own, and a buffer of size bytes that it has written. Throws Failure.
  Limits(const char* isa, int threads, int cpus, int64_t size);

  // The threads read the next `bytes` of the buffer, in whole chunks and at least one,
  // each of them an ascending stream. Returns how many bytes that was.
  int64_t read(int64_t bytes);

  // The threads do about so many multiply-adds on registers, of a TRTGO_CPU_ARITHMETIC_…
  // kind. Returns how many operations that was, two for each.
  double multiply(int arithmetic, double count);

 private:
  static constexpr int64_t kChunk = 1 << 20;

  using Multiply = double (*)(int64_t rounds);  // returns the multiply-adds
  Multiply multiplication(int arithmetic) const;

  const Kernels* kernels_;
  Mapping memory_;
  int64_t chunks_;
  int64_t next_ = 0;                 // chunk
  std::atomic<uint64_t> result_{0};  // so that no read can be left out
  Team team_;
};

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_MACHINELIMITS_H_
