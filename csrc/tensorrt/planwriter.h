// PlanWriter: writes a plan to a file descriptor as TensorRT makes it.
#ifndef TRTGO_TENSORRT_PLANWRITER_H_
#define TRTGO_TENSORRT_PLANWRITER_H_

#include <cstdint>

#include "progress.h"
#include "versions.h"

namespace trtgo {
namespace tensorrt {

class PlanWriter : public nvinfer1::IStreamWriter {
 public:
  // Writes from the descriptor's present position. It is not closed.
  PlanWriter(int fd, Progress* progress) : fd_(fd), progress_(progress) {}

  // Returns size, or fewer where writing failed or the build was cancelled; all later calls then fail too.
  int64_t write(const void* data, int64_t size) noexcept override;

  // The errno of the write that failed; 0 if none did.
  int error() const { return error_; }

 private:
  const int fd_;
  Progress* const progress_;
  int error_ = 0;
};

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_PLANWRITER_H_
