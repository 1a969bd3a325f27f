#include "progress.h"

#include <algorithm>

namespace trtgo {
namespace tensorrt {

void Progress::begin() {
  std::lock_guard<std::mutex> lock(mutex_);
  building_ = true;
  phases_.clear();
  bytes_ = 0;
}

void Progress::end() {
  std::lock_guard<std::mutex> lock(mutex_);
  building_ = false;
}

bool Progress::state(State* state) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!building_) return false;
  state->bytes = bytes_;
  if (phases_.empty()) {
    state->phase.clear();
    state->done = state->total = 0;
  } else {
    const Phase& phase = phases_.back();
    state->phase = phase.name;
    state->done = phase.done;
    state->total = phase.total;
  }
  return true;
}

Progress::Phase* Progress::find(const char* name) {
  // The one that began last comes first: names can come again.
  const auto it = std::find_if(phases_.rbegin(), phases_.rend(), [name](const Phase& p) { return p.name == name; });
  return it == phases_.rend() ? nullptr : &*it;
}

void Progress::phaseStart(const char* phase, const char*, int32_t steps) noexcept try {
  std::lock_guard<std::mutex> lock(mutex_);
  phases_.push_back(Phase{phase == nullptr ? "" : phase, 0, steps});
} catch (...) {
  // No memory for a name: progress shows the phase around it.
}

bool Progress::stepComplete(const char* phase, int32_t step) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (Phase* p = phase == nullptr ? nullptr : find(phase)) p->done = std::max(p->done, step + 1);
  return !cancelled_;
}

void Progress::phaseFinish(const char* phase) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (Phase* p = phase == nullptr ? nullptr : find(phase)) phases_.erase(phases_.begin() + (p - phases_.data()));
}

}  // namespace tensorrt
}  // namespace trtgo
