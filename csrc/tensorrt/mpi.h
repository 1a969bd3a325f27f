// MPI, which TensorRT-LLM starts. Its functions are found in the library that TensorRT-LLM is linked to.
#ifndef TRTGO_TENSORRT_MPI_H_
#define TRTGO_TENSORRT_MPI_H_

#include "versions.h"

#if TRTGO_HAS_EXECUTOR

namespace trtgo {
namespace tensorrt {

// Makes the symbols of the loaded libmpi global: Open MPI's components look for them when it starts.
void make_mpi_global();

// Watches a call that may start MPI, for as long as it lives: MPI is ended by finalize_mpi only if one of these
// saw it start.
class MpiStart {
 public:
  MpiStart();
  ~MpiStart();
  MpiStart(const MpiStart&) = delete;
  MpiStart& operator=(const MpiStart&) = delete;

 private:
  bool before_;
};

// Ends MPI where it was started while being watched, once. TensorRT-LLM has atexit end it again, which MPI does not
// forgive: a process that calls this must leave without exit(), as Go's do. Throws Failure with TRTGO_INTERNAL.
void finalize_mpi();

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR

#endif  // TRTGO_TENSORRT_MPI_H_
