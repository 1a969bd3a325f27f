// Exceptions of every kind from every function of TensorRT-LLM that the shim calls, and memory that runs out in it.
#include <algorithm>

#include "../../nvinfer/memory.h"
#include "session.h"

namespace trtgo {
namespace testing {
namespace {

const uint64_t kUntouched = 987654321;

// Calls every function of trtgo.h, whatever each gives, and frees all. Tells of what breaks the rules, and of whether
// everything succeeded.
class Scenario {
 public:
  Scenario(const Places& places, std::string what, Tally& tally)
      : places_(places), what_(std::move(what)), tally_(tally) {}

  bool run() {
    Error error;
    trtgo_library* library = nullptr;
    trtgo_executor* executor = nullptr;
    Settings settings;
    settings.number("maxBeamWidth", 2).number("gatherGenerationLogits", 1).number("requestStatsMaxIterations", 5);
    settings.real("freeGpuMemoryFraction", 0.5f).number("multiBlockMode", 1).numbers("deviceIds", {0});
    settings.text("capacitySchedulerPolicy", "MAX_UTILIZATION");
    const std::string tensorrt = places_.libraries + "/libnvinfer.so";
    const std::string plugins = places_.libraries + "/libnvinfer_plugin_tensorrt_llm.so";
    trtgo_library_options library_options{};
    library_options.struct_size = sizeof library_options;
    library_options.tensorrt = tensorrt.c_str();
    int32_t status = in_shim([&] { return trtgo_library_open(&library_options, &library, error.out()); });
    check(status, error, "open the library");
    if (status != TRTGO_OK) return succeeded_;
    trtgo_executor_options options{};
    options.struct_size = sizeof options;
    options.engine_dir = places_.engine.c_str();
    options.plugins = plugins.c_str();
    options.settings = settings.data();
    options.num_settings = settings.size();
    status = in_shim([&] { return trtgo_executor_open(library, &options, &executor, error.out()); });
    check(status, error, "open");
    if (status != TRTGO_OK) {
      require(executor == nullptr, "a failing open gives no executor");
      trtgo_library_close(library);
      return succeeded_;
    }
    requests(executor);
    end(executor);
    trtgo_library_close(library);
    return succeeded_;
  }

 private:
  template <class Call>
  int32_t in_shim(Call call) {
    const InShim here;
    return call();
  }

  void require(bool ok, const std::string& rule) { tally_.require(ok, what_ + ": " + rule); }

  void check(int32_t status, const Error& error, const char* entry) {
    // An error may itself find no memory.
    require(error.fits(status) || (status == TRTGO_MEMORY), std::string(entry) + " gives a status and an error");
    if (status != TRTGO_OK && status != TRTGO_CLOSED) succeeded_ = false;
  }

  void requests(trtgo_executor* executor) {
    Ask ask;
    ask.bias.assign(97, 0.f);
    ask.settings = greedy();
    ask.settings.number("returnLogProbs", 1).number("returnContextLogits", 1).number("returnGenerationLogits", 1);
    ask.settings.number("returnPerfMetrics", 1).number("endId", 96).number("padId", 0).number("allottedTimeMs", 100000);
    ask.settings.number("cacheSaltID", 3).numbers("stopWords", {1, 95}).numbers("badWords", {2, 94, 93});
    ask.settings.real("topP", 0.9f).real("topPMin", 0.1f).real("topPDecay", 0.9f).number("topPResetIds", 5);
    ask.settings.real("minP", 0.01f).real("temperature", 0.9f).number("seed", 3).number("minTokens", 1);
    ask.settings.real("repetitionPenalty", 1.1f).real("presencePenalty", 0.1f).real("frequencyPenalty", 0.1f);
    ask.settings.number("promptIgnoreLength", 1).number("noRepeatNgramSize", 4).real("priority", 0.7f);
    ask.settings.number("beamWidth", 1).number("numReturnSequences", 1).real("lengthPenalty", 1);
    ask.settings.number("earlyStopping", 1).real("beamSearchDiversityRate", 0);
    Ask bad;
    bad.settings.number("endId", 500);
    Ask cancelled;
    cancelled.max_tokens = 150;
    cancelled.settings = greedy();
    cancelled.settings.number("returnGenerationLogits", 1);
    std::vector<uint64_t> ids;
    for (const Ask* one : {&ask, &bad, &cancelled}) {
      uint64_t id = kUntouched;
      Error error;
      const int32_t status = enqueue(executor, *one, &id, error);
      check(status, error, "enqueue");
      require((status == TRTGO_OK) == (id != kUntouched), "the id is written on success only");
      if (status == TRTGO_OK) ids.push_back(id);
    }
    Error error;
    if (!ids.empty())
      check(in_shim([&] { return trtgo_executor_cancel(executor, ids.back(), error.out()); }), error, "cancel");
    for (int left = 400; left > 0 && ended_ < ids.size(); left--) await(executor, error);
    require(ended_ == ids.size() || !succeeded_, "all end");
    for (const int32_t of_requests : {0, 1}) {
      const char* json = nullptr;
      const int32_t status = in_shim([&] { return trtgo_executor_stats(executor, of_requests, &json, error.out()); });
      check(status, error, "stats");
      require((status == TRTGO_OK) == (json != nullptr), "the text is there on success only");
    }
  }

