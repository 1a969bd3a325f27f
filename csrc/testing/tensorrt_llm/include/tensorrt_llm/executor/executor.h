// Declarations, of release 1.2.1, of only what csrc/tensorrt uses.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tensorrt_llm/executor/config.h"
#include "tensorrt_llm/executor/tensor.h"
#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::executor {

char const* version() noexcept;

class Serialization;

// Only named in constructors, and never given.
class ExternalDraftTokensConfig {};
class PromptTuningConfig {};
class MultimodalInput {};
class MropeConfig {};
class LoraConfig {};
class LookaheadDecodingConfig {};
class KvCacheRetentionConfig {};
class EagleConfig {};
class GuidedDecodingParams {};
struct SpeculativeDecodingFastLogitsInfo {};
struct AdditionalOutput {};

// Never given either, but a part of results, whose copies and ends call these.
class ContextPhaseParams {
 public:
  ContextPhaseParams(ContextPhaseParams const& other);
  ContextPhaseParams(ContextPhaseParams&& other) noexcept;
  ContextPhaseParams& operator=(ContextPhaseParams const& other);
  ContextPhaseParams& operator=(ContextPhaseParams&& other) noexcept;
  ~ContextPhaseParams();
};

class SamplingConfig {
 public:
  explicit SamplingConfig(SizeType32 beamWidth = 1, std::optional<SizeType32> const& topK = std::nullopt,
                          std::optional<FloatType> const& topP = std::nullopt,
                          std::optional<FloatType> const& topPMin = std::nullopt,
                          std::optional<TokenIdType> const& topPResetIds = std::nullopt,
                          std::optional<FloatType> const& topPDecay = std::nullopt,
                          std::optional<RandomSeedType> const& seed = std::nullopt,
                          std::optional<FloatType> const& temperature = std::nullopt,
                          std::optional<SizeType32> const& minTokens = std::nullopt,
                          std::optional<FloatType> const& beamSearchDiversityRate = std::nullopt,
                          std::optional<FloatType> const& repetitionPenalty = std::nullopt,
                          std::optional<FloatType> const& presencePenalty = std::nullopt,
                          std::optional<FloatType> const& frequencyPenalty = std::nullopt,
                          std::optional<SizeType32> const& promptIgnoreLength = std::nullopt,
                          std::optional<FloatType> const& lengthPenalty = std::nullopt,
                          std::optional<SizeType32> const& earlyStopping = std::nullopt,
                          std::optional<SizeType32> const& noRepeatNgramSize = std::nullopt,
                          std::optional<SizeType32> const& numReturnSequences = std::nullopt,
                          std::optional<FloatType> const& minP = std::nullopt,
                          std::optional<std::vector<SizeType32>> const& beamWidthArray = std::nullopt);

  [[nodiscard]] SizeType32 getBeamWidth() const;
  [[nodiscard]] SizeType32 getNumReturnBeams() const;
  [[nodiscard]] std::optional<SizeType32> getTopK() const;
  [[nodiscard]] std::optional<FloatType> getTopP() const;
  [[nodiscard]] std::optional<FloatType> getTopPMin() const;
  [[nodiscard]] std::optional<SizeType32> getTopPResetIds() const;
  [[nodiscard]] std::optional<FloatType> getTopPDecay() const;
  [[nodiscard]] std::optional<RandomSeedType> getSeed() const;
  [[nodiscard]] std::optional<FloatType> getTemperature() const;
  [[nodiscard]] std::optional<SizeType32> getMinTokens() const;
  [[nodiscard]] std::optional<FloatType> getBeamSearchDiversityRate() const;
  [[nodiscard]] std::optional<FloatType> getRepetitionPenalty() const;
  [[nodiscard]] std::optional<FloatType> getPresencePenalty() const;
  [[nodiscard]] std::optional<FloatType> getFrequencyPenalty() const;
  [[nodiscard]] std::optional<SizeType32> getPromptIgnoreLength() const;
  [[nodiscard]] std::optional<FloatType> getLengthPenalty() const;
  [[nodiscard]] std::optional<SizeType32> getEarlyStopping() const;
  [[nodiscard]] std::optional<SizeType32> getNoRepeatNgramSize() const;
  [[nodiscard]] std::optional<SizeType32> getNumReturnSequences() const;
  [[nodiscard]] std::optional<FloatType> getMinP() const;

