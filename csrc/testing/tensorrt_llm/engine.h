// The engine: what config.json says of it, and a step over the requests that run.
#pragma once

#include <chrono>
#include <filesystem>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "access.h"
#include "activerequest.h"
#include "kvcache.h"
#include "script.h"

namespace trtllm_standin {

// Numbers of config.json, each with what the toy of internal/executor/executortest has where it is not there.
struct EngineConfig {
  // Upstream's texts for what is missing.
  static EngineConfig read(const std::filesystem::path& directory, int32_t rank);

  int32_t vocabSize = 97, maxSeqLen = 192, maxBatchSize = 8, maxNumTokens = 48, maxBeamWidth = 4, tokensPerBlock = 8;
  int32_t worldSize = 1;
  bool gatherContextLogits = false;
  tle::DataType logitsType = tle::DataType::kFP32;

  // Logits have columns for no token, which must never be chosen.
  int32_t vocabSizePadded() const { return (vocabSize / 8 + 1) * 8; }
};

using ActiveRequests = std::list<std::shared_ptr<ActiveRequest>>;

class Engine {
 public:
  Engine(const EngineConfig& engine, const tle::ExecutorConfig& config, std::shared_ptr<const Script> script);

  // Makes a request ready to run, or throws what is wrong with it.
  std::shared_ptr<ActiveRequest> admit(tle::IdType id, const tle::Request& request);
  // Starts a step of what can run, and waits for its end. Requests are then as after it.
  void forwardAsync(const ActiveRequests& active);
  void forwardSync();
  // Gives the request's blocks back.
  void terminate(ActiveRequest& request);

  int32_t maxNumActive() const { return maxBatchSize_; }
  int32_t operatingBeamWidth() const { return operatingBeamWidth_; }
  void resetStatistics() { flight_ = {}; }
  void statistics(tle::IterationStats& stats) const;
  tle::IterationType iteration() const { return iteration_; }
  int64_t steps() const { return steps_; }

 private:
  void admitLogits(ActiveRequest& request) const;
  TensorPtr newLogits(std::vector<int64_t> dims) const;
  bool begin(ActiveRequest& request);
  void prefill(ActiveRequest& request, int32_t& budget);
  void decode(ActiveRequest& request);

  const EngineConfig engine_;
  const std::shared_ptr<const Script> script_;
  const bool normalizeLogProbs_, gatherGenerationLogits_, chunked_;
  const int32_t maxBatchSize_, maxNumTokens_, maxBeamWidth_;
  KvCache cache_;
  int32_t maxSeqLen_, maxInputLen_, operatingBeamWidth_ = 0;
  tle::IterationType iteration_ = 0;
  int64_t steps_ = 0, requests_ = 0;
  tle::InflightBatchingStats flight_{};
};

}  // namespace trtllm_standin
