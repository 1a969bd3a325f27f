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

// The context that is current in this thread: cudaSetDevice makes that of the device current. Null for none, which is
// also the answer before CUDA has started.
void* current_context() {
  void* context = nullptr;
  auto* const get = find<int (*)(void**)>("cuCtxGetCurrent");
  return get != nullptr && get(&context) == 0 ? context : nullptr;
}

}  // namespace

Surroundings::Surroundings() {
  trtgo_signals_save(&signals_);
  context_ = current_context();
}

Surroundings::~Surroundings() {
  trtgo_signals_restore(&signals_);
  if (current_context() == context_) return;
  auto* const put = find<int (*)(void*)>("cuCtxSetCurrent");
  if (put != nullptr) put(context_);
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR
