#include "mpi.h"

#if TRTGO_HAS_EXECUTOR

#include <dlfcn.h>

#include <atomic>
#include <string>

#include "guard.h"
#include "sharedobject.h"

namespace trtgo {
namespace tensorrt {
namespace {

std::atomic<bool> watched_start{false};

// Asks MPI_Initialized or MPI_Finalized, which may be called at any time.
bool ask(const char* name) {
  int flag = 0;
  auto* const function = find_function<int (*)(int*)>(name);
  return function != nullptr && function(&flag) == 0 && flag != 0;
}

}  // namespace

void make_mpi_global() {
  void* symbol = find_loaded("MPI_Initialized");
  Dl_info info{};
  if (symbol == nullptr || dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return;
  // It is not loaded again, only made global. Where that fails MPI may still start: it says itself what it misses.
  dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

MpiStart::MpiStart() : before_(ask("MPI_Initialized")) {}

MpiStart::~MpiStart() {
  if (!before_ && ask("MPI_Initialized")) watched_start = true;
}

void finalize_mpi() {
  if (!watched_start || ask("MPI_Finalized")) return;
  auto* const finalize = find_function<int (*)()>("MPI_Finalize");
  if (finalize == nullptr)
    throw Failure(TRTGO_INTERNAL, "MPI_Finalize", "the MPI that was started has no MPI_Finalize");
  const int failed = finalize();
  if (failed != 0) {
    throw Failure(TRTGO_INTERNAL, "MPI_Finalize", "MPI did not end: error " + std::to_string(failed));
  }
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR
