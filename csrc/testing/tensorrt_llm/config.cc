// The settings of an executor.
#include "access.h"
#include "exception.h"

namespace tensorrt_llm::executor {
namespace {

void checkFraction(const std::optional<FloatType>& fraction) {
  STANDIN_CHECK(!fraction || (*fraction > 0.f && *fraction < 1.f), "freeGpuMemoryFraction is out of range (0, 1)");
}

void checkStats(SizeType32 iterations, const std::string& name) {
  STANDIN_CHECK(iterations >= 0, name + " must be >= 0");
}

}  // namespace

std::vector<std::pair<SizeType32, SizeType32>> const DynamicBatchConfig::kDefaultBatchSizeTable{{144, 128}, {336, 256}};

DynamicBatchConfig::DynamicBatchConfig(bool, bool, SizeType32, std::vector<std::pair<SizeType32, SizeType32>>) {
  STANDIN_ENTRY("DynamicBatchConfig::DynamicBatchConfig");
}

SchedulerConfig::SchedulerConfig(CapacitySchedulerPolicy capacitySchedulerPolicy,
                                 std::optional<ContextChunkingPolicy> contextChunkingPolicy,
                                 std::optional<DynamicBatchConfig> dynamicBatchConfig)
    : mCapacitySchedulerPolicy{capacitySchedulerPolicy},
      mContextChunkingPolicy{contextChunkingPolicy},
      mDynamicBatchConfig{dynamicBatchConfig} {
  STANDIN_ENTRY("SchedulerConfig::SchedulerConfig");
}

CapacitySchedulerPolicy SchedulerConfig::getCapacitySchedulerPolicy() const {
  STANDIN_ENTRY("SchedulerConfig::getCapacitySchedulerPolicy");
  if (trtllm_standin::forgets("SchedulerConfig")) return CapacitySchedulerPolicy::kSTATIC_BATCH;
  return mCapacitySchedulerPolicy;
}

std::optional<ContextChunkingPolicy> SchedulerConfig::getContextChunkingPolicy() const {
  STANDIN_ENTRY("SchedulerConfig::getContextChunkingPolicy");
  return mContextChunkingPolicy;
}

std::optional<DynamicBatchConfig> SchedulerConfig::getDynamicBatchConfig() const {
  STANDIN_ENTRY("SchedulerConfig::getDynamicBatchConfig");
  return mDynamicBatchConfig;
}

KvCacheConfig::KvCacheConfig(bool enableBlockReuse, std::optional<SizeType32> const& maxTokens,
                             std::optional<std::vector<SizeType32>> const& maxAttentionWindowVec,
                             std::optional<SizeType32> const& sinkTokenLength,
                             std::optional<FloatType> const& freeGpuMemoryFraction,
                             std::optional<std::size_t> const& hostCacheSize, bool, std::optional<FloatType> const&,
                             std::optional<RetentionPriority>, std::size_t, bool enablePartialReuse,
                             bool copyOnPartialReuse, bool, SizeType32,
                             std::optional<tensorrt_llm::runtime::RuntimeDefaults> const&, std::uint64_t const&)
    : mEnableBlockReuse{enableBlockReuse},
      mEnablePartialReuse{enablePartialReuse},
      mCopyOnPartialReuse{copyOnPartialReuse},
      mMaxTokens{maxTokens},
      mMaxAttentionWindowVec{maxAttentionWindowVec},
      mSinkTokenLength{sinkTokenLength},
      mFreeGpuMemoryFraction{freeGpuMemoryFraction},
      mHostCacheSize{hostCacheSize} {
  STANDIN_ENTRY("KvCacheConfig::KvCacheConfig");
  checkFraction(freeGpuMemoryFraction);
}

bool KvCacheConfig::getEnableBlockReuse() const {
  STANDIN_ENTRY("KvCacheConfig::getEnableBlockReuse");
  return mEnableBlockReuse;
}

bool KvCacheConfig::getEnablePartialReuse() const {
  STANDIN_ENTRY("KvCacheConfig::getEnablePartialReuse");
  return mEnablePartialReuse;
}

bool KvCacheConfig::getCopyOnPartialReuse() const {
  STANDIN_ENTRY("KvCacheConfig::getCopyOnPartialReuse");
  return mCopyOnPartialReuse;
}

std::optional<SizeType32> KvCacheConfig::getMaxTokens() const {
  STANDIN_ENTRY("KvCacheConfig::getMaxTokens");
  return mMaxTokens;
}

std::optional<std::vector<SizeType32>> KvCacheConfig::getMaxAttentionWindowVec() const {
  STANDIN_ENTRY("KvCacheConfig::getMaxAttentionWindowVec");
  return mMaxAttentionWindowVec;
}

std::optional<SizeType32> KvCacheConfig::getSinkTokenLength() const {
  STANDIN_ENTRY("KvCacheConfig::getSinkTokenLength");
  return mSinkTokenLength;
}

std::optional<FloatType> KvCacheConfig::getFreeGpuMemoryFraction() const {
  STANDIN_ENTRY("KvCacheConfig::getFreeGpuMemoryFraction");
  return mFreeGpuMemoryFraction;
}

std::optional<std::size_t> KvCacheConfig::getHostCacheSize() const {
  STANDIN_ENTRY("KvCacheConfig::getHostCacheSize");
  return mHostCacheSize;
}

void KvCacheConfig::setEnableBlockReuse(bool enableBlockReuse) {
  STANDIN_ENTRY("KvCacheConfig::setEnableBlockReuse");
  mEnableBlockReuse = enableBlockReuse;
}

void KvCacheConfig::setEnablePartialReuse(bool enablePartialReuse) {
  STANDIN_ENTRY("KvCacheConfig::setEnablePartialReuse");
  mEnablePartialReuse = enablePartialReuse;
}

void KvCacheConfig::setCopyOnPartialReuse(bool copyOnPartialReuse) {
  STANDIN_ENTRY("KvCacheConfig::setCopyOnPartialReuse");
  mCopyOnPartialReuse = copyOnPartialReuse;
}

void KvCacheConfig::setMaxTokens(std::optional<SizeType32> maxTokens) {
  STANDIN_ENTRY("KvCacheConfig::setMaxTokens");
  STANDIN_CHECK(!maxTokens || *maxTokens > 0, "maxTokens is out of range");
  mMaxTokens = maxTokens;
}

void KvCacheConfig::setMaxAttentionWindowVec(std::vector<SizeType32> maxAttentionWindowVec) {
  STANDIN_ENTRY("KvCacheConfig::setMaxAttentionWindowVec");
  for (const SizeType32 window : maxAttentionWindowVec) STANDIN_CHECK(window > 0, "maxAttentionWindow is out of range");
  mMaxAttentionWindowVec = std::move(maxAttentionWindowVec);
}

void KvCacheConfig::setSinkTokenLength(SizeType32 sinkTokenLength) {
  STANDIN_ENTRY("KvCacheConfig::setSinkTokenLength");
  mSinkTokenLength = sinkTokenLength;
}

void KvCacheConfig::setFreeGpuMemoryFraction(FloatType freeGpuMemoryFraction) {
  STANDIN_ENTRY("KvCacheConfig::setFreeGpuMemoryFraction");
  checkFraction(freeGpuMemoryFraction);
  mFreeGpuMemoryFraction = freeGpuMemoryFraction;
}

void KvCacheConfig::setHostCacheSize(std::size_t hostCacheSize) {
  STANDIN_ENTRY("KvCacheConfig::setHostCacheSize");
  mHostCacheSize = hostCacheSize;
}

ExtendedRuntimePerfKnobConfig::ExtendedRuntimePerfKnobConfig(bool multiBlockMode, bool enableContextFMHAFP32Acc,
                                                             bool cudaGraphMode, SizeType32 cudaGraphCacheSize)
    : mMultiBlockMode{multiBlockMode},
      mEnableContextFMHAFP32Acc{enableContextFMHAFP32Acc},
      mCudaGraphMode{cudaGraphMode},
      mCudaGraphCacheSize{cudaGraphCacheSize} {
  STANDIN_ENTRY("ExtendedRuntimePerfKnobConfig::ExtendedRuntimePerfKnobConfig");
}

bool ExtendedRuntimePerfKnobConfig::getMultiBlockMode() const {
  STANDIN_ENTRY("ExtendedRuntimePerfKnobConfig::getMultiBlockMode");
  return mMultiBlockMode;
}

bool ExtendedRuntimePerfKnobConfig::getEnableContextFMHAFP32Acc() const {
  STANDIN_ENTRY("ExtendedRuntimePerfKnobConfig::getEnableContextFMHAFP32Acc");
  return mEnableContextFMHAFP32Acc;
}

bool ExtendedRuntimePerfKnobConfig::getCudaGraphMode() const {
  STANDIN_ENTRY("ExtendedRuntimePerfKnobConfig::getCudaGraphMode");
  return mCudaGraphMode;
}

SizeType32 ExtendedRuntimePerfKnobConfig::getCudaGraphCacheSize() const {
  STANDIN_ENTRY("ExtendedRuntimePerfKnobConfig::getCudaGraphCacheSize");
  return mCudaGraphCacheSize;
}

void ExtendedRuntimePerfKnobConfig::setMultiBlockMode(bool multiBlockMode) {
  STANDIN_ENTRY("ExtendedRuntimePerfKnobConfig::setMultiBlockMode");
  mMultiBlockMode = multiBlockMode;
}

void ExtendedRuntimePerfKnobConfig::setEnableContextFMHAFP32Acc(bool enableContextFMHAFP32Acc) {
  STANDIN_ENTRY("ExtendedRuntimePerfKnobConfig::setEnableContextFMHAFP32Acc");
  mEnableContextFMHAFP32Acc = enableContextFMHAFP32Acc;
}

void ExtendedRuntimePerfKnobConfig::setCudaGraphMode(bool cudaGraphMode) {
  STANDIN_ENTRY("ExtendedRuntimePerfKnobConfig::setCudaGraphMode");
  mCudaGraphMode = cudaGraphMode;
}

void ExtendedRuntimePerfKnobConfig::setCudaGraphCacheSize(SizeType32 cacheSize) {
  STANDIN_ENTRY("ExtendedRuntimePerfKnobConfig::setCudaGraphCacheSize");
  mCudaGraphCacheSize = cacheSize;
}

ExecutorConfig::ExecutorConfig(SizeType32 maxBeamWidth, SchedulerConfig schedulerConfig, KvCacheConfig kvCacheConfig,
                               bool enableChunkedContext, bool normalizeLogProbs, SizeType32 iterStatsMaxIterations,
                               SizeType32 requestStatsMaxIterations, BatchingType batchingType,
                               std::optional<SizeType32> maxBatchSize, std::optional<SizeType32> maxNumTokens,
                               std::optional<ParallelConfig> parallelConfig, std::optional<PeftCacheConfig> const&,
                               std::optional<LogitsPostProcessorConfig>, std::optional<DecodingConfig>, bool,
                               float gpuWeightsPercent, std::optional<SizeType32> maxQueueSize,
                               ExtendedRuntimePerfKnobConfig const& extendedRuntimePerfKnobConfig,
                               std::optional<DebugConfig>, SizeType32 recvPollPeriodMs,
                               std::uint64_t maxSeqIdleMicroseconds, std::optional<SpeculativeDecodingConfig>,
                               std::optional<GuidedDecodingConfig>, std::optional<std::vector<AdditionalModelOutput>>,
                               std::optional<CacheTransceiverConfig>, bool gatherGenerationLogits, bool, bool, bool)
    : mMaxBeamWidth{maxBeamWidth},
      mSchedulerConfig{std::move(schedulerConfig)},
      mKvCacheConfig{std::move(kvCacheConfig)},
      mEnableChunkedContext{enableChunkedContext},
      mNormalizeLogProbs{normalizeLogProbs},
      mIterStatsMaxIterations{iterStatsMaxIterations},
      mRequestStatsMaxIterations{requestStatsMaxIterations},
      mBatchingType{batchingType},
      mMaxBatchSize{maxBatchSize},
      mMaxNumTokens{maxNumTokens},
      mParallelConfig{std::move(parallelConfig)},
      mGpuWeightsPercent{gpuWeightsPercent},
      mMaxQueueSize{maxQueueSize},
      mExtendedRuntimePerfKnobConfig{extendedRuntimePerfKnobConfig},
      mRecvPollPeriodMs{recvPollPeriodMs},
      mMaxSeqIdleMicroseconds{maxSeqIdleMicroseconds},
      mGatherGenerationLogits{gatherGenerationLogits} {
  STANDIN_ENTRY("ExecutorConfig::ExecutorConfig");
  checkStats(iterStatsMaxIterations, "iterStatsMaxIterations");
  checkStats(requestStatsMaxIterations, "requestStatsMaxIterations");
  STANDIN_CHECK(maxBeamWidth > 0, "maxBeamWidth is out of range");
}

SizeType32 ExecutorConfig::getMaxBeamWidth() const {
  STANDIN_ENTRY("ExecutorConfig::getMaxBeamWidth");
  return mMaxBeamWidth;
}

SchedulerConfig ExecutorConfig::getSchedulerConfig() const {
  STANDIN_ENTRY("ExecutorConfig::getSchedulerConfig");
  return mSchedulerConfig;
}

KvCacheConfig ExecutorConfig::getKvCacheConfig() const {
  STANDIN_ENTRY("ExecutorConfig::getKvCacheConfig");
  if (trtllm_standin::forgets("KvCacheConfig")) return KvCacheConfig(/*enableBlockReuse=*/false);
  return mKvCacheConfig;
}

bool ExecutorConfig::getEnableChunkedContext() const {
  STANDIN_ENTRY("ExecutorConfig::getEnableChunkedContext");
  return mEnableChunkedContext;
}

bool ExecutorConfig::getNormalizeLogProbs() const {
  STANDIN_ENTRY("ExecutorConfig::getNormalizeLogProbs");
  if (trtllm_standin::forgets("ExecutorConfig")) return true;
  return mNormalizeLogProbs;
}

SizeType32 ExecutorConfig::getIterStatsMaxIterations() const {
  STANDIN_ENTRY("ExecutorConfig::getIterStatsMaxIterations");
  return mIterStatsMaxIterations;
}

SizeType32 ExecutorConfig::getRequestStatsMaxIterations() const {
  STANDIN_ENTRY("ExecutorConfig::getRequestStatsMaxIterations");
  return mRequestStatsMaxIterations;
}

BatchingType ExecutorConfig::getBatchingType() const {
  STANDIN_ENTRY("ExecutorConfig::getBatchingType");
  return mBatchingType;
}

std::optional<SizeType32> ExecutorConfig::getMaxBatchSize() const {
  STANDIN_ENTRY("ExecutorConfig::getMaxBatchSize");
  return mMaxBatchSize;
}

std::optional<SizeType32> ExecutorConfig::getMaxNumTokens() const {
  STANDIN_ENTRY("ExecutorConfig::getMaxNumTokens");
  return mMaxNumTokens;
}

std::optional<ParallelConfig> ExecutorConfig::getParallelConfig() const {
  STANDIN_ENTRY("ExecutorConfig::getParallelConfig");
  return mParallelConfig;
}

float ExecutorConfig::getGpuWeightsPercent() const {
  STANDIN_ENTRY("ExecutorConfig::getGpuWeightsPercent");
  return mGpuWeightsPercent;
}

std::optional<SizeType32> ExecutorConfig::getMaxQueueSize() const {
  STANDIN_ENTRY("ExecutorConfig::getMaxQueueSize");
  return mMaxQueueSize;
}

ExtendedRuntimePerfKnobConfig ExecutorConfig::getExtendedRuntimePerfKnobConfig() const {
  STANDIN_ENTRY("ExecutorConfig::getExtendedRuntimePerfKnobConfig");
  return mExtendedRuntimePerfKnobConfig;
}

SizeType32 ExecutorConfig::getRecvPollPeriodMs() const {
  STANDIN_ENTRY("ExecutorConfig::getRecvPollPeriodMs");
  return mRecvPollPeriodMs;
}

std::uint64_t ExecutorConfig::getMaxSeqIdleMicroseconds() const {
  STANDIN_ENTRY("ExecutorConfig::getMaxSeqIdleMicroseconds");
  return mMaxSeqIdleMicroseconds;
}

bool ExecutorConfig::getGatherGenerationLogits() const {
  STANDIN_ENTRY("ExecutorConfig::getGatherGenerationLogits");
  return mGatherGenerationLogits;
}

void ExecutorConfig::setMaxBeamWidth(SizeType32 maxBeamWidth) {
  STANDIN_ENTRY("ExecutorConfig::setMaxBeamWidth");
  STANDIN_CHECK(maxBeamWidth > 0, "maxBeamWidth is out of range");
  mMaxBeamWidth = maxBeamWidth;
}

void ExecutorConfig::setMaxBatchSize(SizeType32 maxBatchSize) {
  STANDIN_ENTRY("ExecutorConfig::setMaxBatchSize");
  STANDIN_CHECK(maxBatchSize > 0, "maxBatchSize is out of range");
  mMaxBatchSize = maxBatchSize;
}

void ExecutorConfig::setMaxNumTokens(SizeType32 maxNumTokens) {
  STANDIN_ENTRY("ExecutorConfig::setMaxNumTokens");
  STANDIN_CHECK(maxNumTokens > 0, "maxNumTokens is out of range");
  mMaxNumTokens = maxNumTokens;
}

void ExecutorConfig::setSchedulerConfig(SchedulerConfig const& schedulerConfig) {
  STANDIN_ENTRY("ExecutorConfig::setSchedulerConfig");
  mSchedulerConfig = schedulerConfig;
}

void ExecutorConfig::setKvCacheConfig(KvCacheConfig const& kvCacheConfig) {
  STANDIN_ENTRY("ExecutorConfig::setKvCacheConfig");
  mKvCacheConfig = kvCacheConfig;
}

void ExecutorConfig::setEnableChunkedContext(bool enableChunkedContext) {
  STANDIN_ENTRY("ExecutorConfig::setEnableChunkedContext");
  mEnableChunkedContext = enableChunkedContext;
}

void ExecutorConfig::setNormalizeLogProbs(bool normalizeLogProbs) {
  STANDIN_ENTRY("ExecutorConfig::setNormalizeLogProbs");
  mNormalizeLogProbs = normalizeLogProbs;
}

void ExecutorConfig::setIterStatsMaxIterations(SizeType32 iterStatsMaxIterations) {
  STANDIN_ENTRY("ExecutorConfig::setIterStatsMaxIterations");
  checkStats(iterStatsMaxIterations, "iterStatsMaxIterations");
  mIterStatsMaxIterations = iterStatsMaxIterations;
}

void ExecutorConfig::setRequestStatsMaxIterations(SizeType32 requestStatsMaxIterations) {
  STANDIN_ENTRY("ExecutorConfig::setRequestStatsMaxIterations");
  checkStats(requestStatsMaxIterations, "requestStatsMaxIterations");
  mRequestStatsMaxIterations = requestStatsMaxIterations;
}

void ExecutorConfig::setBatchingType(BatchingType batchingType) {
  STANDIN_ENTRY("ExecutorConfig::setBatchingType");
  mBatchingType = batchingType;
}

void ExecutorConfig::setParallelConfig(ParallelConfig const& parallelConfig) {
  STANDIN_ENTRY("ExecutorConfig::setParallelConfig");
  mParallelConfig = parallelConfig;
}

void ExecutorConfig::setGpuWeightsPercent(float const& gpuWeightsPercent) {
  STANDIN_ENTRY("ExecutorConfig::setGpuWeightsPercent");
  mGpuWeightsPercent = gpuWeightsPercent;
}

void ExecutorConfig::setMaxQueueSize(std::optional<SizeType32> const& maxQueueSize) {
  STANDIN_ENTRY("ExecutorConfig::setMaxQueueSize");
  mMaxQueueSize = maxQueueSize;
}

void ExecutorConfig::setExtendedRuntimePerfKnobConfig(
    ExtendedRuntimePerfKnobConfig const& extendedRuntimePerfKnobConfig) {
  STANDIN_ENTRY("ExecutorConfig::setExtendedRuntimePerfKnobConfig");
  mExtendedRuntimePerfKnobConfig = extendedRuntimePerfKnobConfig;
}

void ExecutorConfig::setRecvPollPeriodMs(SizeType32 const& recvPollPeriodMs) {
  STANDIN_ENTRY("ExecutorConfig::setRecvPollPeriodMs");
  mRecvPollPeriodMs = recvPollPeriodMs;
}

void ExecutorConfig::setMaxSeqIdleMicroseconds(std::uint64_t maxSeqIdleMicroseconds) {
  STANDIN_ENTRY("ExecutorConfig::setMaxSeqIdleMicroseconds");
  mMaxSeqIdleMicroseconds = maxSeqIdleMicroseconds;
}

void ExecutorConfig::setGatherGenerationLogits(bool gatherGenerationLogits) {
  STANDIN_ENTRY("ExecutorConfig::setGatherGenerationLogits");
  mGatherGenerationLogits = gatherGenerationLogits;
}

}  // namespace tensorrt_llm::executor
