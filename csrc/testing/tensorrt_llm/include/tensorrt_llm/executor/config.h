// Declarations, of release 1.2.1, of only what csrc/tensorrt uses.
// Upstream has these in executor.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::mpi {
class MpiComm;
}

namespace tensorrt_llm::runtime {
struct RuntimeDefaults {
  std::optional<std::vector<std::int32_t>> maxAttentionWindowVec;
  std::optional<std::int32_t> sinkTokenLength;
};
}  // namespace tensorrt_llm::runtime

namespace tensorrt_llm::executor {

class Serialization;

// Only named in constructors, and never given.
class PeftCacheConfig {};
class LogitsPostProcessorConfig {};
class DecodingConfig {};
class DebugConfig {};
class SpeculativeDecodingConfig {};
class GuidedDecodingConfig {};
class CacheTransceiverConfig {};
class AdditionalModelOutput {};
using RetentionPriority = SizeType32;

class DynamicBatchConfig {
 public:
  static SizeType32 const kDefaultDynamicBatchMovingAverageWindow = 128;
  static std::vector<std::pair<SizeType32, SizeType32>> const kDefaultBatchSizeTable;

  explicit DynamicBatchConfig(bool enableBatchSizeTuning = false, bool enableMaxNumTokensTuning = false,
                              SizeType32 dynamicBatchMovingAverageWindow = kDefaultDynamicBatchMovingAverageWindow,
                              std::vector<std::pair<SizeType32, SizeType32>> batchSizeTable = kDefaultBatchSizeTable);
};

class SchedulerConfig {
 public:
  explicit SchedulerConfig(
      CapacitySchedulerPolicy capacitySchedulerPolicy = CapacitySchedulerPolicy::kGUARANTEED_NO_EVICT,
      std::optional<ContextChunkingPolicy> contextChunkingPolicy = std::nullopt,
      std::optional<DynamicBatchConfig> dynamicBatchConfig = std::nullopt);

  [[nodiscard]] CapacitySchedulerPolicy getCapacitySchedulerPolicy() const;
  [[nodiscard]] std::optional<ContextChunkingPolicy> getContextChunkingPolicy() const;
  [[nodiscard]] std::optional<DynamicBatchConfig> getDynamicBatchConfig() const;

 private:
  friend class Serialization;
  CapacitySchedulerPolicy mCapacitySchedulerPolicy;
  std::optional<ContextChunkingPolicy> mContextChunkingPolicy;
  std::optional<DynamicBatchConfig> mDynamicBatchConfig;
};

class KvCacheConfig {
 public:
  explicit KvCacheConfig(bool enableBlockReuse = true, std::optional<SizeType32> const& maxTokens = std::nullopt,
                         std::optional<std::vector<SizeType32>> const& maxAttentionWindowVec = std::nullopt,
                         std::optional<SizeType32> const& sinkTokenLength = std::nullopt,
                         std::optional<FloatType> const& freeGpuMemoryFraction = std::nullopt,
                         std::optional<std::size_t> const& hostCacheSize = std::nullopt, bool onboardBlocks = true,
                         std::optional<FloatType> const& crossKvCacheFraction = std::nullopt,
                         std::optional<RetentionPriority> secondaryOffloadMinPriority = std::nullopt,
                         std::size_t eventBufferMaxSize = 0, bool enablePartialReuse = true,
                         bool copyOnPartialReuse = true, bool useUvm = false,
                         SizeType32 attentionDpEventsGatherPeriodMs = 5,
                         std::optional<tensorrt_llm::runtime::RuntimeDefaults> const& runtimeDefaults = std::nullopt,
                         std::uint64_t const& maxGpuTotalBytes = 0);

  [[nodiscard]] bool getEnableBlockReuse() const;
  [[nodiscard]] bool getEnablePartialReuse() const;
  [[nodiscard]] bool getCopyOnPartialReuse() const;
  [[nodiscard]] std::optional<SizeType32> getMaxTokens() const;
  [[nodiscard]] std::optional<std::vector<SizeType32>> getMaxAttentionWindowVec() const;
  [[nodiscard]] std::optional<SizeType32> getSinkTokenLength() const;
  [[nodiscard]] std::optional<FloatType> getFreeGpuMemoryFraction() const;
  [[nodiscard]] std::optional<std::size_t> getHostCacheSize() const;

  void setEnableBlockReuse(bool enableBlockReuse);
  void setEnablePartialReuse(bool enablePartialReuse);
  void setCopyOnPartialReuse(bool copyOnPartialReuse);
  void setMaxTokens(std::optional<SizeType32> maxTokens);
  void setMaxAttentionWindowVec(std::vector<SizeType32> maxAttentionWindowVec);
  void setSinkTokenLength(SizeType32 sinkTokenLength);
  void setFreeGpuMemoryFraction(FloatType freeGpuMemoryFraction);
  void setHostCacheSize(std::size_t hostCacheSize);

