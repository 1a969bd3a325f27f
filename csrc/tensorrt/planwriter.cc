#include "planwriter.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace trtgo {
namespace tensorrt {

int64_t PlanWriter::write(const void* data, int64_t size) noexcept {
  // Cancelling shall not wait for gigabytes to be written.
  constexpr int64_t kChunk = int64_t{64} << 20;
  const char* next = static_cast<const char*>(data);
  int64_t written = 0;
  while (written < size && error_ == 0 && !progress_->cancelled()) {
    const ssize_t n = ::write(fd_, next + written, static_cast<size_t>(std::min(size - written, kChunk)));
    if (n > 0) {
      written += n;
      progress_->wrote(n);
    } else if (n == 0) {
      error_ = EIO;  // of a size that is not 0: it would go on for ever
    } else if (errno == EAGAIN) {
      pollfd wait{fd_, POLLOUT, 0};
      if (poll(&wait, 1, -1) < 0 && errno != EINTR) error_ = errno;
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  return written;
}

}  // namespace tensorrt
}  // namespace trtgo