  void setBeamWidth(SizeType32 beamWidth);
  void setTopK(std::optional<SizeType32> const& topK);
  void setTopP(std::optional<FloatType> const& topP);
  void setTopPMin(std::optional<FloatType> const& topPMin);
  void setTopPResetIds(std::optional<TokenIdType> const& topPResetIds);
  void setTopPDecay(std::optional<FloatType> const& topPDecay);
  void setSeed(std::optional<RandomSeedType> const& seed);
  void setTemperature(std::optional<FloatType> const& temperature);
  void setMinTokens(std::optional<SizeType32> const& minTokens);
  void setBeamSearchDiversityRate(std::optional<FloatType> const& beamSearchDiversityRate);
  void setRepetitionPenalty(std::optional<FloatType> const& repetitionPenalty);
  void setPresencePenalty(std::optional<FloatType> const& presencePenalty);
  void setFrequencyPenalty(std::optional<FloatType> const& frequencyPenalty);
  void setPromptIgnoreLength(std::optional<SizeType32> const& promptIgnoreLength);
  void setLengthPenalty(std::optional<FloatType> const& lengthPenalty);
  void setEarlyStopping(std::optional<SizeType32> const& earlyStopping);
  void setNoRepeatNgramSize(std::optional<SizeType32> const& noRepeatNgramSize);
  void setNumReturnSequences(std::optional<SizeType32> const& numReturnSequences);
  void setMinP(std::optional<FloatType> const& minP);

 private:
  friend class Serialization;
  SizeType32 mBeamWidth;
  std::optional<SizeType32> mTopK;
  std::optional<FloatType> mTopP, mTopPMin;
  std::optional<TokenIdType> mTopPResetIds;
  std::optional<FloatType> mTopPDecay;
  std::optional<RandomSeedType> mSeed;
  std::optional<FloatType> mTemperature;
  std::optional<SizeType32> mMinTokens;
  std::optional<FloatType> mBeamSearchDiversityRate, mRepetitionPenalty, mPresencePenalty, mFrequencyPenalty;
  std::optional<SizeType32> mPromptIgnoreLength;
  std::optional<FloatType> mLengthPenalty;
  std::optional<SizeType32> mEarlyStopping, mNoRepeatNgramSize, mNumReturnSequences;
  std::optional<FloatType> mMinP;
};

class OutputConfig {
 public:
  explicit OutputConfig(bool returnLogProbs = false, bool returnContextLogits = false,
                        bool returnGenerationLogits = false, bool excludeInputFromOutput = false,
                        bool returnEncoderOutput = false, bool returnPerfMetrics = false,
                        std::optional<std::vector<AdditionalModelOutput>> additionalModelOutputs = std::nullopt);

  bool returnLogProbs;
  bool returnContextLogits;
  bool returnGenerationLogits;
  bool excludeInputFromOutput;
  bool returnEncoderOutput;
  bool returnPerfMetrics;
  std::optional<std::vector<AdditionalModelOutput>> additionalModelOutputs;
};

class Request {
 public:
  static constexpr PriorityType kDefaultPriority = 0.5;

