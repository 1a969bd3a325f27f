// Outputs: what TensorRT-LLM's executor gave, described.
#ifndef TRTGO_TENSORRT_OUTPUTS_H_
#define TRTGO_TENSORRT_OUTPUTS_H_

#include "../native/trtgo.h"
#include "versions.h"

#if TRTGO_HAS_EXECUTOR

#include <tensorrt_llm/executor/executor.h>

#include <chrono>
#include <vector>

// A batch. The outputs point into the responses.
struct trtgo_outputs {
  std::vector<tensorrt_llm::executor::Response> responses;
  std::vector<trtgo_output> list;

  // Makes the list, anew. Its times are those of the steady clock.
  void describe();
};

namespace trtgo {
namespace tensorrt {

// Makes the times those since start.
void count_times_from(std::chrono::steady_clock::time_point start, trtgo_output* output);

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR

#endif  // TRTGO_TENSORRT_OUTPUTS_H_
