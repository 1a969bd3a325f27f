// A request that runs: what upstream calls an LlmRequest.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "access.h"
#include "beams.h"
#include "decoder.h"
#include "kvcache.h"
#include "model.h"

namespace trtllm_standin {

using Clock = std::chrono::steady_clock;
using TensorPtr = std::shared_ptr<tensorrt_llm::runtime::ITensor>;

// CLOSING is between the last token and the end, for final responses without tokens.
enum class State { CONTEXT, GENERATION, CLOSING, COMPLETE };

struct ActiveRequest {
  ActiveRequest(tle::IdType id, const tle::Request& request, int32_t vocabSize, tle::DataType logitsType);

  const tle::Serialization::RequestImpl& request() const { return tle::Serialization::of(copy); }
  bool isChild() const { return sequence > 0; }
  bool finished() const { return state == State::COMPLETE; }
  bool timedOut() const;
  bool returnAll() const { return request().returnAllGeneratedTokens || decoding.beamWidth > 1; }
  int32_t generated() const { return static_cast<int32_t>(tokens[0].size()) - promptLen; }
  uint64_t salt() const { return request().cacheSaltID.value_or(0); }

  // Another sequence of the same request.
  std::shared_ptr<ActiveRequest> child(tle::IdType childId, int32_t index) const;
  void finish(tle::FinishReason why);
  // What a request loses that is cancelled or late.
  void clearGenerated();
  // The response to what is new, or none.
  std::optional<tle::Response> respond(int64_t atLeast, std::optional<int64_t> otherReason);

  const tle::IdType id;
  tle::IdType parent;  // whose id responses have
  const tle::Request copy;
  const tle::DataType logitsType;
  Decoding decoding;
  const int32_t promptLen;
  int32_t maxNewTokens;
  int32_t sequence = 0;
  std::shared_ptr<std::vector<bool>> sequencesFinal;

  State state = State::CONTEXT;
  bool started = false;
  std::vector<std::vector<int32_t>> tokens;  // of each beam, the prompt too
  History history;
  std::optional<BeamSearch> search;
  int32_t contextPosition = 0, reusedTokens = 0;
  int32_t sentLen;
  float topP;
  std::vector<std::vector<float>> logProbs;
  std::vector<float> cumLogProbs;
  std::vector<tle::FinishReason> reasons;
  TensorPtr contextLogits, generationLogits;
  KvCache::Share share;
  int32_t decodingIter = 0;
  bool scheduled = false;
  tle::RequestPerfMetrics perf;

 private:
  tle::Tensor newGenerationLogits(int32_t start, int32_t number, int32_t beams) const;
};

}  // namespace trtllm_standin
