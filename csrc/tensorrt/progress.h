// Progress: how far a build is, and whether it shall go on.
#ifndef TRTGO_TENSORRT_PROGRESS_H_
#define TRTGO_TENSORRT_PROGRESS_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "versions.h"

namespace trtgo {
namespace tensorrt {

// TensorRT reports here, from any of its threads; the caller asks from another.
class Progress : public nvinfer1::IProgressMonitor {
 public:
  struct State {
    std::string phase;  // the one that began last and has not ended; empty before the first
    int32_t done = 0;   // of its steps
    int32_t total = 0;
    int64_t bytes = 0;  // of the plan that are written
  };

  // A build that is running, for as long as it lives.
  class Running {
   public:
    explicit Running(Progress& progress) : progress_(progress) { progress_.begin(); }
    ~Running() { progress_.end(); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    Progress& progress_;
  };

  // False outside a build.
  bool state(State* state);

  void cancel() { cancelled_ = true; }
  bool cancelled() const { return cancelled_; }
  // Whether it was cancelled; the next build is not.
  bool take_cancelled() { return cancelled_.exchange(false); }

  void wrote(int64_t bytes) { bytes_ += bytes; }

  void phaseStart(const char* phase, const char* parent, int32_t steps) noexcept override;
  bool stepComplete(const char* phase, int32_t step) noexcept override;
  void phaseFinish(const char* phase) noexcept override;

 private:
  struct Phase {
    std::string name;
    int32_t done;
    int32_t total;
  };
  void begin();
  void end();
  Phase* find(const char* name);

  std::atomic<bool> cancelled_{false};
  std::atomic<int64_t> bytes_{0};
  std::mutex mutex_;
  bool building_ = false;
  std::vector<Phase> phases_;
};

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_PROGRESS_H_