 private:
  friend class Serialization;
  bool mEnableBlockReuse, mEnablePartialReuse, mCopyOnPartialReuse;
  std::optional<SizeType32> mMaxTokens;
  std::optional<std::vector<SizeType32>> mMaxAttentionWindowVec;
  std::optional<SizeType32> mSinkTokenLength;
  std::optional<FloatType> mFreeGpuMemoryFraction;
  std::optional<std::size_t> mHostCacheSize;
};

class ExtendedRuntimePerfKnobConfig {
 public:
  explicit ExtendedRuntimePerfKnobConfig(bool multiBlockMode = true, bool enableContextFMHAFP32Acc = false,
                                         bool cudaGraphMode = false, SizeType32 cudaGraphCacheSize = 0);

  [[nodiscard]] bool getMultiBlockMode() const;
  [[nodiscard]] bool getEnableContextFMHAFP32Acc() const;
  [[nodiscard]] bool getCudaGraphMode() const;
  [[nodiscard]] SizeType32 getCudaGraphCacheSize() const;

  void setMultiBlockMode(bool multiBlockMode);
  void setEnableContextFMHAFP32Acc(bool enableContextFMHAFP32Acc);
  void setCudaGraphMode(bool cudaGraphMode);
  void setCudaGraphCacheSize(SizeType32 cacheSize);

 private:
  bool mMultiBlockMode, mEnableContextFMHAFP32Acc, mCudaGraphMode;
  SizeType32 mCudaGraphCacheSize;
};

class OrchestratorConfig {
 public:
  explicit OrchestratorConfig(bool isOrchestrator = true, std::string workerExecutablePath = "",
                              std::shared_ptr<mpi::MpiComm> orchLeaderComm = nullptr, bool spawnProcesses = true);

  [[nodiscard]] bool getIsOrchestrator() const;
  [[nodiscard]] std::string getWorkerExecutablePath() const;
  [[nodiscard]] bool getSpawnProcesses() const;

  void setIsOrchestrator(bool isOrchestrator);
  void setWorkerExecutablePath(std::string const& workerExecutablePath);
  void setSpawnProcesses(bool spawnProcesses);

 private:
  friend class Serialization;
  bool mIsOrchestrator;
  std::string mWorkerExecutablePath;
  bool mSpawnProcesses;
};

class ParallelConfig {
 public:
  explicit ParallelConfig(CommunicationType commType = CommunicationType::kMPI,
                          CommunicationMode commMode = CommunicationMode::kLEADER,
                          std::optional<std::vector<SizeType32>> deviceIds = std::nullopt,
                          std::optional<std::vector<SizeType32>> participantIds = std::nullopt,
                          std::optional<OrchestratorConfig> const& orchestratorConfig = std::nullopt,
                          std::optional<SizeType32> numNodes = std::nullopt);

  [[nodiscard]] CommunicationType getCommunicationType() const;
  [[nodiscard]] CommunicationMode getCommunicationMode() const;
  [[nodiscard]] std::optional<std::vector<SizeType32>> getDeviceIds() const;
  [[nodiscard]] std::optional<std::vector<SizeType32>> getParticipantIds() const;
  [[nodiscard]] std::optional<OrchestratorConfig> getOrchestratorConfig() const;
  [[nodiscard]] std::optional<SizeType32> getNumNodes() const;

  void setCommunicationType(CommunicationType type);
  void setCommunicationMode(CommunicationMode mode);
  void setDeviceIds(std::vector<SizeType32> const& deviceIds);
  void setParticipantIds(std::vector<SizeType32> const& participantIds);
  void setOrchestratorConfig(OrchestratorConfig const& orchestratorConfig);
  void setNumNodes(SizeType32 numNodes);

 private:
  friend class Serialization;
  CommunicationType mCommType;
  CommunicationMode mCommMode;
  std::optional<std::vector<SizeType32>> mDeviceIds, mParticipantIds;
  std::optional<OrchestratorConfig> mOrchestratorConfig;
  std::optional<SizeType32> mNumNodes;
};

class ExecutorConfig {
 public:
  static constexpr std::uint64_t kDefaultMaxSeqIdleMicroseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::minutes(3)).count();
  static constexpr SizeType32 kDefaultIterStatsMaxIterations = 1000;
  static constexpr SizeType32 kDefaultRequestStatsMaxIterations = 0;

