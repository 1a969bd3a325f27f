// One build through csrc/native/trtgo.h, of a small network that has every kind of layer.
#ifndef TRTGO_TESTING_NVINFER_REPLAY_H_
#define TRTGO_TESTING_NVINFER_REPLAY_H_

#include <functional>
#include <string>

#include "../../native/trtgo.h"

namespace trtgo {
namespace testing {

struct Replay {
  const char* tensorrt = nullptr;  // paths of the stand-in's libraries
  const char* plugins = nullptr;
  int fd = -1;  // for the plan
  // Called while the build runs, by another thread, until it is over.
  std::function<void(trtgo_network*)> meanwhile;
  bool build_twice = false;
  bool leave_open = false;  // forgets to close the network
};

// What came of it: the first call that failed, and everything that was told before.
struct Outcome {
  int32_t status = TRTGO_OK;
  std::string step, operation, text;
  std::string told;
};

Outcome replay(const Replay& options);

}  // namespace testing
}  // namespace trtgo

#endif  // TRTGO_TESTING_NVINFER_REPLAY_H_
