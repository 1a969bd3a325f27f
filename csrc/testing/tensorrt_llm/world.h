// The processes of mpirun, which meet in a directory.
#pragma once

#include <cstdint>
#include <string>

#include "script.h"
#include "tensorrt_llm/executor/executor.h"

namespace trtllm_standin {

class World {
 public:
  // Starts MPI where it is not, with its handlers of signals, and waits until all processes are there.
  static World join(const Script& script);

  int32_t rank() const { return rank_; }
  int32_t size() const { return size_; }
  // The leader tells that it stops; the others wait for that.
  void stop() const;
  void awaitStop() const;

 private:
  int32_t rank_ = 0, size_ = 1;
  std::string directory_;
};

// Refuses what upstream refuses of an engine of so many parts.
void checkParallel(const tensorrt_llm::executor::ParallelConfig& parallel, const World& world, int32_t parts);

}  // namespace trtllm_standin
