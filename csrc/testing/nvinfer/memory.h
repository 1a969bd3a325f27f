// Memory that runs out inside of the shim.
#ifndef TRTGO_TESTING_NVINFER_MEMORY_H_
#define TRTGO_TESTING_NVINFER_MEMORY_H_

#include <cstdint>

namespace trtgo {
namespace testing {

// From allocation n of the shim on none succeeds until the call returns; -1 for never. inside tells that a thread is
// inside of the stand-in, whose allocations do not count. Returns whether that happened since the last call.
bool fail_allocation(int64_t n, int32_t (*inside)());

// The shim runs on this thread while one of these lives.
class InShim {
 public:
  InShim();
  ~InShim();
  InShim(const InShim&) = delete;
  InShim& operator=(const InShim&) = delete;
};

}  // namespace testing
}  // namespace trtgo

#endif  // TRTGO_TESTING_NVINFER_MEMORY_H_
