// The functions of trtgo.h that run engines, with TensorRT-LLM.
#include "executor.h"

#if TRTGO_HAS_EXECUTOR

#include "guard.h"

using trtgo::tensorrt::guard;
using trtgo::tensorrt::need;
using trtgo::tensorrt::take;

int32_t trtgo_executor_open(trtgo_library* library, const trtgo_executor_options* options, trtgo_executor** out,
                            trtgo_error** error) {
  return guard(__func__, error, [&] {
    const char* const entry = "trtgo_executor_open";
    need(library, entry, "the library");
    need(out, entry, "the place for the executor");
    *out = nullptr;
    *out = new trtgo_executor{trtgo::tensorrt::Executor(library->library, take(options, entry))};
  });
}

int32_t trtgo_executor_is_leader(const trtgo_executor* executor) {
  return executor != nullptr && executor->executor.leader() ? 1 : 0;
}

int32_t trtgo_executor_enqueue(trtgo_executor* executor, const trtgo_request* request, uint64_t* id,
                               trtgo_error** error) {
  return guard(__func__, error, [&] {
    const char* const entry = "trtgo_executor_enqueue";
    need(executor, entry, "the executor");
    need(id, entry, "the place for the id");
    *id = executor->executor.enqueue(take(request, entry));
  });
}

int32_t trtgo_executor_cancel(trtgo_executor* executor, uint64_t id, trtgo_error** error) {
  return guard(__func__, error, [&] {
    need(executor, "trtgo_executor_cancel", "the executor");
    executor->executor.cancel(id);
  });
}

int32_t trtgo_executor_await(trtgo_executor* executor, int32_t timeout_ms, trtgo_outputs** batch,
                             const trtgo_output** list, int32_t* num, trtgo_error** error) {
  return guard(__func__, error, [&] {
    const char* const entry = "trtgo_executor_await";
    need(executor, entry, "the executor");
    need(batch, entry, "the place for the batch");
    need(list, entry, "the place for the list");
    need(num, entry, "the place for the number");
    *batch = nullptr;
    *list = nullptr;
    *num = 0;
    std::unique_ptr<trtgo_outputs> outputs = executor->executor.await(timeout_ms);
    if (outputs == nullptr) return;
    *list = outputs->list.data();
    *num = static_cast<int32_t>(outputs->list.size());
    *batch = outputs.release();
  });
}

void trtgo_outputs_free(trtgo_outputs* batch) {
  guard(__func__, nullptr, [&] { delete batch; });
}

int32_t trtgo_executor_stats(trtgo_executor* executor, int32_t requests, const char** json, trtgo_error** error) {
  return guard(__func__, error, [&] {
    need(executor, "trtgo_executor_stats", "the executor");
    need(json, "trtgo_executor_stats", "the place for the text");
    *json = nullptr;
    *json = executor->executor.stats(requests != 0);
  });
}

int32_t trtgo_executor_drain(trtgo_executor* executor, trtgo_error** error) {
  return guard(__func__, error, [&] {
    need(executor, "trtgo_executor_drain", "the executor");
    executor->executor.drain();
  });
}

int32_t trtgo_executor_shutdown(trtgo_executor* executor, trtgo_error** error) {
  return guard(__func__, error, [&] {
    need(executor, "trtgo_executor_shutdown", "the executor");
    executor->executor.shutdown();
  });
}

void trtgo_executor_free(trtgo_executor* executor) {
  guard(__func__, nullptr, [&] { delete executor; });
}

int32_t trtgo_finalize(trtgo_error** error) {
  return guard(__func__, error, [] { trtgo::tensorrt::finalize(); });
}

#endif  // TRTGO_HAS_EXECUTOR
