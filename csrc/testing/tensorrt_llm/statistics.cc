// Statistics as JSON, with the names and the order of upstream's: by name.
#include <cmath>
#include <cstdio>

#include "access.h"

namespace tensorrt_llm::executor {
namespace {

std::string text(double value) {
  char number[40];
  std::snprintf(number, sizeof number, "%.17g", value);
  return std::isfinite(value) ? number : "null";
}
std::string text(float value) { return text(static_cast<double>(value)); }
std::string text(SizeType32 value) { return std::to_string(value); }
std::string text(std::uint64_t value) { return std::to_string(value); }
std::string text(bool value) { return value ? "true" : "false"; }
std::string text(const std::string& value) { return '"' + value + '"'; }

std::string text(RequestStage stage) {
  switch (stage) {
    case RequestStage::kCONTEXT_IN_PROGRESS: return "\"CONTEXT_IN_PROGRESS\"";
    case RequestStage::kGENERATION_IN_PROGRESS: return "\"GENERATION_IN_PROGRESS\"";
    case RequestStage::kGENERATION_COMPLETE: return "\"GENERATION_COMPLETE\"";
    default: return "\"QUEUED\"";
  }
}

class Object {
 public:
  template <class T>
  Object& add(const char* name, const T& value) {
    return raw(name, text(value));
  }
  Object& raw(const char* name, const std::string& json) {
    body_ += (body_.empty() ? "\"" : ",\"") + std::string(name) + "\":" + json;
    return *this;
  }
  std::string json() const { return "{" + body_ + "}"; }

 private:
  std::string body_;
};

template <class T, class Json>
std::string optional(const std::optional<T>& value, Json json) {
  return value ? json(*value) : "null";
}

std::string kvJson(const KvCacheStats& s) {
  return Object()
      .add("allocNewBlocks", s.allocNewBlocks)
      .add("allocTotalBlocks", s.allocTotalBlocks)
      .add("cacheHitRate", s.cacheHitRate)
      .add("freeNumBlocks", s.freeNumBlocks)
      .add("maxNumBlocks", s.maxNumBlocks)
      .add("missedBlocks", s.missedBlocks)
      .add("reusedBlocks", s.reusedBlocks)
      .add("tokensPerBlock", s.tokensPerBlock)
      .add("usedNumBlocks", s.usedNumBlocks)
      .json();
}

std::string flightJson(const InflightBatchingStats& s) {
  return Object()
      .add("avgNumDecodedTokensPerIter", s.avgNumDecodedTokensPerIter)
      .add("microBatchId", s.microBatchId)
      .add("numContextRequests", s.numContextRequests)
      .add("numCtxTokens", s.numCtxTokens)
      .add("numGenRequests", s.numGenRequests)
      .add("numPausedRequests", s.numPausedRequests)
      .add("numScheduledRequests", s.numScheduledRequests)
      .json();
}

std::string requestJson(const RequestStats& s) {
  return Object()
      .add("allocNewBlocksPerRequest", s.allocNewBlocksPerRequest)
      .add("allocTotalBlocksPerRequest", s.allocTotalBlocksPerRequest)
      .add("avgNumDecodedTokensPerIter", s.avgNumDecodedTokensPerIter)
      .add("contextPrefillPosition", s.contextPrefillPosition)
      .raw("disServingStats", "null")
      .add("id", s.id)
      .add("kvCacheHitRatePerRequest", s.kvCacheHitRatePerRequest)
      .add("missedBlocksPerRequest", s.missedBlocksPerRequest)
      .add("numGeneratedTokens", s.numGeneratedTokens)
      .add("paused", s.paused)
      .add("reusedBlocksPerRequest", s.reusedBlocksPerRequest)
      .add("scheduled", s.scheduled)
      .add("stage", s.stage)
      .json();
}

}  // namespace

std::string JsonSerialization::toJsonStr(IterationStats const& s) {
  STANDIN_ENTRY("JsonSerialization::toJsonStr(IterationStats)");
  return Object()
      .add("cpuMemUsage", s.cpuMemUsage)
      .add("gpuMemUsage", s.gpuMemUsage)
      .raw("inflightBatchingStats", optional(s.inflightBatchingStats, flightJson))
      .add("iter", s.iter)
      .add("iterLatencyMS", s.iterLatencyMS)
      .raw("kvCacheStats", optional(s.kvCacheStats, kvJson))
      .add("maxBatchSizeRuntime", s.maxBatchSizeRuntime)
      .add("maxBatchSizeStatic", s.maxBatchSizeStatic)
      .add("maxBatchSizeTunerRecommended", s.maxBatchSizeTunerRecommended)
      .add("maxNumActiveRequests", s.maxNumActiveRequests)
      .add("maxNumTokensRuntime", s.maxNumTokensRuntime)
      .add("maxNumTokensStatic", s.maxNumTokensStatic)
      .add("maxNumTokensTunerRecommended", s.maxNumTokensTunerRecommended)
      .add("newActiveRequestsQueueLatencyMS", s.newActiveRequestsQueueLatencyMS)
      .add("numActiveRequests", s.numActiveRequests)
      .add("numCompletedRequests", s.numCompletedRequests)
      .add("numNewActiveRequests", s.numNewActiveRequests)
      .add("numQueuedRequests", s.numQueuedRequests)
      .add("pinnedMemUsage", s.pinnedMemUsage)
      .raw("specDecodingStats", "null")
      .raw("staticBatchingStats", "null")
      .add("timestamp", s.timestamp)
      .json();
}

std::string JsonSerialization::toJsonStr(RequestStatsPerIteration const& s) {
  STANDIN_ENTRY("JsonSerialization::toJsonStr(RequestStatsPerIteration)");
  std::string list;
  for (const RequestStats& one : s.requestStats) list += (list.empty() ? "" : ",") + requestJson(one);
  return Object().add("iter", s.iter).raw("requestStats", "[" + list + "]").json();
}

std::string JsonSerialization::toJsonStr(RequestStats const& s) {
  STANDIN_ENTRY("JsonSerialization::toJsonStr(RequestStats)");
  return requestJson(s);
}

}  // namespace tensorrt_llm::executor
