/* The thread on which executors are opened, shut down and freed, and MPI is ended.
 *
 * It is one of C, and lives as long as the process: MPI wants to be ended by the thread that started it, and CUDA
 * changes the thread which opens an executor, so that it must not be one on which Go runs other things. Nothing is
 * done to its signals: programs that MPI starts from it would inherit that. */
#ifndef TRTGO_THREAD_H
#define TRTGO_THREAD_H

#include "loader.h"

/* These call the functions of api on that thread, one after another, and return when they have: what comes out is
 * theirs. A negative status, with no error, is the errno of a thread that could not be started. */
int32_t trtgo_thread_open(const trtgo_api* api, trtgo_library* library, const trtgo_executor_options* options,
                          trtgo_executor** out, trtgo_error** error);
int32_t trtgo_thread_shutdown(const trtgo_api* api, trtgo_executor* executor, trtgo_error** error);
int32_t trtgo_thread_free(const trtgo_api* api, trtgo_executor* executor);
int32_t trtgo_thread_finalize(const trtgo_api* api, trtgo_error** error);

#endif /* TRTGO_THREAD_H */
