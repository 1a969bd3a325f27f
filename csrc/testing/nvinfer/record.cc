#include "record.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "refusals.h"

namespace standin {
namespace {

struct Counted {
  std::string function;
  int32_t number;
  Answer answer;
  bool throws, logs;
};

struct Recorder {
  std::mutex mutex;
  std::FILE* file = nullptr;
  std::vector<std::string> faults;
  bool faulted = false;
  std::map<std::string, int> objects;    // made, by kind
  std::map<std::string, int32_t> calls;  // made, by function
  std::deque<Counted> counted;           // in order
  std::set<std::string> alive;
  std::string alive_names;
  nvinfer1::ILogger* loggers[3] = {};

  Recorder() { start(std::getenv("TRTGO_STANDIN_RECORD"), std::getenv("TRTGO_STANDIN_FAULT")); }

  void start(const char* record, const char* asked) {
    if (file != nullptr) std::fclose(file);
    file = record != nullptr && *record != 0 ? std::fopen(record, "a") : nullptr;
    faults.clear();
    std::istringstream list(asked != nullptr ? asked : "");
    for (std::string fault; std::getline(list, fault, ',');) faults.push_back(fault);
    faulted = false;
    objects.clear();
    calls.clear();
    counted.clear();
  }

  void write(const std::string& line) {
    if (file == nullptr) return;
    std::fprintf(file, "%s\n", line.c_str());
    std::fflush(file);
  }
};

// Lives until the process ends: a client may destroy its objects very late.
Recorder& recorder() {
  static Recorder& instance = *new Recorder;
  return instance;
}

using Lock = std::lock_guard<std::mutex>;

// How deep this thread is inside of the stand-in.
thread_local int depth = 0;

struct Inside {
  Inside() { depth++; }
  ~Inside() { depth--; }
};

}  // namespace

void refuse(const char* function) {
  std::fprintf(stderr, "The stand-in for TensorRT was called for %s, which it does not have.\n", function);
  std::abort();
}

Object::Object(const char* kind, bool told) : told_(told) {
  const Inside inside;
  Recorder& r = recorder();
  Lock lock(r.mutex);
  name_ = kind + std::to_string(++r.objects[kind]);
  r.alive.insert(name_);
}

Object::~Object() {
  const Inside inside;
  Recorder& r = recorder();
  Lock lock(r.mutex);
  r.alive.erase(name_);
  if (told_) r.write("{\"destroyed\":" + quoted(name_) + ",\"alive\":" + std::to_string(r.alive.size()) + "}");
}

Call::Call(const char* function, const Object* on) {
  depth++;
  line_ = "{\"call\":" + quoted(function);
  Recorder& r = recorder();
  Lock lock(r.mutex);
  const int32_t number = ++r.calls[function];
  index_ = r.counted.size();
  r.counted.push_back({function, number, Answer::kNothing, false, false});
  if (on != nullptr) line_ += ",\"on\":" + quoted(on->name());
}

Call::~Call() {
  write_line(line_ + "}");
  depth--;
}

Call& Call::argument(const char* name, const std::string& json) {
  line_ += "," + quoted(name) + ":" + json;
  return *this;
}

void Call::result(const std::string& json) { line_ += ",\"gives\":" + json; }

bool Call::fails(Answer answer, Source source, bool can_throw) {
#ifdef STANDIN_THROWS
  can_throw = true;
#endif
  std::string kind;
  std::string name;
  {
    Recorder& r = recorder();
    Lock lock(r.mutex);
    Counted& call = r.counted[index_];
    call.answer = answer;
    call.throws = can_throw;
    call.logs = source != Source::kNobody;
    name = call.function + "#" + std::to_string(call.number);
    for (const std::string& fault : r.faults) {
      if (fault.rfind(name + "=", 0) == 0) kind = fault.substr(name.size() + 1);
    }
    if (kind.empty()) return false;
    r.faulted = true;
  }
  argument("fault", quoted(kind));
  if (can_throw && kind == "throw-int") throw 42;
  if (can_throw && kind == "throw-runtime") throw std::runtime_error("thrown by " + name);
  if (can_throw && kind == "throw-bad_alloc") throw std::bad_alloc();
  if (kind == "logged") log_error("the stand-in was told to refuse " + name, source);
  if (kind != "logged" && kind != "bad") refuse((name + "=" + kind).c_str());
  return true;
}

std::string scenario(const char* name) {
  Recorder& r = recorder();
  Lock lock(r.mutex);
  const std::string start = std::string(name) + "=";
  for (const std::string& fault : r.faults) {
    if (fault.rfind(start, 0) == 0) return fault.substr(start.size());
  }
  return "";
}

bool has_scenario(const char* name, const std::string& value) {
  Recorder& r = recorder();
  Lock lock(r.mutex);
  for (const std::string& fault : r.faults) {
    if (fault == name + ("=" + value)) return true;
  }
  return false;
}

void set_logger(Source source, void* logger) {
  Recorder& r = recorder();
  Lock lock(r.mutex);
  r.loggers[static_cast<int>(source)] = static_cast<nvinfer1::ILogger*>(logger);
}

void log_error(const std::string& text, Source source) {
  nvinfer1::ILogger* logger = nullptr;
  {
    Recorder& r = recorder();
    Lock lock(r.mutex);
    logger = r.loggers[static_cast<int>(source)];
  }
  if (logger != nullptr) logger->log(nvinfer1::ILogger::Severity::kERROR, text.c_str());
}

void write_line(const std::string& line) {
  Recorder& r = recorder();
  Lock lock(r.mutex);
  r.write(line);
}

}  // namespace standin

using standin::recorder;

void trtgo_standin_reset(const char* record, const char* faults) {
  std::lock_guard<std::mutex> lock(recorder().mutex);
  recorder().start(record, faults);
}

int32_t trtgo_standin_alive(const char** names) {
  auto& r = recorder();
  std::lock_guard<std::mutex> lock(r.mutex);
  r.alive_names.clear();
  for (const std::string& name : r.alive) r.alive_names += (r.alive_names.empty() ? "" : " ") + name;
  if (names != nullptr) *names = r.alive_names.c_str();
  return static_cast<int32_t>(r.alive.size());
}

int32_t trtgo_standin_call(int32_t index, const char** function, int32_t* number, int32_t* answer, int32_t* throws,
                           int32_t* logs) {
  auto& r = recorder();
  std::lock_guard<std::mutex> lock(r.mutex);
  if (index < 0 || static_cast<size_t>(index) >= r.counted.size()) return 0;
  const auto& call = r.counted[static_cast<size_t>(index)];
  *function = call.function.c_str();
  *number = call.number;
  *answer = static_cast<int32_t>(call.answer);
  *throws = call.throws ? 1 : 0;
  *logs = call.logs ? 1 : 0;
  return 1;
}

int32_t trtgo_standin_faulted(void) {
  std::lock_guard<std::mutex> lock(recorder().mutex);
  return recorder().faulted ? 1 : 0;
}

int32_t trtgo_standin_inside(void) { return standin::depth > 0 ? 1 : 0; }
