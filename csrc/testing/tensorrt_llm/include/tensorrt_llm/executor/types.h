// Declarations, of release 1.2.1, of only what csrc/tensorrt uses.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tensorrt_llm::runtime {
class CudaStream;
}

namespace tensorrt_llm::executor {

class Request;
class Tensor;

using SizeType32 = std::int32_t;
using SizeType64 = std::int64_t;
using FloatType = float;
using TokenIdType = std::int32_t;
using VecTokens = std::vector<TokenIdType>;
using BeamTokens = std::vector<VecTokens>;
using IdType = std::uint64_t;
using IterationType = std::uint64_t;
using RandomSeedType = std::uint64_t;
using VecLogProbs = std::vector<FloatType>;
using StreamPtr = std::shared_ptr<tensorrt_llm::runtime::CudaStream>;
using MillisecondsType = std::chrono::milliseconds;
using CacheSaltIDType = std::uint64_t;
using PriorityType = float;
using LogitsPostProcessor =
    std::function<void(IdType, Tensor&, BeamTokens const&, StreamPtr const&, std::optional<IdType>)>;

enum class DataType { kBOOL, kUINT8, kINT8, kINT32, kINT64, kBF16, kFP8, kFP16, kFP32, kUNKNOWN };
enum class MemoryType { kCPU, kCPU_PINNED, kCPU_PINNEDPOOL, kGPU, kUVM, kUNKNOWN };
enum class ModelType { kDECODER_ONLY = 0, kENCODER_ONLY = 1, kENCODER_DECODER = 2 };
enum class BatchingType { kSTATIC = 0, kINFLIGHT = 1 };
enum class CapacitySchedulerPolicy { kMAX_UTILIZATION = 0, kGUARANTEED_NO_EVICT = 1, kSTATIC_BATCH = 2 };
enum class ContextChunkingPolicy { kFIRST_COME_FIRST_SERVED = 0, kEQUAL_PROGRESS = 1 };
enum class CommunicationType { kMPI = 0 };
enum class CommunicationMode { kLEADER, kORCHESTRATOR };
enum class RequestType {
  REQUEST_TYPE_CONTEXT_AND_GENERATION = 0,
  REQUEST_TYPE_CONTEXT_ONLY = 1,
  REQUEST_TYPE_GENERATION_ONLY = 2
};
enum class RequestStage {
  kQUEUED,
  kENCODER_IN_PROGRESS,
  kCONTEXT_IN_PROGRESS,
  kGENERATION_IN_PROGRESS,
  kGENERATION_COMPLETE
};
enum class FinishReason {
  kNOT_FINISHED = 0,
  kEND_ID = 1,
  kSTOP_WORDS = 2,
  kLENGTH = 3,
  kTIMED_OUT = 4,
  kCANCELLED = 5
};

struct KvCacheStats {
  SizeType32 maxNumBlocks;
  SizeType32 freeNumBlocks;
  SizeType32 usedNumBlocks;
  SizeType32 tokensPerBlock;
  SizeType32 allocTotalBlocks;
  SizeType32 allocNewBlocks;
  SizeType32 reusedBlocks;
  SizeType32 missedBlocks;
  float cacheHitRate;
};

struct StaticBatchingStats {
  SizeType32 numScheduledRequests;
  SizeType32 numContextRequests;
  SizeType32 numCtxTokens;
  SizeType32 numGenTokens;
  SizeType32 emptyGenSlots;
};

struct InflightBatchingStats {
  SizeType32 numScheduledRequests;
  SizeType32 numContextRequests;
  SizeType32 numGenRequests;
  SizeType32 numPausedRequests;
  SizeType32 numCtxTokens;
  SizeType32 microBatchId;
  float avgNumDecodedTokensPerIter;
};

struct SpecDecodingStats {
  SizeType64 numDraftTokens;
  SizeType64 numAcceptedTokens;
  SizeType64 numRequestsWithDraftTokens;
  double acceptanceLength;
  double iterLatencyMS;
  double draftOverhead;
};

struct IterationStats {
  std::string timestamp;
  IterationType iter;
  double iterLatencyMS;
  double newActiveRequestsQueueLatencyMS;
  SizeType32 numNewActiveRequests;
  SizeType32 numActiveRequests;
  SizeType32 numQueuedRequests;
  SizeType32 numCompletedRequests;
  SizeType32 maxNumActiveRequests;
  SizeType32 maxBatchSizeStatic;
  SizeType32 maxBatchSizeTunerRecommended;
  SizeType32 maxBatchSizeRuntime;
  SizeType32 maxNumTokensStatic;
  SizeType32 maxNumTokensTunerRecommended;
  SizeType32 maxNumTokensRuntime;
  std::size_t gpuMemUsage;
  std::size_t cpuMemUsage;
  std::size_t pinnedMemUsage;
  std::optional<KvCacheStats> kvCacheStats;
  std::optional<KvCacheStats> crossKvCacheStats;
  std::optional<StaticBatchingStats> staticBatchingStats;
  std::optional<InflightBatchingStats> inflightBatchingStats;
  std::optional<SpecDecodingStats> specDecodingStats;
};

struct DisServingRequestStats {
  double kvCacheTransferMS;
  std::size_t kvCacheSize;
};

struct RequestStats {
  IdType id;
  RequestStage stage;
  SizeType32 contextPrefillPosition;
  SizeType32 numGeneratedTokens;
  float avgNumDecodedTokensPerIter;
  bool scheduled;
  bool paused;
  std::optional<DisServingRequestStats> disServingStats;
  SizeType32 allocTotalBlocksPerRequest;
  SizeType32 allocNewBlocksPerRequest;
  SizeType32 reusedBlocksPerRequest;
  SizeType32 missedBlocksPerRequest;
  FloatType kvCacheHitRatePerRequest;
};

struct RequestStatsPerIteration {
  IterationType iter;
  std::vector<RequestStats> requestStats;
};

struct RequestPerfMetrics {
  using TimePoint = std::chrono::time_point<std::chrono::steady_clock>;

  struct TimingMetrics {
    TimePoint arrivalTime;
    TimePoint firstScheduledTime;
    TimePoint firstTokenTime;
    TimePoint lastTokenTime;
    TimePoint kvCacheTransferStart;
    TimePoint kvCacheTransferEnd;
    mutable std::size_t kvCacheSize = 0;
  };

  struct KvCacheMetrics {
    SizeType32 numTotalAllocatedBlocks{0};
    SizeType32 numNewAllocatedBlocks{0};
    SizeType32 numReusedBlocks{0};
    SizeType32 numMissedBlocks{0};
    FloatType kvCacheHitRate{0.f};
  };

  struct SpeculativeDecodingMetrics {
    FloatType acceptanceRate{0.f};
    SizeType32 totalAcceptedDraftTokens{0};
    SizeType32 totalDraftTokens{0};
  };

  TimingMetrics timingMetrics;
  KvCacheMetrics kvCacheMetrics;
  SpeculativeDecodingMetrics speculativeDecoding;
  std::optional<IterationType> firstIter;
  std::optional<IterationType> lastIter;
  std::optional<IterationType> iter;
};

}  // namespace tensorrt_llm::executor
