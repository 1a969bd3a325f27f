// The errors that leave the library.
#include <new>

#include "guard.h"

struct trtgo_error {
  int32_t status;
  std::string operation;
  std::string text;
};

namespace trtgo {
namespace tensorrt {
namespace {

// Given when there is no memory for an error. Its strings are short enough to need none.
trtgo_error out_of_memory{TRTGO_MEMORY, "new", "memory ran out"};

int32_t make(trtgo_error** error, int32_t status, const char* operation, const char* text) noexcept {
  if (error == nullptr) return status;
  try {
    *error = new trtgo_error{status, operation, text};
  } catch (...) {
    *error = &out_of_memory;
  }
  return (*error)->status;
}

int32_t unexpected(trtgo_error** error, const char* entry, const char* what) noexcept {
  try {
    return make(error, TRTGO_INTERNAL, entry, (std::string("unexpected exception: ") + what).c_str());
  } catch (...) {
    if (error != nullptr) *error = &out_of_memory;
    return TRTGO_MEMORY;
  }
}

}  // namespace

int32_t report(const char* entry, trtgo_error** error) noexcept {
  try {
    throw;
  } catch (const Failure& failure) {
    return make(error, failure.status(), failure.operation().c_str(), failure.what());
  } catch (const std::bad_alloc&) {
    if (error != nullptr) *error = &out_of_memory;
    return TRTGO_MEMORY;
  } catch (const std::exception& exception) {
    return unexpected(error, entry, exception.what());
  } catch (...) {
    return unexpected(error, entry, "of a type that is none of the standard library's");
  }
}

}  // namespace tensorrt
}  // namespace trtgo

int32_t trtgo_error_status(const trtgo_error* error) { return error == nullptr ? TRTGO_OK : error->status; }

const char* trtgo_error_operation(const trtgo_error* error) { return error == nullptr ? "" : error->operation.c_str(); }

const char* trtgo_error_text(const trtgo_error* error) { return error == nullptr ? "" : error->text.c_str(); }

void trtgo_error_free(trtgo_error* error) {
  if (error != &trtgo::tensorrt::out_of_memory) delete error;
}
