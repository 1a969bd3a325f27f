// libmpi.so.40: one process's view of mpirun, by Open MPI's environment variables. It aborts where Open MPI does.
#include "mpi.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace {

std::atomic<bool> initialized{false}, finalized{false};

int number(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

[[noreturn]] void disallowed(const char* what) {
  std::fprintf(stderr, "*** %s\n*** This is disallowed by the MPI standard.\n*** Your MPI job will now abort.\n", what);
  _exit(1);
}

}  // namespace

extern "C" {

int MPI_Init_thread(int*, char***, int required, int* provided) {
  if (finalized) disallowed("The MPI_Init_thread() function was called after MPI_FINALIZE was invoked.");
  if (initialized.exchange(true)) disallowed("The MPI_Init_thread() function was called twice.");
  // Open MPI's components, which it loads, look for its symbols among the global ones.
  if (dlsym(dlopen(nullptr, RTLD_NOW), "MPI_Initialized") == nullptr) {
    std::fprintf(stderr,
                 "mca_base_component_repository_open: undefined symbol: libmpi was loaded without RTLD_GLOBAL\n");
    return MPI_ERR_OTHER;
  }
  *provided = required;
  return MPI_SUCCESS;
}

int MPI_Initialized(int* flag) {
  *flag = initialized ? 1 : 0;
  return MPI_SUCCESS;
}

int MPI_Finalized(int* flag) {
  *flag = finalized ? 1 : 0;
  return MPI_SUCCESS;
}

int MPI_Finalize(void) {
  if (!initialized) disallowed("The MPI_Finalize() function was called before MPI_INIT was invoked.");
  if (finalized.exchange(true)) disallowed("The MPI_Finalize() function was called after MPI_FINALIZE was invoked.");
  // So that a test sees that it came to this.
  const char* told = std::getenv("TRTGO_STANDIN_FINALIZED");
  if (told != nullptr) {
    std::FILE* file = std::fopen(told, "w");
    if (file != nullptr) std::fclose(file);
  }
  return MPI_SUCCESS;
}

int MPI_Abort(MPI_Comm, int status) {
  std::fprintf(stderr, "MPI_ABORT was invoked with errorcode %d.\n", status);
  _exit(status == 0 ? 1 : status);
}

int MPI_Comm_rank(MPI_Comm, int* rank) {
  *rank = number("OMPI_COMM_WORLD_RANK", 0);
  return MPI_SUCCESS;
}

int MPI_Comm_size(MPI_Comm, int* size) {
  *size = number("OMPI_COMM_WORLD_SIZE", 1);
  return MPI_SUCCESS;
}

}  // extern "C"
