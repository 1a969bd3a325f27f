// Exceptions as upstream throws them.
#pragma once

#include <stdexcept>
#include <string>

#include "standin.h"

namespace tensorrt_llm::common {
inline namespace _v1 {

// Its text is a message, file and line, and then a stack trace of many lines.
class STANDIN_API TllmException : public std::runtime_error {
 public:
  explicit TllmException(const std::string& message, const char* file, int line);
  ~TllmException() noexcept override;
};

}  // namespace _v1
}  // namespace tensorrt_llm::common

#define STANDIN_THROW(message) throw tensorrt_llm::common::TllmException(message, __FILE__, __LINE__)
#define STANDIN_CHECK(condition, message)                                                                 \
  do {                                                                                                    \
    if (!(condition)) STANDIN_THROW(std::string("[TensorRT-LLM][ERROR] Assertion failed: ") + (message)); \
  } while (false)
