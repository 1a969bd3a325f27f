// What the stand-in is asked to do wrong; see standin.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "standin.h"

namespace trtllm_standin {

// A call that upstream's users make. One static object for each function.
class Entry {
 public:
  explicit Entry(const char* name);
  // Counts the call and throws if the script says so.
  void call();
  const char* name() const { return name_; }
  int64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  void reset() { calls_.store(0, std::memory_order_relaxed); }

 private:
  const char* name_;
  std::atomic<int64_t> calls_{0};  // relaxed, so that no lock hides a race of the caller
};

// This thread is inside of the stand-in while one of these lives.
class Inside {
 public:
  Inside();
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};

// The script as it was when this was made.
class Script {
 public:
  static std::shared_ptr<const Script> load();

  bool has(const std::string& name) const { return text(name).has_value(); }
  std::optional<std::string> text(const std::string& name) const;
  int64_t number(const std::string& name, int64_t otherwise) const;
  // Whether NAME=VALUE, NAME=VALUE#N or the like stands in it for this N; NAME=N+ stands for all from N on.
  bool at(const std::string& name, int64_t n) const;
  bool says(const std::string& name, const std::string& value) const;
  // Stands still if hang=where is asked for, until it is released.
  void hang(const std::string& where) const;
  // Installs hostile handlers of signals if handlers=when is asked for.
  void handlers(const std::string& when) const;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

// Reads the environment's script again, and counts calls anew, when it is another than before. Nothing may be
// running.
void reread();

// Whether getters of this class give what was not set, as they do where headers are of another release.
bool forgets(const char* name);

// Counts one more (or less) object alive.
void alive(int64_t change);

}  // namespace trtllm_standin

// At the top of each function that upstream exports.
#define STANDIN_ENTRY(name)                  \
  trtllm_standin::Inside inside_;            \
  static trtllm_standin::Entry entry_{name}; \
  entry_.call()
