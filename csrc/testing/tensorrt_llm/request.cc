// A request, and what comes back.
#include "access.h"
#include "exception.h"

namespace tensorrt_llm::executor {

OutputConfig::OutputConfig(bool returnLogProbs, bool returnContextLogits, bool returnGenerationLogits,
                           bool excludeInputFromOutput, bool returnEncoderOutput, bool returnPerfMetrics,
                           std::optional<std::vector<AdditionalModelOutput>> additionalModelOutputs)
    : returnLogProbs(returnLogProbs),
      returnContextLogits(returnContextLogits),
      returnGenerationLogits(returnGenerationLogits),
      excludeInputFromOutput(excludeInputFromOutput),
      returnEncoderOutput(returnEncoderOutput),
      returnPerfMetrics(returnPerfMetrics),
      additionalModelOutputs(std::move(additionalModelOutputs)) {
  STANDIN_ENTRY("OutputConfig::OutputConfig");
}

ContextPhaseParams::ContextPhaseParams(ContextPhaseParams const&) = default;
ContextPhaseParams::ContextPhaseParams(ContextPhaseParams&&) noexcept = default;
ContextPhaseParams& ContextPhaseParams::operator=(ContextPhaseParams const&) = default;
ContextPhaseParams& ContextPhaseParams::operator=(ContextPhaseParams&&) noexcept = default;
ContextPhaseParams::~ContextPhaseParams() = default;

Request::Request(VecTokens inputTokenIds, SizeType32 maxTokens, bool streaming, SamplingConfig const& samplingConfig,
                 OutputConfig const& outputConfig, std::optional<SizeType32> const& endId,
                 std::optional<SizeType32> const& padId, std::optional<std::vector<SizeType32>>,
                 std::optional<std::list<VecTokens>> badWords, std::optional<std::list<VecTokens>> stopWords,
                 std::optional<Tensor> embeddingBias, std::optional<ExternalDraftTokensConfig>,
                 std::optional<PromptTuningConfig>, std::optional<MultimodalInput>, std::optional<Tensor>,
                 std::optional<MropeConfig>, std::optional<LoraConfig>, std::optional<LookaheadDecodingConfig>,
                 std::optional<KvCacheRetentionConfig>, std::optional<std::string>, std::optional<LogitsPostProcessor>,
                 std::optional<VecTokens>, std::optional<IdType> clientId, bool returnAllGeneratedTokens,
                 PriorityType priority, RequestType, std::optional<ContextPhaseParams>, std::optional<Tensor>,
                 std::optional<SizeType32>, std::optional<Tensor>, SizeType32, std::optional<EagleConfig>,
                 std::optional<Tensor>, std::optional<GuidedDecodingParams>, std::optional<SizeType32>,
                 std::optional<MillisecondsType> allottedTimeMs, std::optional<CacheSaltIDType> cacheSaltID)
    : mImpl(std::make_unique<Impl>()) {
  STANDIN_ENTRY("Request::Request");
  STANDIN_CHECK(!inputTokenIds.empty(), "!mInputTokenIds.empty()");
  STANDIN_CHECK(maxTokens > 0, "mMaxNewTokens > 0");
  mImpl->inputTokenIds = std::move(inputTokenIds);
  mImpl->maxTokens = maxTokens;
  mImpl->streaming = streaming;
  mImpl->sampling = samplingConfig;
  mImpl->output = outputConfig;
  mImpl->endId = endId;
  mImpl->padId = padId;
  mImpl->badWords = std::move(badWords);
  mImpl->stopWords = std::move(stopWords);
  mImpl->embeddingBias = std::move(embeddingBias);
  mImpl->clientId = clientId;
  mImpl->returnAllGeneratedTokens = returnAllGeneratedTokens;
  mImpl->priority = priority;
  mImpl->allottedTimeMs = allottedTimeMs;
  mImpl->cacheSaltID = cacheSaltID;
}

Request::Request(Request const& other) : mImpl(std::make_unique<Impl>(*other.mImpl)) {}
Request::Request(Request&& other) noexcept = default;
Request& Request::operator=(Request const& other) {
  mImpl = std::make_unique<Impl>(*other.mImpl);
  return *this;
}
Request& Request::operator=(Request&& other) noexcept = default;
Request::~Request() = default;

VecTokens Request::getInputTokenIds() const {
  STANDIN_ENTRY("Request::getInputTokenIds");
  return mImpl->inputTokenIds;
}

SizeType32 Request::getMaxTokens() const {
  STANDIN_ENTRY("Request::getMaxTokens");
  return mImpl->maxTokens;
}

bool Request::getStreaming() const {
  STANDIN_ENTRY("Request::getStreaming");
  return mImpl->streaming;
}

SamplingConfig Request::getSamplingConfig() const {
  STANDIN_ENTRY("Request::getSamplingConfig");
  return mImpl->sampling;
}

OutputConfig Request::getOutputConfig() const {
  STANDIN_ENTRY("Request::getOutputConfig");
  return mImpl->output;
}

std::optional<SizeType32> Request::getEndId() const {
  STANDIN_ENTRY("Request::getEndId");
  return mImpl->endId;
}

std::optional<SizeType32> Request::getPadId() const {
  STANDIN_ENTRY("Request::getPadId");
  return mImpl->padId;
}

std::optional<std::list<VecTokens>> Request::getBadWords() const {
  STANDIN_ENTRY("Request::getBadWords");
  return mImpl->badWords;
}

std::optional<std::list<VecTokens>> Request::getStopWords() const {
  STANDIN_ENTRY("Request::getStopWords");
  return mImpl->stopWords;
}

std::optional<Tensor> Request::getEmbeddingBias() const {
  STANDIN_ENTRY("Request::getEmbeddingBias");
  return mImpl->embeddingBias;
}

std::optional<IdType> Request::getClientId() const {
  STANDIN_ENTRY("Request::getClientId");
  return mImpl->clientId;
}

PriorityType Request::getPriority() const {
  STANDIN_ENTRY("Request::getPriority");
  return mImpl->priority;
}

bool Request::getReturnAllGeneratedTokens() const {
  STANDIN_ENTRY("Request::getReturnAllGeneratedTokens");
  return mImpl->returnAllGeneratedTokens;
}

std::optional<MillisecondsType> Request::getAllottedTimeMs() const {
  STANDIN_ENTRY("Request::getAllottedTimeMs");
  return mImpl->allottedTimeMs;
}

std::optional<CacheSaltIDType> Request::getCacheSaltID() const {
  STANDIN_ENTRY("Request::getCacheSaltID");
  return mImpl->cacheSaltID;
}

void Request::setStreaming(bool streaming) {
  STANDIN_ENTRY("Request::setStreaming");
  mImpl->streaming = streaming;
}

void Request::setSamplingConfig(SamplingConfig const& config) {
  STANDIN_ENTRY("Request::setSamplingConfig");
  mImpl->sampling = config;
}

void Request::setOutputConfig(OutputConfig const& outputConfig) {
  STANDIN_ENTRY("Request::setOutputConfig");
  mImpl->output = outputConfig;
}

void Request::setEndId(SizeType32 endId) {
  STANDIN_ENTRY("Request::setEndId");
  mImpl->endId = endId;
}

void Request::setPadId(SizeType32 padId) {
  STANDIN_ENTRY("Request::setPadId");
  mImpl->padId = padId;
}

void Request::setBadWords(std::list<VecTokens> const& badWords) {
  STANDIN_ENTRY("Request::setBadWords");
  mImpl->badWords = badWords;
}

void Request::setStopWords(std::list<VecTokens> const& stopWords) {
  STANDIN_ENTRY("Request::setStopWords");
  mImpl->stopWords = stopWords;
}

void Request::setEmbeddingBias(Tensor const& embeddingBias) {
  STANDIN_ENTRY("Request::setEmbeddingBias");
  mImpl->embeddingBias = embeddingBias;
}

void Request::setClientId(IdType clientId) {
  STANDIN_ENTRY("Request::setClientId");
  mImpl->clientId = clientId;
}

void Request::setPriority(PriorityType priority) {
  STANDIN_ENTRY("Request::setPriority");
  STANDIN_CHECK(0.f <= priority && priority <= 1.f, "Priority must be between 0 and 1");
  mImpl->priority = priority;
}

void Request::setReturnAllGeneratedTokens(bool returnAllGeneratedTokens) {
  STANDIN_ENTRY("Request::setReturnAllGeneratedTokens");
  mImpl->returnAllGeneratedTokens = returnAllGeneratedTokens;
}

void Request::setAllottedTimeMs(MillisecondsType allottedTimeMs) {
  STANDIN_ENTRY("Request::setAllottedTimeMs");
  mImpl->allottedTimeMs = allottedTimeMs;
}

void Request::setCacheSaltID(CacheSaltIDType cacheSaltID) {
  STANDIN_ENTRY("Request::setCacheSaltID");
  mImpl->cacheSaltID = cacheSaltID;
}

class Response::Impl : Counted {
 public:
  IdType requestId;
  std::optional<IdType> clientId;
  std::optional<std::string> error;
  Result result;
};

Response::Response(IdType requestId, std::string errorMsg, std::optional<IdType> clientId)
    : mImpl(std::make_unique<Impl>()) {
  mImpl->requestId = requestId;
  mImpl->error = std::move(errorMsg);
  mImpl->clientId = clientId;
}

Response::Response(IdType requestId, Result Result, std::optional<IdType> clientId) : mImpl(std::make_unique<Impl>()) {
  mImpl->requestId = requestId;
  mImpl->result = std::move(Result);
  mImpl->clientId = clientId;
}

Response::~Response() = default;
Response::Response(Response const& other) : mImpl(std::make_unique<Impl>(*other.mImpl)) {}
Response::Response(Response&& other) noexcept = default;
Response& Response::operator=(Response const& other) {
  mImpl = std::make_unique<Impl>(*other.mImpl);
  return *this;
}
Response& Response::operator=(Response&& other) noexcept = default;

IdType Response::getRequestId() const {
  STANDIN_ENTRY("Response::getRequestId");
  return mImpl->requestId;
}

std::optional<IdType> Response::getClientId() const {
  STANDIN_ENTRY("Response::getClientId");
  return mImpl->clientId;
}

bool Response::hasError() const {
  STANDIN_ENTRY("Response::hasError");
  return mImpl->error.has_value();
}

std::string const& Response::getErrorMsg() const {
  STANDIN_ENTRY("Response::getErrorMsg");
  STANDIN_CHECK(mImpl->error.has_value(), "Response has no error");
  return *mImpl->error;
}

Result const& Response::getResult() const {
  STANDIN_ENTRY("Response::getResult");
  STANDIN_CHECK(!mImpl->error.has_value(), "Response has an error: " + mImpl->error.value_or(""));
  return mImpl->result;
}

}  // namespace tensorrt_llm::executor
