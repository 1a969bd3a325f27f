// Outputs: what TensorRT-LLM's executor gave, described.
#ifndef TRTGO_TENSORRT_OUTPUTS_H_
#define TRTGO_TENSORRT_OUTPUTS_H_

#include "../native/trtgo.h"
#include "versions.h"

#if TRTGO_HAS_EXECUTOR

#include <tensorrt_llm/executor/executor.h>

#include <vector>

// A batch. The outputs point into the responses.
struct trtgo_outputs {
  std::vector<tensorrt_llm::executor::Response> responses;
  std::vector<trtgo_output> list;

  // Makes the list, anew.
  void describe();
};

#endif  // TRTGO_HAS_EXECUTOR

#endif  // TRTGO_TENSORRT_OUTPUTS_H_
