// Executor: TensorRT-LLM's, with what it needs around it.
#ifndef TRTGO_TENSORRT_EXECUTOR_H_
#define TRTGO_TENSORRT_EXECUTOR_H_

#include "versions.h"

#if TRTGO_HAS_EXECUTOR

namespace trtgo {
namespace tensorrt {

// The release of the TensorRT-LLM that is loaded.
const char* trtllm_version();

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR

#endif  // TRTGO_TENSORRT_EXECUTOR_H_
