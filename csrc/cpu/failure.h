// Failure: how the runner's code tells the C boundary what went wrong.
#ifndef TRTGO_CPU_FAILURE_H_
#define TRTGO_CPU_FAILURE_H_

#include <stdexcept>
#include <string>

#include "trtgo_cpu.h"

namespace trtgo {
namespace cpu {

class Failure : public std::runtime_error {
 public:
  Failure(int code, const std::string& message) : std::runtime_error(message), code_(code) {}
  int code() const { return code_; }  // TRTGO_CPU_…

 private:
  int code_;
};

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_FAILURE_H_
