#include "outputs.h"

#if TRTGO_HAS_EXECUTOR

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>

namespace trtgo {
namespace tensorrt {
namespace {

using tensorrt_llm::executor::DataType;
using tensorrt_llm::executor::FinishReason;
using tensorrt_llm::executor::MemoryType;
using tensorrt_llm::executor::Response;
using tensorrt_llm::executor::Result;
using tensorrt_llm::executor::Tensor;

// By name: the numbers are the ABI's, whatever the headers' are.
int32_t finish_reason(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNOT_FINISHED: return 0;
    case FinishReason::kEND_ID: return 1;
    case FinishReason::kSTOP_WORDS: return 2;
    case FinishReason::kLENGTH: return 3;
    case FinishReason::kTIMED_OUT: return 4;
    case FinishReason::kCANCELLED: return 5;
    default: return -1;
  }
}

const char* type_name(DataType type) {
  switch (type) {
    case DataType::kFP32: return "FLOAT";
    case DataType::kFP16: return "HALF";
    case DataType::kBF16: return "BF16";
    default: return "UNKNOWN";
  }
}

bool is_readable(MemoryType memory) {
  switch (memory) {
    case MemoryType::kCPU:
    case MemoryType::kCPU_PINNED:
    case MemoryType::kCPU_PINNEDPOOL:
    case MemoryType::kUVM: return true;
    default: return false;
  }
}

// A view of a tensor; none where there is no tensor, or it is not in memory that the CPU reads, which logits are.
trtgo_array view(const std::optional<Tensor>& tensor) {
  trtgo_array array{};
  if (!tensor.has_value() || !*tensor || !is_readable(tensor->getMemoryType())) return array;
  const auto shape = tensor->getShape();
  if (shape.size() > std::size(array.dims)) return array;
  // The last response of a cancelled stream takes the tokens that were given away: its logits have a negative number of
  // rows.
  if (std::any_of(shape.begin(), shape.end(), [](int64_t size) { return size < 0; })) return array;
  array.rank = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), array.dims);
  array.type = type_name(tensor->getDataType());
  array.data = static_cast<const Tensor&>(*tensor).getData();
  return array;
}

// A point that was never set is zero.
int64_t nanoseconds(std::chrono::steady_clock::time_point point) {
  if (point == std::chrono::steady_clock::time_point()) return -1;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(point.time_since_epoch()).count();
}

void describe_times(const Result& result, trtgo_output* output) {
  output->reused_blocks = -1;
  output->scheduled = output->first_token = output->last_token = -1;
  if (!result.requestPerfMetrics.has_value()) return;
  const auto& times = result.requestPerfMetrics->timingMetrics;
  output->scheduled = nanoseconds(times.firstScheduledTime);
  output->first_token = nanoseconds(times.firstTokenTime);
  output->last_token = nanoseconds(times.lastTokenTime);
  output->reused_blocks = result.requestPerfMetrics->kvCacheMetrics.numReusedBlocks;
}

void describe_beam(const Result& result, size_t beam, trtgo_output* output) {
  output->beam = static_cast<int32_t>(beam);
  output->finish_reason = beam < result.finishReasons.size() ? finish_reason(result.finishReasons[beam]) : -1;
  if (beam < result.outputTokenIds.size()) {
    output->tokens = result.outputTokenIds[beam].data();
    output->num_tokens = static_cast<int32_t>(result.outputTokenIds[beam].size());
  }
  if (result.logProbs.has_value() && beam < result.logProbs->size()) {
    output->log_probs = (*result.logProbs)[beam].data();
    output->num_log_probs = static_cast<int32_t>((*result.logProbs)[beam].size());
  }
  if (result.cumLogProbs.has_value() && beam < result.cumLogProbs->size()) {
    output->cum_log_prob = (*result.cumLogProbs)[beam];
  }
}

void describe_response(const Response& response, std::vector<trtgo_output>* list) {
  trtgo_output output{};
  output.id = response.getRequestId();
  output.client_id = response.getClientId().value_or(0);
  if (response.hasError()) {  // then there is no result
    output.error = response.getErrorMsg().c_str();
    output.final = 1;
    list->push_back(output);
    return;
  }
  const Result& result = response.getResult();
  output.final = result.isFinal ? 1 : 0;
  describe_times(result, &output);
  output.context_logits = view(result.contextLogits);
  output.generation_logits = view(result.generationLogits);
  // A last response may have no tokens and no beams, but says that it is the last.
  const size_t beams = std::max<size_t>(result.outputTokenIds.size(), 1);
  output.num_beams = static_cast<int32_t>(beams);
  for (size_t beam = 0; beam < beams; beam++) {
    list->push_back(output);
    describe_beam(result, beam, &list->back());
  }
}

}  // namespace

void count_times_from(std::chrono::steady_clock::time_point start, trtgo_output* output) {
  const int64_t begin = nanoseconds(start);
  for (int64_t* time : {&output->scheduled, &output->first_token, &output->last_token}) {
    if (*time >= 0) *time = std::max<int64_t>(*time - begin, 0);
  }
}

}  // namespace tensorrt
}  // namespace trtgo

void trtgo_outputs::describe() {
  list.clear();
  list.reserve(responses.size());
  for (const auto& response : responses) trtgo::tensorrt::describe_response(response, &list);
}

#endif  // TRTGO_HAS_EXECUTOR