  int32_t enqueue(trtgo_executor* executor, const Ask& ask, uint64_t* id, Error& error) {
    const trtgo_request request = ask.request();
    return in_shim([&] { return trtgo_executor_enqueue(executor, &request, id, error.out()); });
  }

  int32_t await(trtgo_executor* executor, Error& error) {
    trtgo_outputs* batch = nullptr;
    const trtgo_output* list = nullptr;
    int32_t num = 0;
    const int32_t status =
        in_shim([&] { return trtgo_executor_await(executor, 20, &batch, &list, &num, error.out()); });
    check(status, error, "await");
    require(status == TRTGO_OK || (batch == nullptr && num == 0), "a failing await gives nothing");
    for (int32_t i = 0; i < num; i++) ended_ += list[i].final != 0 ? 1 : 0;
    trtgo_outputs_free(batch);
    return status;
  }

  void end(trtgo_executor* executor) {
    Error error;
    check(in_shim([&] { return trtgo_executor_drain(executor, error.out()); }), error, "drain");
    int32_t status = TRTGO_OK;
    for (int left = 400; left > 0 && status != TRTGO_CLOSED; left--) status = await(executor, error);
    require(status == TRTGO_CLOSED || !succeeded_, "closed in the end");
    check(in_shim([&] { return trtgo_executor_shutdown(executor, error.out()); }), error, "shutdown");
    const InShim here;
    trtgo_executor_free(executor);
  }

  const Places& places_;
  const std::string what_;
  Tally& tally_;
  bool succeeded_ = true;
  size_t ended_ = 0;
};

// The entries that a scenario calls, and how often.
std::vector<std::pair<std::string, int64_t>> entries() {
  std::vector<std::pair<std::string, int64_t>> list;
  const char* name = nullptr;
  int64_t calls = 0;
  for (int32_t i = 0; trtllm_standin_entry(i, &name, &calls) != 0; i++) {
    if (calls > 0) list.emplace_back(name, calls);
  }
  return list;
}

}  // namespace

void test_throws(const Places& places, Tally& tally) {
  trtllm_standin_script("");
  tally.require(Scenario(places, "without faults", tally).run(), "everything succeeds without faults");
  const auto called = entries();
  tally.require(called.size() > 60, "the shim calls " + std::to_string(called.size()) + " functions");
  for (const char* needed :
       {"Executor::Executor", "Executor::enqueueRequest", "Executor::awaitResponses", "Executor::cancelRequest",
        "Executor::shutdown", "Executor::canEnqueueRequests", "Executor::getLatestIterationStats",
        "Executor::getLatestRequestStats", "initTrtLlmPlugins", "Response::getResult", "Response::getErrorMsg",
        "JsonSerialization::toJsonStr(IterationStats)", "JsonSerialization::toJsonStr(RequestStatsPerIteration)",
        "Tensor::getShape", "Request::Request", "SamplingConfig::SamplingConfig"}) {
    const bool found =
        std::any_of(called.begin(), called.end(), [&](const auto& entry) { return entry.first == needed; });
    tally.require(found, std::string("the scenario calls ") + needed);
  }
  int64_t later = 0;
  for (const auto& [entry, calls] : called) {
    for (const char* kind : {"int", "bad_alloc", "runtime", "range", "class"}) {
      const std::string throws = entry + "#1:" + kind;
      trtllm_standin_script(("throw=" + throws).c_str());
      const bool succeeded = Scenario(places, throws, tally).run();
      tally.require(trtllm_standin_thrown() == 1, throws + ": was thrown");
      tally.require(!succeeded || entry == "Executor::shutdown", throws + ": somebody is told");
    }
    // Later calls, of which there may be fewer this time, and every one.
    for (const std::string number : {"#2:runtime", "#3:int", "#0:bad_alloc"}) {
      if (calls < 3) continue;
      trtllm_standin_script(("throw=" + entry + number).c_str());
      Scenario(places, entry + number, tally).run();
      later += trtllm_standin_thrown();
    }
  }
  tally.require(later > 20, "later calls throw too");
  trtllm_standin_script("");
  tally.require(Scenario(places, "afterwards", tally).run(), "everything succeeds afterwards");
}

void test_memory(const Places& places, Tally& tally) {
  trtllm_standin_script("");
  tally.require(Scenario(places, "without faults", tally).run(), "everything succeeds without faults");
  int64_t n = 0;
  for (;; n++) {
    fail_allocation(n, trtllm_standin_inside);
    Scenario(places, "allocation " + std::to_string(n), tally).run();
    if (!fail_allocation(-1, trtllm_standin_inside)) break;
    tally.require(n < 20000, "allocations end");
  }
  tally.require(n > 60, "the shim allocates " + std::to_string(n) + " times");
  tally.require(Scenario(places, "afterwards", tally).run(), "everything succeeds afterwards");
}

}  // namespace testing
}  // namespace trtgo
