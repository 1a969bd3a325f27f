// Requests: release 1.2.1, cpp/include/tensorrt_llm/executor/executor.h.
#include "executorconfig.h"

#if TRTGO_HAS_EXECUTOR

#include "settings.h"

namespace trtgo {
namespace tensorrt {
namespace {

using tensorrt_llm::executor::DataType;
using tensorrt_llm::executor::OutputConfig;
using tensorrt_llm::executor::Request;
using tensorrt_llm::executor::SamplingConfig;
using tensorrt_llm::executor::Shape;
using tensorrt_llm::executor::Tensor;
using tensorrt_llm::executor::VecTokens;

const char* const kEntry = "trtgo_executor_enqueue";

// It came with 1.2.0.
template <class Config, class = void>
struct HasPromptIgnoreLength : std::false_type {};
template <class Config>
struct HasPromptIgnoreLength<Config, std::void_t<decltype(&Config::setPromptIgnoreLength)>> : std::true_type {};

template <class Config>
void set_prompt_ignore_length(Config& config, Settings& settings, const char* name) {
  if constexpr (HasPromptIgnoreLength<Config>::value) {
    set(config, &Config::setPromptIgnoreLength, settings.small(name));
  } else {
    throw Failure(TRTGO_INVALID, kEntry, "TensorRT-LLM " TRTGO_TRTLLM_VERSION " has no setting promptIgnoreLength");
  }
}

// beamWidth comes before numReturnSequences, which is checked against it.
constexpr Setting<SamplingConfig> kSamplingSettings[] = {
    TRTGO_SETTING("beamWidth", SamplingConfig, setBeamWidth, small),
    TRTGO_SETTING("numReturnSequences", SamplingConfig, setNumReturnSequences, small),
    TRTGO_SETTING("topK", SamplingConfig, setTopK, small),
    TRTGO_SETTING("topP", SamplingConfig, setTopP, number),
    TRTGO_SETTING("topPMin", SamplingConfig, setTopPMin, number),
    TRTGO_SETTING("topPResetIds", SamplingConfig, setTopPResetIds, small),
    TRTGO_SETTING("topPDecay", SamplingConfig, setTopPDecay, number),
    TRTGO_SETTING("minP", SamplingConfig, setMinP, number),
    TRTGO_SETTING("seed", SamplingConfig, setSeed, bits),
    TRTGO_SETTING("temperature", SamplingConfig, setTemperature, number),
    TRTGO_SETTING("minTokens", SamplingConfig, setMinTokens, small),
    TRTGO_SETTING("repetitionPenalty", SamplingConfig, setRepetitionPenalty, number),
    TRTGO_SETTING("presencePenalty", SamplingConfig, setPresencePenalty, number),
    TRTGO_SETTING("frequencyPenalty", SamplingConfig, setFrequencyPenalty, number),
    {"promptIgnoreLength", &set_prompt_ignore_length<SamplingConfig>},
    TRTGO_SETTING("noRepeatNgramSize", SamplingConfig, setNoRepeatNgramSize, small),
    TRTGO_SETTING("lengthPenalty", SamplingConfig, setLengthPenalty, number),
    TRTGO_SETTING("earlyStopping", SamplingConfig, setEarlyStopping, small),
    TRTGO_SETTING("beamSearchDiversityRate", SamplingConfig, setBeamSearchDiversityRate, number),
};

template <bool OutputConfig::*Field>
void set_output(OutputConfig& config, Settings& settings, const char* name) {
  config.*Field = settings.flag(name);
}

constexpr Setting<OutputConfig> kOutputSettings[] = {
    {"returnLogProbs", &set_output<&OutputConfig::returnLogProbs>},
    {"returnContextLogits", &set_output<&OutputConfig::returnContextLogits>},
    {"returnGenerationLogits", &set_output<&OutputConfig::returnGenerationLogits>},
    {"returnPerfMetrics", &set_output<&OutputConfig::returnPerfMetrics>},
};

constexpr Setting<Request> kRequestSettings[] = {
    TRTGO_SETTING("streaming", Request, setStreaming, flag),
    TRTGO_SETTING("endId", Request, setEndId, small),
    TRTGO_SETTING("padId", Request, setPadId, small),
    TRTGO_SETTING("stopWords", Request, setStopWords, words),
    TRTGO_SETTING("badWords", Request, setBadWords, words),
    TRTGO_SETTING("priority", Request, setPriority, number),
    TRTGO_SETTING("allottedTimeMs", Request, setAllottedTimeMs, milliseconds),
    TRTGO_SETTING("cacheSaltID", Request, setCacheSaltID, bits),
};

DataType data_type(const char* name) {
  need(name, kEntry, "the type of the embedding bias");
  if (std::strcmp(name, "FLOAT") == 0) return DataType::kFP32;
  if (std::strcmp(name, "HALF") == 0) return DataType::kFP16;
  if (std::strcmp(name, "BF16") == 0) return DataType::kBF16;
  throw Failure(TRTGO_INVALID, kEntry,
                std::string("the embedding bias has type ") + name + ", want FLOAT, HALF or BF16");
}

// Copies the bias: the request outlives the call.
Tensor make_bias(const trtgo_array& bias) {
  const DataType type = data_type(bias.type);
  if (bias.rank != 1 || bias.dims[0] < 1) {
    throw Failure(TRTGO_INVALID, kEntry, "the embedding bias has no shape [vocab_size]");
  }
  const size_t bytes = static_cast<size_t>(bias.dims[0]) * (type == DataType::kFP32 ? 4 : 2);
  Tensor tensor = attempt(TRTGO_INVALID, "Tensor::cpu", "TensorRT-LLM gave no memory for the embedding bias",
                          [&] { return Tensor::cpu(type, Shape(bias.dims, 1)); });
  if (tensor.getSizeInBytes() != bytes) {
    throw Failure(TRTGO_VERSION, "Tensor::cpu",
                  "TensorRT-LLM gave " + std::to_string(tensor.getSizeInBytes()) + " bytes for an embedding bias of " +
                      std::to_string(bytes));
  }
  std::memcpy(tensor.getData(), bias.data, bytes);
  return tensor;
}

}  // namespace

Request make_request(const trtgo_request& given) {
  if (given.num_tokens < 1) {
    throw Failure(TRTGO_INVALID, kEntry,
                  "the prompt has " + std::to_string(given.num_tokens) + " tokens, want 1 or more");
  }
  need(given.tokens, kEntry, "the list of tokens");
  if (given.max_tokens < 1) {
    throw Failure(TRTGO_INVALID, kEntry, "max_tokens is " + std::to_string(given.max_tokens) + ", want 1 or more");
  }
  Settings settings(given.settings, given.num_settings, kEntry);
  SamplingConfig sampling;
  apply(sampling, kSamplingSettings, settings);
  OutputConfig output;
  output.excludeInputFromOutput = true;
  apply(output, kOutputSettings, settings);
  Request request = attempt(TRTGO_INVALID, "Request", "TensorRT-LLM refuses the request", [&] {
    return Request(/*inputTokenIds=*/VecTokens(given.tokens, given.tokens + given.num_tokens),
                   /*maxTokens=*/given.max_tokens);
  });
  request.setSamplingConfig(sampling);
  request.setOutputConfig(output);
  request.setClientId(given.client_id);
  apply(request, kRequestSettings, settings);
  if (given.embedding_bias.data != nullptr) request.setEmbeddingBias(make_bias(given.embedding_bias));
  settings.finish();
  return request;
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR
