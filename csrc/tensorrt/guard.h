// Failure, and the guard that turns it and any other exception into a status and an error.
#ifndef TRTGO_TENSORRT_GUARD_H_
#define TRTGO_TENSORRT_GUARD_H_

#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "../native/trtgo.h"

namespace trtgo {
namespace tensorrt {

// What a call could not do.
class Failure : public std::runtime_error {
 public:
  // status is a TRTGO_…; operation is the function that refused; text is one sentence without a full stop.
  Failure(int32_t status, std::string operation, const std::string& text)
      : std::runtime_error(text), status_(status), operation_(std::move(operation)) {}
  int32_t status() const { return status_; }
  const std::string& operation() const { return operation_; }

 private:
  int32_t status_;
  std::string operation_;
};

// Turns the exception that is being handled into a status and, where error is not null, an error.
int32_t report(const char* entry, trtgo_error** error) noexcept;

// Runs the body of the exported function entry.
template <class Body>
int32_t guard(const char* entry, trtgo_error** error, Body&& body) noexcept {
  if (error != nullptr) *error = nullptr;
  try {
    body();
    return TRTGO_OK;
  } catch (...) {
    return report(entry, error);
  }
}

// Runs a call of somebody else's code. What it throws becomes a Failure: the text, and then the exception's own words.
template <class Call>
auto attempt(int32_t status, const char* operation, const char* text, Call&& call) -> decltype(call()) {
  try {
    return call();
  } catch (const Failure&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& exception) {
    throw Failure(status, operation, std::string(text) + ": " + exception.what());
  }
}

// Throws if a pointer that the caller must give is null.
inline void need(const void* pointer, const char* entry, const char* what) {
  if (pointer == nullptr) throw Failure(TRTGO_INVALID, entry, std::string(what) + " is null");
}

// Copies a struct that begins with struct_size; what the caller's older header does not have becomes zero.
template <class Struct>
Struct take(const Struct* in, const char* entry) {
  need(in, entry, "the options");
  if (in->struct_size < sizeof(in->struct_size) || in->struct_size > sizeof(Struct)) {
    throw Failure(TRTGO_INVALID, entry,
                  "struct_size is " + std::to_string(in->struct_size) + ", this library takes at most " +
                      std::to_string(sizeof(Struct)));
  }
  Struct copy{};
  std::memcpy(&copy, in, in->struct_size);
  return copy;
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_GUARD_H_
