#include "surroundings.h"

#if TRTGO_HAS_EXECUTOR

#include "sharedobject.h"

namespace trtgo {
namespace tensorrt {

// The functions are those of libcuda, on which TensorRT-LLM depends; results are a CUresult each.
// cudaSetDevice makes the context of the device current. There is none before CUDA has started.
void* cuda_context() {
  void* context = nullptr;
  auto* const get = find_function<int (*)(void**)>("cuCtxGetCurrent");
  return get != nullptr && get(&context) == 0 ? context : nullptr;
}

void put_cuda_context(void* context) {
  if (cuda_context() == context) return;
  auto* const put = find_function<int (*)(void*)>("cuCtxSetCurrent");
  if (put != nullptr) put(context);
}

Surroundings::Surroundings() {
  trtgo_signals_save(&signals_);
  context_ = cuda_context();
}

Surroundings::~Surroundings() {
  trtgo_signals_restore(&signals_);
  put_cuda_context(context_);
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR
