#include "script.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>

#include "exception.h"

namespace trtllm_standin {
namespace {

// A class that nobody catches by name.
struct Unknown {
  int code = 7;
};

std::mutex mutex;                   // guards what follows, but for the pointers' targets
std::optional<std::string> chosen;  // instead of the environment's
std::vector<Entry*>& entries() {
  static std::vector<Entry*> list;
  return list;
}
std::atomic<int64_t> thrown{0}, objects{0};
thread_local int inside = 0;

// The throws of the script, which calls look at without a lock: it changes only while nothing runs.
struct Throw {
  std::string entry, kind;
  int64_t number;
};
std::vector<Throw>& throws() {
  static std::vector<Throw> list;
  return list;
}
// The entries of the script that stand still, likewise.
std::vector<std::string>& hangs() {
  static std::vector<std::string> list;
  return list;
}
std::atomic<bool> read{false};

std::string scriptText() {
  if (chosen) return *chosen;
  const char* text = std::getenv("TRTGO_STANDIN_SCRIPT");
  return text == nullptr ? "" : text;
}

std::vector<std::pair<std::string, std::string>> parse(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find_first_of(";\n", at);
    if (end == std::string::npos) end = text.size();
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const size_t equals = line.find('=');
    if (equals != std::string::npos) lines.emplace_back(line.substr(0, equals), line.substr(equals + 1));
  }
  return lines;
}

std::string current;  // what readThrows() read

void readThrows() {
  throws().clear();
  hangs().clear();
  current = scriptText();
  for (const auto& [name, value] : parse(current)) {
    if (name == "hang") hangs().push_back(value);
    if (name != "throw") continue;
    const size_t hash = value.find('#'), colon = value.rfind(':');
    if (hash == std::string::npos || colon == std::string::npos || colon < hash) continue;
    throws().push_back({value.substr(0, hash), value.substr(colon + 1), std::atoll(value.c_str() + hash + 1)});
  }
  read.store(true, std::memory_order_release);
}

[[noreturn]] void raise(const std::string& kind) {
  thrown.fetch_add(1, std::memory_order_relaxed);
  if (kind == "int") throw 42;
  if (kind == "bad_alloc") throw std::bad_alloc();
  if (kind == "range") throw std::out_of_range("map::at");
  if (kind == "class") throw Unknown();
  STANDIN_THROW("[TensorRT-LLM][ERROR] CUDA runtime error in cudaMallocAsync(): out of memory, says the script");
}

bool exists(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

// Ends the process at once: what a handler on a goroutine's stack would come to, told apart by its status.
void hostile(int) { _exit(86); }

__attribute__((constructor)) void loaded() {
  try {
    Script::load()->handlers("load");
  } catch (...) {  // there is no memory: there will be less to do
  }
}

}  // namespace

Entry::Entry(const char* name) : name_(name) {
  const std::lock_guard<std::mutex> lock(mutex);
  entries().push_back(this);
}

void Entry::call() {
  if (inside > 1) return;  // the stand-in's own
  const int64_t n = calls_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (!read.load(std::memory_order_acquire)) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!read.load(std::memory_order_relaxed)) readThrows();
  }
  for (const std::string& name : hangs()) {
    if (name == name_) Script::load()->hang(name);
  }
  for (const Throw& fault : throws()) {
    if (fault.entry == name_ && (fault.number == n || fault.number == 0)) raise(fault.kind);
  }
}

Inside::Inside() { inside++; }
Inside::~Inside() { inside--; }

std::shared_ptr<const Script> Script::load() {
  auto script = std::make_shared<Script>();
  const std::lock_guard<std::mutex> lock(mutex);
  script->lines_ = parse(scriptText());
  return script;
}

std::optional<std::string> Script::text(const std::string& name) const {
  for (const auto& [key, value] : lines_) {
    if (key == name) return value;
  }
  return std::nullopt;
}

int64_t Script::number(const std::string& name, int64_t otherwise) const {
  const auto value = text(name);
  return value ? std::atoll(value->c_str()) : otherwise;
}

bool Script::at(const std::string& name, int64_t n) const {
  for (const auto& [key, value] : lines_) {
    if (key != name) continue;
    const int64_t first = std::atoll(value.c_str());
    if (n == first || (n > first && value.back() == '+')) return true;
  }
  return false;
}

bool Script::says(const std::string& name, const std::string& value) const {
  for (const auto& [key, said] : lines_) {
    if (key == name && said == value) return true;
  }
  return false;
}

void Script::hang(const std::string& where) const {
  const auto release = text("release");
  while (says("hang", where) && !(release && exists(*release))) usleep(1000);
}

void Script::handlers(const std::string& when) const {
  if (!says("handlers", when)) return;
  struct sigaction action;
  std::memset(&action, 0, sizeof action);
  action.sa_handler = hostile;
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE}) sigaction(number, &action, nullptr);
}

void reread() {
  const std::lock_guard<std::mutex> lock(mutex);
  if (read.load(std::memory_order_relaxed) && scriptText() == current) return;
  readThrows();
  thrown = 0;
  for (Entry* entry : entries()) entry->reset();
}

bool forgets(const char* name) { return Script::load()->says("forget", name); }

void alive(int64_t change) { objects.fetch_add(change, std::memory_order_relaxed); }

}  // namespace trtllm_standin

void trtllm_standin_script(const char* script) {
  const std::lock_guard<std::mutex> lock(trtllm_standin::mutex);
  trtllm_standin::chosen = script == nullptr ? std::nullopt : std::optional<std::string>(script);
  trtllm_standin::readThrows();
  trtllm_standin::thrown = 0;
  for (trtllm_standin::Entry* entry : trtllm_standin::entries()) entry->reset();
}

int32_t trtllm_standin_entry(int32_t index, const char** name, int64_t* calls) {
  const std::lock_guard<std::mutex> lock(trtllm_standin::mutex);
  const auto at = static_cast<size_t>(index);
  if (index < 0 || at >= trtllm_standin::entries().size()) return 0;
  *name = trtllm_standin::entries()[at]->name();
  *calls = trtllm_standin::entries()[at]->calls();
  return 1;
}

int64_t trtllm_standin_thrown(void) { return trtllm_standin::thrown; }
int64_t trtllm_standin_alive(void) { return trtllm_standin::objects; }
int32_t trtllm_standin_inside(void) { return trtllm_standin::inside > 0 ? 1 : 0; }
