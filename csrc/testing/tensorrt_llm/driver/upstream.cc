// The stand-in by itself: that it has the ways of TensorRT-LLM which the shim has to live with.
#include <chrono>
#include <stdexcept>
#include <thread>

#include "../include/tensorrt_llm/executor/executor.h"
#include "../include/tensorrt_llm/plugins/api/tllmPlugin.h"
#include "session.h"

namespace trtgo {
namespace testing {
namespace {

using namespace tensorrt_llm::executor;
using std::chrono::milliseconds;

// What a call throws; empty for nothing.
template <class Call>
std::string thrown(Call call) {
  try {
    call();
  } catch (const std::out_of_range&) {
    return "out_of_range";
  } catch (const std::exception& exception) {
    return exception.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Request request(std::vector<int32_t> prompt, int32_t max_tokens, bool streaming, int32_t beam_width = 1) {
  Request r(std::move(prompt), max_tokens, streaming);
  SamplingConfig sampling(beam_width);
  sampling.setTopK(1);
  r.setSamplingConfig(sampling);
  return r;
}

// All responses of a request, in order.
std::vector<Response> all(Executor& executor, IdType id) {
  std::vector<Response> list;
  while (list.empty() || !(list.back().hasError() || list.back().getResult().isFinal)) {
    for (Response& response : executor.awaitResponses(id, milliseconds(100))) list.push_back(std::move(response));
  }
  return list;
}

void test_waiting(Executor& executor, Tally& tally) {
  tally.require(executor.awaitResponses(milliseconds(1)).empty(), "nothing in time is nothing");
  const IdType id = executor.enqueueRequest(request({1, 2, 3}, 3, true));
  tally.require(id == 1, "ids begin at 1");
  const auto responses = all(executor, id);
  tally.require(responses.size() == 3 && responses[0].getResult().outputTokenIds[0].size() == 1,
                "tokens are incremental");
  // A bare number chooses the overload for one id, which has ended: an error at once.
  const auto again = executor.awaitResponses(1);
  tally.require(again.size() == 1 && has(again[0].getErrorMsg(), "has already been processed"),
                "a taken id is an error");
  tally.require(has(thrown([&] { static_cast<void>(again[0].getResult()); }), "has an error"), "getResult of an error");
  tally.require(!thrown([&] { static_cast<void>(responses[0].getErrorMsg()); }).empty(), "getErrorMsg without one");
  tally.require(executor.awaitResponses(IdType{77}, milliseconds(5)).empty(), "an id that never was is waited for");
  tally.require(executor.getNumResponsesReady() == 0, "nothing is ready");
}

void test_results(Executor& executor, Tally& tally) {
  Request r = request({1, 2, 3}, 500, false);
  IdType id = executor.enqueueRequest(r);
  auto tokens = all(executor, id).back().getResult().outputTokenIds[0];
  tally.require(tokens.size() == 192 && tokens[0] == 1,
                "too many tokens are cut to fit, and the prompt is in the output");

  r = request({1, 2, 3}, 4, true);
  OutputConfig output;
  output.returnLogProbs = output.returnContextLogits = output.excludeInputFromOutput = true;
  r.setOutputConfig(output);
  const auto responses = all(executor, executor.enqueueRequest(r));
  for (size_t i = 0; i < responses.size(); i++) {
    const Result& result = responses[i].getResult();
    tally.require(result.logProbs->at(0).size() == i + 1, "log-probs are cumulative");
    tally.require(result.contextLogits.has_value(), "context logits are in every response");
  }
  output.returnGenerationLogits = true;
  r.setOutputConfig(output);
  const auto refused = all(executor, executor.enqueueRequest(r));
  tally.require(has(refused[0].getErrorMsg(), "gather_generation_logits must be enabled"),
                "logits that are not gathered");

  // Three sequences of one request answer under its id.
  r = request({5, 6}, 2, false);
  SamplingConfig sampling = r.getSamplingConfig();
  sampling.setNumReturnSequences(3);
  r.setSamplingConfig(sampling);
  id = executor.enqueueRequest(r);
  std::vector<Response> list;
  while (list.size() < 3) {
    for (Response& response : executor.awaitResponses(id, milliseconds(100))) list.push_back(std::move(response));
  }
  int finals = 0;
  for (const Response& response : list) finals += response.getResult().isFinal ? 1 : 0;
  tally.require(finals == 1 && executor.enqueueRequest(request({1}, 1, false)) == id + 3, "children take ids");
}

// A request of another beam width waits until the batch is empty, whatever comes behind it; priority goes first.
void test_scheduling(Executor& executor, Tally& tally) {
  const IdType running = executor.enqueueRequest(request({1, 2}, 100, false));
  const IdType beams = executor.enqueueRequest(request({1, 2}, 2, false, 2));
  const IdType behind = executor.enqueueRequest(request({3}, 1, false));
  Request urgent = request({4}, 1, false);
  urgent.setPriority(0.9f);
  const IdType first = executor.enqueueRequest(urgent);
  std::vector<IdType> order;
  while (order.size() < 4) {
    for (const Response& response : executor.awaitResponses(milliseconds(100))) {
      const IdType id = response.getRequestId();
      if (id >= running && id <= first) order.push_back(id);
    }
  }
  tally.require(order == std::vector<IdType>{first, running, beams, behind}, "beam widths do not mix");
}

void test_ending(Executor& executor, Tally& tally) {
  const IdType id = executor.enqueueRequest(request({9}, 50, true));
  const auto responses = all(executor, id);
  tally.require(responses.size() == 50, "a response for each token");
  const int64_t before = calls_of("Executor::awaitResponses of one");
  std::string waited;
  std::thread waits([&] { waited = thrown([&] { static_cast<void>(executor.awaitResponses(IdType{4711})); }); });
  while (calls_of("Executor::awaitResponses of one") <= before) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(100));                           // it waits by now
  tally.require(executor.getNumResponsesReady() == 0, "nothing is ready");  // by the same lock
  executor.shutdown();
  waits.join();
  tally.require(waited == "out_of_range" || has(waited, "Shutdown called"), "a wait for one id ends badly: " + waited);
  for (const std::string& what :
       {thrown([&] { static_cast<void>(executor.awaitResponses(milliseconds(1))); }),
        thrown([&] { static_cast<void>(executor.enqueueRequest(request({1}, 1, false))); }),
        thrown([&] { executor.cancelRequest(1); }), thrown([&] { executor.getLatestIterationStats(); })}) {
    tally.require(has(what, "Shutdown called") && has(what, "\n"), "calls after shutdown throw, with a stack trace");
  }
  tally.require(!executor.canEnqueueRequests() && executor.isParticipant(), "but for two");
  executor.shutdown();
}

}  // namespace

void test_upstream(const Places& places, Tally& tally) {
  const auto open = [&](const ExecutorConfig& config) {
    return std::make_unique<Executor>(places.engine, ModelType::kDECODER_ONLY, config);
  };
  tally.require(has(thrown([&] { open(ExecutorConfig()); }), "Failed to deserialize"),
                "without plugins there is no engine");
  tally.require(initTrtLlmPlugins() && initTrtLlmPlugins(), "plugins may be registered twice");
  ExecutorConfig config;
  config.setBatchingType(BatchingType::kSTATIC);
  tally.require(!thrown([&] { open(config); }).empty(), "static batching is gone");
  config.setBatchingType(BatchingType::kINFLIGHT);
  config.setMaxBeamWidth(2);
  tally.require(has(thrown([&] { OrchestratorConfig(); }), "workerExecutablePath"), "an orchestrator needs a worker");
  trtllm_standin_script("step_us=200");
  const auto executor = open(config);
  test_waiting(*executor, tally);
  test_results(*executor, tally);
  test_scheduling(*executor, tally);
  test_ending(*executor, tally);
  trtllm_standin_script(nullptr);
}

}  // namespace testing
}  // namespace trtgo
