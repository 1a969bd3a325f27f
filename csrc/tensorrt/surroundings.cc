#include "surroundings.h"

#if TRTGO_HAS_EXECUTOR

#include <dlfcn.h>

#include <cstring>

namespace trtgo {
namespace tensorrt {
namespace {

// A function of libcuda, on which TensorRT-LLM depends; null without it. Its results are a CUresult each.
template <class Function>
Function find(const char* name) {
  void* symbol = dlsym(RTLD_DEFAULT, name);
  Function function = nullptr;
  std::memcpy(&function, &symbol, sizeof(symbol));
  return function;
}

}  // namespace

// cudaSetDevice makes the context of the device current. There is none before CUDA has started.
void* cuda_context() {
  void* context = nullptr;
  auto* const get = find<int (*)(void**)>("cuCtxGetCurrent");
  return get != nullptr && get(&context) == 0 ? context : nullptr;
}

void put_cuda_context(void* context) {
  if (cuda_context() == context) return;
  auto* const put = find<int (*)(void*)>("cuCtxSetCurrent");
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
