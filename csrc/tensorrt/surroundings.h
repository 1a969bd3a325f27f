// Surroundings: what TensorRT-LLM's calls change in the thread and process around them, and put back.
#ifndef TRTGO_TENSORRT_SURROUNDINGS_H_
#define TRTGO_TENSORRT_SURROUNDINGS_H_

#include "versions.h"

#if TRTGO_HAS_EXECUTOR

#include "../native/signals.h"

namespace trtgo {
namespace tensorrt {

// CUDA's context of this thread, which is also its device; null for none. It is put where it is another.
void* cuda_context();
void put_cuda_context(void* context);

// Saves the handlers of signals and this thread's CUDA context, and puts them back when it goes, in the same thread.
class Surroundings {
 public:
  Surroundings();
  ~Surroundings();
  Surroundings(const Surroundings&) = delete;
  Surroundings& operator=(const Surroundings&) = delete;

  const trtgo_signals& signals() const { return signals_; }

 private:
  trtgo_signals signals_;
  void* context_ = nullptr;
};

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR

#endif  // TRTGO_TENSORRT_SURROUNDINGS_H_
