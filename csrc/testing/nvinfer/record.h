// What the stand-in writes down: every call that its client makes, the objects that are alive, and the
// faults that were asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "json.h"

// With the headers of `headers.py throwing` every call can throw.
#ifdef STANDIN_THROWS
#define STANDIN_NOEXCEPT
#else
#define STANDIN_NOEXCEPT noexcept
#endif

namespace standin {

// Something that the stand-in made. Its name is its kind and a number that counts that kind, so two
// runs write the same record.
class STANDIN_API Object {
 public:
  // told: its end is written down, because its client owns it.
  explicit Object(const char* kind, bool told = false);
  virtual ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  bool told_;
};

// What a call gives: it says which faults there are for it.
enum class Answer {
  kNothing = 0,  // nothing; it can only log an error
  kObject = 1,   // a pointer, null for bad
  kBool = 2,     // false for bad
  kIndex = 3,    // -1 for bad
  kCount = 4,    // 0 for bad
  kDims = 5,     // -1 dimensions for bad
  kType = 6,     // a number that is no type
};

// Who logs: TensorRT to the logger of the newest builder, the plugins to the one that they got; some
// calls have no logger.
enum class Source { kTensorRT = 0, kPlugins = 1, kNobody = 2 };

// One call. Its line is written when it is destroyed.
class STANDIN_API Call {
 public:
  Call(const char* function, const Object* on);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();

  // Writes an argument down; json is a value of JSON.
  Call& argument(const char* name, const std::string& json);
  // Writes what the call gave.
  void result(const std::string& json);
  // Applies the fault that was asked for this call, if one was: throws, or logs an error, and tells
  // whether the call must do nothing and give its bad answer.
  bool fails(Answer answer, Source source = Source::kTensorRT, bool can_throw = false);

 private:
  std::string line_;
  std::size_t index_;
};

// The value of "name=value" among the faults, or empty.
STANDIN_API std::string scenario(const char* name);
// Tells whether "name=value" is among them.
STANDIN_API bool has_scenario(const char* name, const std::string& value);
STANDIN_API void set_logger(Source source, void* logger);
STANDIN_API void log_error(const std::string& text, Source source = Source::kTensorRT);
// Writes a line of JSON as it is.
STANDIN_API void write_line(const std::string& line);

}  // namespace standin
