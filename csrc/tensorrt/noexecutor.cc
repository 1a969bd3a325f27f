// The functions of trtgo.h that run engines, in a library without TensorRT-LLM.
#include "guard.h"
#include "versions.h"

#if !TRTGO_HAS_EXECUTOR

namespace {

int32_t none(const char* entry, trtgo_error** error) {
  return trtgo::tensorrt::guard(entry, error,
                                [&] { throw trtgo::tensorrt::Failure(TRTGO_NOT_FOUND, entry, TRTGO_NO_EXECUTOR); });
}

}  // namespace

int32_t trtgo_executor_open(trtgo_library*, const trtgo_executor_options*, trtgo_executor** out, trtgo_error** error) {
  if (out != nullptr) *out = nullptr;
  return none(__func__, error);
}

int32_t trtgo_executor_is_leader(const trtgo_executor*) { return 0; }

int32_t trtgo_executor_enqueue(trtgo_executor*, const trtgo_request*, uint64_t*, trtgo_error** error) {
  return none(__func__, error);
}

int32_t trtgo_executor_cancel(trtgo_executor*, uint64_t, trtgo_error** error) { return none(__func__, error); }

int32_t trtgo_executor_await(trtgo_executor*, int32_t, trtgo_outputs** batch, const trtgo_output** list, int32_t* num,
                             trtgo_error** error) {
  if (batch != nullptr) *batch = nullptr;
  if (list != nullptr) *list = nullptr;
  if (num != nullptr) *num = 0;
  return none(__func__, error);
}

void trtgo_outputs_free(trtgo_outputs*) {}

int32_t trtgo_executor_stats(trtgo_executor*, int32_t, const char** json, trtgo_error** error) {
  if (json != nullptr) *json = nullptr;
  return none(__func__, error);
}

int32_t trtgo_executor_drain(trtgo_executor*, trtgo_error** error) { return none(__func__, error); }

int32_t trtgo_executor_shutdown(trtgo_executor*, trtgo_error** error) { return none(__func__, error); }

void trtgo_executor_free(trtgo_executor*) {}

int32_t trtgo_finalize(trtgo_error** error) { return none(__func__, error); }

#endif
