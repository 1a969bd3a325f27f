#include "activerequest.h"

#include <algorithm>

namespace trtllm_standin {

ActiveRequest::ActiveRequest(tle::IdType id, const tle::Request& request, int32_t vocabSize, tle::DataType logitsType)
    : id(id),
      parent(id),
      copy(request),
      logitsType(logitsType),
      decoding(copy, vocabSize, logitsType),
      promptLen(static_cast<int32_t>(this->request().inputTokenIds.size())),
      maxNewTokens(this->request().maxTokens),
      tokens(static_cast<size_t>(decoding.beamWidth), this->request().inputTokenIds),
      sentLen(promptLen),
      topP(decoding.topP),
      logProbs(static_cast<size_t>(decoding.beamWidth)),
      cumLogProbs(static_cast<size_t>(decoding.beamWidth)),
      reasons(static_cast<size_t>(decoding.beamWidth), tle::FinishReason::kNOT_FINISHED) {}

bool ActiveRequest::timedOut() const {
  const auto& allotted = request().allottedTimeMs;
  return allotted && Clock::now() - perf.timingMetrics.arrivalTime > *allotted;
}

std::shared_ptr<ActiveRequest> ActiveRequest::child(tle::IdType childId, int32_t index) const {
  auto other = std::make_shared<ActiveRequest>(childId, copy, decoding.vocabSize, logitsType);
  other->parent = id;
  other->sequence = index;
  other->decoding.seed += static_cast<uint64_t>(index);
  other->maxNewTokens = maxNewTokens;
  other->sequencesFinal = sequencesFinal;
  other->perf = perf;
  return other;
}

void ActiveRequest::finish(tle::FinishReason why) {
  state = State::COMPLETE;
  for (auto& reason : reasons) {
    if (reason == tle::FinishReason::kNOT_FINISHED) reason = why;
  }
}

void ActiveRequest::clearGenerated() {
  for (auto& beam : tokens) beam.resize(static_cast<size_t>(promptLen));
}

// Streaming: rows since the last response, of which a request that lost its tokens has a negative number, as upstream
// has by its arithmetic. Otherwise all of the returned beams.
tle::Tensor ActiveRequest::newGenerationLogits(int32_t start, int32_t number, int32_t beams) const {
  using tensorrt_llm::runtime::ITensor;
  if (request().streaming) {
    return tle::Serialization::tensor(std::make_shared<ITensor>(*generationLogits, start - promptLen, number));
  }
  return tle::Serialization::tensor(std::make_shared<ITensor>(*generationLogits, 0, beams));
}

std::optional<tle::Response> ActiveRequest::respond(int64_t atLeast, std::optional<int64_t> otherReason) {
  const bool streaming = request().streaming;
  if (!finished() && !(streaming && (state == State::GENERATION || state == State::CLOSING))) return std::nullopt;
  int32_t longest = 0;
  for (const auto& beam : tokens) longest = std::max(longest, static_cast<int32_t>(beam.size()));
  const auto tokensOut = [&](int32_t length) {
    if (!streaming) return length - (request().output.excludeInputFromOutput ? promptLen : 0);
    return returnAll() ? length - promptLen : length - sentLen;
  };
  const int32_t most = tokensOut(longest), start = longest - most;
  if (!finished() && (longest <= sentLen || (longest - sentLen < atLeast && state != State::CLOSING)))
    return std::nullopt;

  tle::Result result;
  result.sequenceIndex = sequence;
  result.isSequenceFinal = finished();
  (*sequencesFinal)[static_cast<size_t>(sequence)] = finished();
  result.isFinal = std::all_of(sequencesFinal->begin(), sequencesFinal->end(), [](bool ended) { return ended; });
  const auto beams = static_cast<size_t>(request().sampling.getNumReturnBeams());
  result.outputTokenIds.resize(beams);
  for (size_t beam = 0; beam < beams; beam++) {
    const int32_t number = tokensOut(static_cast<int32_t>(tokens[beam].size()));
    if (number <= 0) continue;
    const int32_t* first = tokens[beam].data() + start;
    result.outputTokenIds[beam].assign(first, first + number);
  }
  if (request().output.returnLogProbs) {
    result.cumLogProbs = tle::VecLogProbs(cumLogProbs.begin(), cumLogProbs.begin() + static_cast<ptrdiff_t>(beams));
    result.logProbs = std::vector<tle::VecLogProbs>(logProbs.begin(), logProbs.begin() + static_cast<ptrdiff_t>(beams));
  }
  if (request().output.returnContextLogits) result.contextLogits = tle::Serialization::tensor(contextLogits);
  if (generationLogits != nullptr) {
    result.generationLogits = newGenerationLogits(start, most, static_cast<int32_t>(beams));
  }
  if (request().output.returnPerfMetrics) {
    auto& cache = perf.kvCacheMetrics;
    const int32_t asked = cache.numReusedBlocks + cache.numMissedBlocks;
    cache.kvCacheHitRate = asked == 0 ? 0 : static_cast<float>(cache.numReusedBlocks) / static_cast<float>(asked);
    result.requestPerfMetrics = perf;
  }
  result.finishReasons.assign(reasons.begin(), reasons.begin() + static_cast<ptrdiff_t>(beams));
  if (finished() && otherReason) {
    std::fill(result.finishReasons.begin(), result.finishReasons.end(), static_cast<tle::FinishReason>(*otherReason));
  }
  result.decodingIter = decodingIter;
  result.avgDecodedTokensPerIter =
      decodingIter == 0 ? 0.f : static_cast<float>(generated()) / static_cast<float>(decodingIter);
  sentLen = longest;
  return tle::Response(parent, std::move(result), request().clientId);
}

}  // namespace trtllm_standin