  Request(VecTokens inputTokenIds, SizeType32 maxTokens, bool streaming = false,
          SamplingConfig const& samplingConfig = SamplingConfig(), OutputConfig const& outputConfig = OutputConfig(),
          std::optional<SizeType32> const& endId = std::nullopt, std::optional<SizeType32> const& padId = std::nullopt,
          std::optional<std::vector<SizeType32>> positionIds = std::nullopt,
          std::optional<std::list<VecTokens>> badWords = std::nullopt,
          std::optional<std::list<VecTokens>> stopWords = std::nullopt,
          std::optional<Tensor> embeddingBias = std::nullopt,
          std::optional<ExternalDraftTokensConfig> externalDraftTokensConfig = std::nullopt,
          std::optional<PromptTuningConfig> pTuningConfig = std::nullopt,
          std::optional<MultimodalInput> multimodalInput = std::nullopt,
          std::optional<Tensor> multimodalEmbedding = std::nullopt,
          std::optional<MropeConfig> mRopeConfig = std::nullopt, std::optional<LoraConfig> loraConfig = std::nullopt,
          std::optional<LookaheadDecodingConfig> lookaheadConfig = std::nullopt,
          std::optional<KvCacheRetentionConfig> kvCacheRetentionConfig = std::nullopt,
          std::optional<std::string> logitsPostProcessorName = std::nullopt,
          std::optional<LogitsPostProcessor> logitsPostProcessor = std::nullopt,
          std::optional<VecTokens> encoderInputTokenIds = std::nullopt, std::optional<IdType> clientId = std::nullopt,
          bool returnAllGeneratedTokens = false, PriorityType priority = kDefaultPriority,
          RequestType type = RequestType::REQUEST_TYPE_CONTEXT_AND_GENERATION,
          std::optional<ContextPhaseParams> contextPhaseParams = std::nullopt,
          std::optional<Tensor> encoderInputFeatures = std::nullopt,
          std::optional<SizeType32> encoderOutputLength = std::nullopt,
          std::optional<Tensor> crossAttentionMask = std::nullopt, SizeType32 numReturnSequences = 1,
          std::optional<EagleConfig> eagleConfig = std::nullopt,
          std::optional<Tensor> skipCrossAttnBlocks = std::nullopt,
          std::optional<GuidedDecodingParams> guidedDecodingParams = std::nullopt,
          std::optional<SizeType32> languageAdapterUid = std::nullopt,
          std::optional<MillisecondsType> allottedTimeMs = std::nullopt,
          std::optional<CacheSaltIDType> cacheSaltID = std::nullopt);

  Request(Request const& other);
  Request(Request&& other) noexcept;
  Request& operator=(Request const& other);
  Request& operator=(Request&& other) noexcept;
  ~Request();

  [[nodiscard]] VecTokens getInputTokenIds() const;
  [[nodiscard]] SizeType32 getMaxTokens() const;
  [[nodiscard]] bool getStreaming() const;
  [[nodiscard]] SamplingConfig getSamplingConfig() const;
  [[nodiscard]] OutputConfig getOutputConfig() const;
  [[nodiscard]] std::optional<SizeType32> getEndId() const;
  [[nodiscard]] std::optional<SizeType32> getPadId() const;
  [[nodiscard]] std::optional<std::list<VecTokens>> getBadWords() const;
  [[nodiscard]] std::optional<std::list<VecTokens>> getStopWords() const;
  [[nodiscard]] std::optional<Tensor> getEmbeddingBias() const;
  [[nodiscard]] std::optional<IdType> getClientId() const;
  [[nodiscard]] PriorityType getPriority() const;
  [[nodiscard]] bool getReturnAllGeneratedTokens() const;
  [[nodiscard]] std::optional<MillisecondsType> getAllottedTimeMs() const;
  [[nodiscard]] std::optional<CacheSaltIDType> getCacheSaltID() const;

  void setStreaming(bool streaming);
  void setSamplingConfig(SamplingConfig const& config);
  void setOutputConfig(OutputConfig const& outputConfig);
  void setEndId(SizeType32 endId);
  void setPadId(SizeType32 padId);
  void setBadWords(std::list<VecTokens> const& badWords);
  void setStopWords(std::list<VecTokens> const& stopWords);
  void setEmbeddingBias(Tensor const& embeddingBias);
  void setClientId(IdType clientId);
  void setPriority(PriorityType priority);
  void setReturnAllGeneratedTokens(bool returnAllGeneratedTokens);
  void setAllottedTimeMs(MillisecondsType allottedTimeMs);
  void setCacheSaltID(CacheSaltIDType cacheSaltID);

