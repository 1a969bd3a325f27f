// The settings of an executor, and those of a request, as TensorRT-LLM takes them.
#ifndef TRTGO_TENSORRT_EXECUTORCONFIG_H_
#define TRTGO_TENSORRT_EXECUTORCONFIG_H_

#include "../native/trtgo.h"
#include "versions.h"

#if TRTGO_HAS_EXECUTOR

#include <tensorrt_llm/executor/executor.h>

namespace trtgo {
namespace tensorrt {

// Makes the configuration of an executor. Throws Failure: TRTGO_INVALID for a setting that is unknown or wrong,
// TRTGO_VERSION where an object does not keep what it is given, as it does with headers of another release.
tensorrt_llm::executor::ExecutorConfig make_config(const trtgo_executor_options& options);

// Makes a request. Everything is copied. Throws Failure as make_config.
tensorrt_llm::executor::Request make_request(const trtgo_request& request);

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR

#endif  // TRTGO_TENSORRT_EXECUTORCONFIG_H_