  explicit ExecutorConfig(
      SizeType32 maxBeamWidth = 1, SchedulerConfig schedulerConfig = SchedulerConfig(),
      KvCacheConfig kvCacheConfig = KvCacheConfig(), bool enableChunkedContext = true, bool normalizeLogProbs = true,
      SizeType32 iterStatsMaxIterations = kDefaultIterStatsMaxIterations,
      SizeType32 requestStatsMaxIterations = kDefaultRequestStatsMaxIterations,
      BatchingType batchingType = BatchingType::kINFLIGHT, std::optional<SizeType32> maxBatchSize = std::nullopt,
      std::optional<SizeType32> maxNumTokens = std::nullopt,
      std::optional<ParallelConfig> parallelConfig = std::nullopt,
      std::optional<PeftCacheConfig> const& peftCacheConfig = std::nullopt,
      std::optional<LogitsPostProcessorConfig> logitsPostProcessorConfig = std::nullopt,
      std::optional<DecodingConfig> decodingConfig = std::nullopt, bool useGpuDirectStorage = false,
      float gpuWeightsPercent = 1, std::optional<SizeType32> maxQueueSize = std::nullopt,
      ExtendedRuntimePerfKnobConfig const& extendedRuntimePerfKnobConfig = ExtendedRuntimePerfKnobConfig(),
      std::optional<DebugConfig> debugConfig = std::nullopt, SizeType32 recvPollPeriodMs = 0,
      std::uint64_t maxSeqIdleMicroseconds = kDefaultMaxSeqIdleMicroseconds,
      std::optional<SpeculativeDecodingConfig> specDecConfig = std::nullopt,
      std::optional<GuidedDecodingConfig> guidedDecodingConfig = std::nullopt,
      std::optional<std::vector<AdditionalModelOutput>> additionalModelOutputs = std::nullopt,
      std::optional<CacheTransceiverConfig> cacheTransceiverConfig = std::nullopt, bool gatherGenerationLogits = false,
      bool promptTableOffloading = false, bool enableTrtOverlap = false,
      bool failFastOnAttentionWindowTooLarge = false);

  [[nodiscard]] SizeType32 getMaxBeamWidth() const;
  [[nodiscard]] SchedulerConfig getSchedulerConfig() const;
  [[nodiscard]] KvCacheConfig getKvCacheConfig() const;
  [[nodiscard]] bool getEnableChunkedContext() const;
  [[nodiscard]] bool getNormalizeLogProbs() const;
  [[nodiscard]] SizeType32 getIterStatsMaxIterations() const;
  [[nodiscard]] SizeType32 getRequestStatsMaxIterations() const;
  [[nodiscard]] BatchingType getBatchingType() const;
  [[nodiscard]] std::optional<SizeType32> getMaxBatchSize() const;
  [[nodiscard]] std::optional<SizeType32> getMaxNumTokens() const;
  [[nodiscard]] std::optional<ParallelConfig> getParallelConfig() const;
  [[nodiscard]] float getGpuWeightsPercent() const;
  [[nodiscard]] std::optional<SizeType32> getMaxQueueSize() const;
  [[nodiscard]] ExtendedRuntimePerfKnobConfig getExtendedRuntimePerfKnobConfig() const;
  [[nodiscard]] SizeType32 getRecvPollPeriodMs() const;
  [[nodiscard]] std::uint64_t getMaxSeqIdleMicroseconds() const;
  [[nodiscard]] bool getGatherGenerationLogits() const;

  void setMaxBeamWidth(SizeType32 maxBeamWidth);
  void setMaxBatchSize(SizeType32 maxBatchSize);
  void setMaxNumTokens(SizeType32 maxNumTokens);
  void setSchedulerConfig(SchedulerConfig const& schedulerConfig);
  void setKvCacheConfig(KvCacheConfig const& kvCacheConfig);
  void setEnableChunkedContext(bool enableChunkedContext);
  void setNormalizeLogProbs(bool normalizeLogProbs);
  void setIterStatsMaxIterations(SizeType32 iterStatsMaxIterations);
  void setRequestStatsMaxIterations(SizeType32 requestStatsMaxIterations);
  void setBatchingType(BatchingType batchingType);
  void setParallelConfig(ParallelConfig const& parallelConfig);
  void setGpuWeightsPercent(float const& gpuWeightsPercent);
  void setMaxQueueSize(std::optional<SizeType32> const& maxQueueSize);
  void setExtendedRuntimePerfKnobConfig(ExtendedRuntimePerfKnobConfig const& extendedRuntimePerfKnobConfig);
  void setRecvPollPeriodMs(SizeType32 const& recvPollPeriodMs);
  void setMaxSeqIdleMicroseconds(std::uint64_t maxSeqIdleMicroseconds);
  void setGatherGenerationLogits(bool gatherGenerationLogits);

 private:
  friend class Serialization;
  SizeType32 mMaxBeamWidth;
  SchedulerConfig mSchedulerConfig;
  KvCacheConfig mKvCacheConfig;
  bool mEnableChunkedContext, mNormalizeLogProbs;
  SizeType32 mIterStatsMaxIterations, mRequestStatsMaxIterations;
  BatchingType mBatchingType;
  std::optional<SizeType32> mMaxBatchSize, mMaxNumTokens;
  std::optional<ParallelConfig> mParallelConfig;
  float mGpuWeightsPercent;
  std::optional<SizeType32> mMaxQueueSize;
  ExtendedRuntimePerfKnobConfig mExtendedRuntimePerfKnobConfig;
  SizeType32 mRecvPollPeriodMs;
  std::uint64_t mMaxSeqIdleMicroseconds;
  bool mGatherGenerationLogits;
};

}  // namespace tensorrt_llm::executor