 private:
  friend class Serialization;
  class Impl;
  std::unique_ptr<Impl> mImpl;
};

struct Result {
  bool isFinal;
  BeamTokens outputTokenIds;
  std::optional<VecLogProbs> cumLogProbs;
  std::optional<std::vector<VecLogProbs>> logProbs;
  std::optional<Tensor> contextLogits;
  std::optional<Tensor> generationLogits;
  std::optional<SpeculativeDecodingFastLogitsInfo> specDecFastLogitsInfo;
  std::optional<Tensor> encoderOutput;
  std::vector<FinishReason> finishReasons;
  std::optional<ContextPhaseParams> contextPhaseParams;
  SizeType32 decodingIter{0};
  float avgDecodedTokensPerIter{0.0f};
  SizeType32 sequenceIndex{0};
  bool isSequenceFinal;
  std::optional<RequestPerfMetrics> requestPerfMetrics;
  std::vector<AdditionalOutput> additionalOutputs;
};

class Response {
 public:
  Response(IdType requestId, std::string errorMsg, std::optional<IdType> clientId = std::nullopt);
  Response(IdType requestId, Result Result, std::optional<IdType> clientId = std::nullopt);
  ~Response();
  Response(Response const& other);
  Response(Response&& other) noexcept;
  Response& operator=(Response const& other);
  Response& operator=(Response&& other) noexcept;

  [[nodiscard]] IdType getRequestId() const;
  [[nodiscard]] std::optional<IdType> getClientId() const;
  [[nodiscard]] bool hasError() const;
  [[nodiscard]] std::string const& getErrorMsg() const;
  [[nodiscard]] Result const& getResult() const;

 private:
  friend class Serialization;
  class Impl;
  std::unique_ptr<Impl> mImpl;
};

class Executor {
 public:
  Executor(std::filesystem::path const& modelPath, ModelType modelType, ExecutorConfig const& executorConfig);
  ~Executor();
  Executor(Executor const& executor) = delete;
  Executor& operator=(Executor const& executor) = delete;
  Executor(Executor&&) = default;
  Executor& operator=(Executor&&) = default;

  [[nodiscard]] IdType enqueueRequest(Request const& request);
  [[nodiscard]] std::vector<IdType> enqueueRequests(std::vector<Request> const& requests);
  [[nodiscard]] std::vector<Response> awaitResponses(
      std::optional<std::chrono::milliseconds> const& timeout = std::nullopt);
  [[nodiscard]] std::vector<Response> awaitResponses(
      IdType const& requestId, std::optional<std::chrono::milliseconds> const& timeout = std::nullopt);
  [[nodiscard]] std::vector<std::vector<Response>> awaitResponses(
      std::vector<IdType> const& requestIds, std::optional<std::chrono::milliseconds> const& timeout = std::nullopt);
  [[nodiscard]] SizeType32 getNumResponsesReady(std::optional<IdType> const& requestId = std::nullopt) const;
  void cancelRequest(IdType requestId);
  void shutdown();
  std::deque<IterationStats> getLatestIterationStats();
  std::deque<RequestStatsPerIteration> getLatestRequestStats();
  [[nodiscard]] bool canEnqueueRequests() const;
  [[nodiscard]] bool isParticipant() const;

 private:
  class Impl;
  std::unique_ptr<Impl> mImpl;
};

class JsonSerialization {
 public:
  [[nodiscard]] static std::string toJsonStr(IterationStats const& iterationStats);
  [[nodiscard]] static std::string toJsonStr(RequestStatsPerIteration const& requestStatsPerIter);
  [[nodiscard]] static std::string toJsonStr(RequestStats const& requestStats);
};

}  // namespace tensorrt_llm::executor
