// What requests give, and the life of an executor.
#include <algorithm>
#include <cmath>
#include <thread>

#include "session.h"

namespace trtgo {
namespace testing {
namespace {

// What the toy gives greedily after 1, 2, 3, ..., 10; executortest.Greedy says the same.
const std::vector<int32_t> kPrompt = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
const std::vector<int32_t> kGreedy = {26, 89, 86, 53, 47};

Ask ask_greedy(bool streaming, int32_t max_tokens = 5) {
  Ask ask;
  ask.tokens = kPrompt;
  ask.max_tokens = max_tokens;
  ask.settings = greedy(streaming);
  return ask;
}

void test_tokens(const Places& places, Tally& tally) {
  Session session(places);
  for (const bool streaming : {true, false}) {
    const Got got = session.run(ask_greedy(streaming));
    tally.require(got.tokens == kGreedy, "greedy tokens");
    tally.require(got.reason == 3 && got.final && got.finals == 1, "ends by length");
    tally.require(got.outputs == (streaming ? 5 : 1), "outputs: " + std::to_string(got.outputs));
    tally.require(got.client == 7 && got.num_beams == 1, "client id and beams");
    tally.require(got.log_probs.empty() && got.scheduled == -1 && got.reused_blocks == -1, "nothing unasked");
  }
  Ask ask = ask_greedy(true);
  ask.settings.number("endId", kGreedy[2]);
  Got got = session.run(ask);
  tally.require(got.tokens == std::vector<int32_t>(kGreedy.begin(), kGreedy.begin() + 2) && got.reason == 1, "end id");
  ask = ask_greedy(true);
  ask.settings.numbers("stopWords", {2, kGreedy[1], kGreedy[2], 1, 96});
  got = session.run(ask);
  tally.require(got.tokens == std::vector<int32_t>(kGreedy.begin(), kGreedy.begin() + 3) && got.reason == 2,
                "stop word");
  ask = ask_greedy(false);
  ask.settings.numbers("badWords", {1, kGreedy[0]});
  tally.require(session.run(ask).tokens[0] != kGreedy[0], "bad word");
  ask = ask_greedy(false);
  ask.bias.assign(97, 0.f);
  ask.bias[42] = 1000;
  tally.require(session.run(ask).tokens == std::vector<int32_t>(5, 42), "embedding bias");
}

// Each setting of a request changes what it should, so it arrives.
void test_settings(const Places& places, Tally& tally) {
  Session session(places, Settings().number("maxBeamWidth", 2));
  const auto tokens = [&](const Settings& settings) {
    Ask ask;
    ask.tokens = kPrompt;
    ask.max_tokens = 40;
    ask.settings = settings;
    return session.run(ask).tokens;
  };
  const auto sampled = [] {
    Settings s;
    s.number("streaming", 1).real("topP", 1).number("seed", 5);
    return s;
  };
  const auto plain = tokens(sampled());
  tally.require(plain == tokens(sampled()), "a seed repeats");
  const auto differs = [&](const char* name, const Settings& settings) {
    tally.require(tokens(settings) != plain, std::string(name) + " changes nothing");
  };
  differs("seed", Settings().number("streaming", 1).real("topP", 1).number("seed", 6));
  differs("topK", sampled().number("topK", 3));
  differs("topP", Settings().number("streaming", 1).real("topP", 0.3f).number("seed", 5));
  differs("topPDecay", sampled().real("topPDecay", 0.5f).real("topPMin", 0.01f));
  differs("minP", sampled().real("minP", 0.3f));
  differs("temperature", sampled().real("temperature", 2.f));
  differs("repetitionPenalty", sampled().real("repetitionPenalty", 3.f));
  differs("presencePenalty", sampled().real("presencePenalty", 5.f));
  differs("frequencyPenalty", sampled().real("frequencyPenalty", 5.f));
  const auto penalised = tokens(sampled().real("presencePenalty", 5.f));
  tally.require(tokens(sampled().real("presencePenalty", 5.f).number("promptIgnoreLength", 10)) != penalised,
                "promptIgnoreLength changes nothing");
  differs("noRepeatNgramSize", sampled().number("noRepeatNgramSize", 1));
  tally.require(tokens(greedy().number("endId", kGreedy[0])).empty(), "the first token ends it");
  tally.require(tokens(greedy().number("endId", kGreedy[0]).number("minTokens", 6)).size() >= 6, "minTokens");
  const auto late = tokens(greedy().number("allottedTimeMs", 100000));
  tally.require(late.size() == 40, "allottedTimeMs");
  for (const char* name : {"nothing", "topk", "TopK", ""}) {
    Ask ask;
    ask.settings.number(name, 1);
    uint64_t id = 99;
    Error error;
    const int32_t status = session.enqueue(ask, &id, error);
    tally.require(status == TRTGO_INVALID && error.fits(status) && id == 99, "an unknown setting");
    tally.require(error.text().find(name) != std::string::npos, "is named: " + error.text());
  }
  Ask ask;
  ask.settings.real("topK", 1);
  uint64_t id = 99;
  Error error;
  tally.require(session.enqueue(ask, &id, error) == TRTGO_INVALID && id == 99, "a setting of another type");
}

void test_beams(const Places& places, Tally& tally) {
  Session session(places, Settings().number("maxBeamWidth", 3).number("gatherGenerationLogits", 1));
  Ask ask;
  ask.tokens = kPrompt;
  ask.settings.number("beamWidth", 3)
      .number("numReturnSequences", 2)
      .number("returnLogProbs", 1)
      .number("returnGenerationLogits", 1);
  const uint64_t id = session.enqueue(ask);
  Results results = session.wait({id});
  tally.require(results[id].size() == 2, "two of three beams");
  for (const auto& [beam, got] : results[id]) {
    tally.require(got.tokens.size() == 4 && got.num_beams == 2 && got.final, "a beam");
    float sum = 0;
    for (const float p : got.log_probs) sum += p;
    tally.within(got.cum_log_prob, sum, 1e-4, "a beam's score");
  }
  tally.require(results[id][0].cum_log_prob >= results[id][1].cum_log_prob, "the best is the first");
  tally.require(results[id][0].tokens != results[id][1].tokens, "beams differ");
}

}  // namespace

void test_behaviour(const Places& places, Tally& tally) {
  test_tokens(places, tally);
  test_settings(places, tally);
  test_beams(places, tally);
}

void test_outputs(const Places& places, Tally& tally) {
  trtllm_standin_script("step_us=300");  // so that a cancel comes in time
  Session session(places, Settings().number("gatherGenerationLogits", 1).number("requestStatsMaxIterations", 100));
  const auto ask_all = [](bool streaming) {
    Ask ask = ask_greedy(streaming);
    ask.settings.number("returnLogProbs", 1)
        .number("returnContextLogits", 1)
        .number("returnGenerationLogits", 1)
        .number("returnPerfMetrics", 1)
        .number("cacheSaltID", streaming ? 1 : 2);
    return ask;
  };
  Got whole = session.run(ask_all(false)), streamed = session.run(ask_all(true));
  tally.require(streamed.log_probs == whole.log_probs && whole.log_probs.size() == 5,
                "log-probs are of all tokens so far");
  tally.require(streamed.logits == whole.logits && whole.logits.size() == 5, "logits of each token");
  tally.require(streamed.context_logits == whole.context_logits && whole.context_logits.size() == 10, "context logits");
  for (size_t i = 0; i < whole.logits.size(); i++) {
    auto row = whole.logits[i];
    tally.require(row.size() > 97, "rows are padded");
    row.resize(97);
    const auto best = std::max_element(row.begin(), row.end());
    tally.require(best - row.begin() == whole.tokens[i], "the largest logit");
    double sum = 0;
    for (const float logit : row) sum += std::exp(static_cast<double>(logit));
    tally.within(static_cast<double>(*best) - std::log(sum), whole.log_probs[i], 1e-5, "a log-prob");
  }
  tally.require(whole.scheduled >= 0 && whole.first_token >= whole.scheduled && whole.last_token >= whole.first_token,
                "times");
  tally.require(whole.reused_blocks == 0, "another salt reuses nothing");
  Got again = session.run(ask_all(true));
  tally.require(again.reused_blocks == 1 && again.tokens == kGreedy, "a block is reused");
  tally.require(again.context_logits.size() == 2, "and its rows are not there");

  const std::string iterations = session.stats(false), requests = session.stats(true);
  tally.require(iterations.front() == '[' && iterations.back() == ']' &&
                    iterations.find("\"kvCacheStats\":{") != std::string::npos,
                "iteration statistics");
  tally.require(requests.find("\"GENERATION_COMPLETE\"") != std::string::npos, "request statistics");
  tally.require(session.stats(false) == "[]" && session.stats(true) == "[]", "are given once");

  // A cancelled stream: its last output has no tokens, and of logits upstream makes a negative number of rows.
  Ask ask = ask_all(true);
  ask.max_tokens = 170;
  const uint64_t id = session.enqueue(ask);
  Results results;
  Error error;
  while (results.count(id) == 0) tally.require(session.await(100, results, error) == TRTGO_OK, "await");
  tally.require(trtgo_executor_cancel(session.executor(), id, error.out()) == TRTGO_OK, "cancel");
  while (!results[id][0].final) tally.require(session.await(100, results, error) == TRTGO_OK, "await the end");
  tally.require(results[id][0].reason == 5 && results[id][0].logits.size() == results[id][0].tokens.size(),
                "cancelled");

  trtllm_standin_script(nullptr);
  // Bad requests have an error.
  ask = Ask();
  ask.tokens.assign(300, 1);
  const Got failed = session.run(ask);
  tally.require(failed.final && failed.error.find("300") != std::string::npos && failed.client == 7,
                "too long a prompt");
  ask = Ask();
  ask.settings.number("endId", 500);
  tally.require(!session.run(ask).error.empty(), "an end id outside of the vocabulary");
}

void test_life(const Places& places, Tally& tally) {
  Error error;
  trtgo_library* library = nullptr;
  trtgo_executor* executor = nullptr;
  {
    Session session(places, Settings().number("maxQueueSize", 1));
    tally.require(trtgo_executor_is_leader(session.executor()) == 1, "the only process leads");
    tally.require(Session::open(places, Settings(), &library, &executor, error) == TRTGO_INVALID && executor == nullptr,
                  "there is one executor at a time");
    tally.require(trtgo_finalize(error.out()) == TRTGO_INVALID, "MPI lives as long as an executor");
    tally.require(trtgo_executor_shutdown(session.executor(), error.out()) == TRTGO_INVALID, "shutdown before drain");
    Ask ask = ask_greedy(true, 100);
    const uint64_t id = session.enqueue(ask);
    uint64_t refused = id;
    // More than can run and wait: upstream says so when it is asked.
    int32_t status = TRTGO_OK;
    std::vector<uint64_t> ids = {id};
    for (int i = 0; i < 1000 && status == TRTGO_OK; i++) {
      status = session.enqueue(ask, &refused, error);
      if (status == TRTGO_OK) ids.push_back(refused);
    }
    tally.require(
        status == TRTGO_INVALID && refused == ids.back() && error.text().find("queue size") != std::string::npos,
        "the queue is full, and no id is written: " + error.text());
    tally.require(trtgo_executor_drain(session.executor(), error.out()) == TRTGO_OK, "drain");
    tally.require(trtgo_executor_drain(session.executor(), error.out()) == TRTGO_OK, "drain again");
    status = session.enqueue(ask, &refused, error);
    tally.require(status == TRTGO_CLOSED && error.fits(status), "no requests after drain");
    const Results results = session.close();
    for (const uint64_t one : ids) {
      const auto at = results.find(one);
      tally.require(at != results.end() && at->second.at(0).final && at->second.at(0).finals == 1, "each has its end");
    }
  }
  {  // What was freed without more ado is shut down.
    Session session(places);
    session.enqueue(ask_greedy(true, 150));
    trtgo_executor_free(session.release());
  }
  Places elsewhere = places;
  elsewhere.engine = places.scratch + "/nowhere";
  tally.require(Session::open(elsewhere, Settings(), &library, &executor, error) == TRTGO_INVALID &&
                    error.text().find("nowhere") != std::string::npos,
                "an engine that is not there: " + error.text());
  trtllm_standin_script("version=1.3.0");
  tally.require(Session::open(places, Settings(), &library, &executor, error) == TRTGO_VERSION &&
                    error.text().find("1.3.0") != std::string::npos && error.text().find("1.2.1") != std::string::npos,
                "another release: " + error.text());
  trtllm_standin_script(nullptr);
  for (const char* name : {"maxBeamWidth", "freeGpuMemoryFraction", "workerExecutablePath"}) {
    Settings settings;
    if (std::string(name) == "maxBeamWidth") settings.number(name, 0);
    if (std::string(name) == "freeGpuMemoryFraction") settings.real(name, 1.5f);
    if (std::string(name) == "workerExecutablePath") settings.text(name, "/nowhere");
    tally.require(Session::open(places, settings, &library, &executor, error) == TRTGO_INVALID, name);
  }
  {  // Every setting of trtgo.h is known.
    Settings all;
    for (const char* name :
         {"maxBeamWidth", "maxBatchSize", "maxNumTokens", "maxQueueSize", "iterStatsMaxIterations",
          "requestStatsMaxIterations", "maxSeqIdleMicroseconds", "enableChunkedContext", "gatherGenerationLogits",
          "enableBlockReuse", "maxTokens", "hostCacheSize", "numNodes", "multiBlockMode", "cudaGraphMode",
          "cudaGraphCacheSize", "contextFMHAFP32Acc", "recvPollPeriodMs"}) {
      all.number(name, 1);
    }
    all.numbers("maxAttentionWindow", {64}).numbers("deviceIds", {0}).numbers("participantIds", {0});
    all.real("freeGpuMemoryFraction", 0.5f)
        .real("gpuWeightsPercent", 1)
        .text("capacitySchedulerPolicy", "MAX_UTILIZATION");
    Session session(places, all);
  }
  Session session(places, Settings().text("workerExecutablePath", places.self));
  tally.require(trtgo_executor_is_leader(session.executor()) == 1, "the orchestrator takes requests");
  tally.require(session.run(ask_greedy(true)).tokens == kGreedy, "and runs them");
}

}  // namespace testing
}  // namespace trtgo
