// The configuration of an executor: release 1.2.1, cpp/include/tensorrt_llm/executor/executor.h.
#include "executorconfig.h"

#if TRTGO_HAS_EXECUTOR

#include "settings.h"

namespace trtgo {
namespace tensorrt {
namespace {

using tensorrt_llm::executor::BatchingType;
using tensorrt_llm::executor::CapacitySchedulerPolicy;
using tensorrt_llm::executor::CommunicationMode;
using tensorrt_llm::executor::ExecutorConfig;
using tensorrt_llm::executor::ExtendedRuntimePerfKnobConfig;
using tensorrt_llm::executor::KvCacheConfig;
using tensorrt_llm::executor::OrchestratorConfig;
using tensorrt_llm::executor::ParallelConfig;
using tensorrt_llm::executor::SchedulerConfig;

const char* const kEntry = "trtgo_executor_open";

constexpr Setting<ExecutorConfig> kExecutorSettings[] = {
    TRTGO_SETTING("maxBeamWidth", ExecutorConfig, setMaxBeamWidth, small),
    TRTGO_SETTING("maxBatchSize", ExecutorConfig, setMaxBatchSize, small),
    TRTGO_SETTING("maxNumTokens", ExecutorConfig, setMaxNumTokens, small),
    TRTGO_SETTING("maxQueueSize", ExecutorConfig, setMaxQueueSize, small),
    TRTGO_SETTING("iterStatsMaxIterations", ExecutorConfig, setIterStatsMaxIterations, small),
    TRTGO_SETTING("requestStatsMaxIterations", ExecutorConfig, setRequestStatsMaxIterations, small),
    TRTGO_SETTING("maxSeqIdleMicroseconds", ExecutorConfig, setMaxSeqIdleMicroseconds, natural),
    TRTGO_SETTING("enableChunkedContext", ExecutorConfig, setEnableChunkedContext, flag),
    TRTGO_SETTING("gatherGenerationLogits", ExecutorConfig, setGatherGenerationLogits, flag),
    TRTGO_SETTING("gpuWeightsPercent", ExecutorConfig, setGpuWeightsPercent, number),
    TRTGO_SETTING("recvPollPeriodMs", ExecutorConfig, setRecvPollPeriodMs, small),
};

constexpr Setting<KvCacheConfig> kCacheSettings[] = {
    TRTGO_SETTING("enableBlockReuse", KvCacheConfig, setEnableBlockReuse, flag),
    TRTGO_SETTING("maxTokens", KvCacheConfig, setMaxTokens, small),
    TRTGO_SETTING("hostCacheSize", KvCacheConfig, setHostCacheSize, natural),
    TRTGO_SETTING("maxAttentionWindow", KvCacheConfig, setMaxAttentionWindowVec, smalls),
    TRTGO_SETTING("freeGpuMemoryFraction", KvCacheConfig, setFreeGpuMemoryFraction, number),
};

constexpr Setting<ExtendedRuntimePerfKnobConfig> kKnobSettings[] = {
    TRTGO_SETTING("multiBlockMode", ExtendedRuntimePerfKnobConfig, setMultiBlockMode, flag),
    TRTGO_SETTING("cudaGraphMode", ExtendedRuntimePerfKnobConfig, setCudaGraphMode, flag),
    TRTGO_SETTING("cudaGraphCacheSize", ExtendedRuntimePerfKnobConfig, setCudaGraphCacheSize, small),
    TRTGO_SETTING("contextFMHAFP32Acc", ExtendedRuntimePerfKnobConfig, setEnableContextFMHAFP32Acc, flag),
};

constexpr Setting<ParallelConfig> kParallelSettings[] = {
    TRTGO_SETTING("deviceIds", ParallelConfig, setDeviceIds, smalls),
    TRTGO_SETTING("participantIds", ParallelConfig, setParticipantIds, smalls),
    TRTGO_SETTING("numNodes", ParallelConfig, setNumNodes, small),
};

// Checks that an object has what it was given.
void check(bool kept, const char* what) {
  if (kept) return;
  throw Failure(TRTGO_VERSION, what,
                std::string("TensorRT-LLM's ") + what +
                    " does not keep what it is given: the headers that this library was compiled with are not those "
                    "of the TensorRT-LLM that is loaded, though both are called " TRTGO_TRTLLM_VERSION);
}

SchedulerConfig make_scheduler(const std::string& name) {
  CapacitySchedulerPolicy policy;
  if (name == "GUARANTEED_NO_EVICT") {
    policy = CapacitySchedulerPolicy::kGUARANTEED_NO_EVICT;
  } else if (name == "MAX_UTILIZATION") {
    policy = CapacitySchedulerPolicy::kMAX_UTILIZATION;
  } else {
    throw Failure(TRTGO_INVALID, kEntry,
                  "there is no scheduling policy " + name + ": it is GUARANTEED_NO_EVICT or MAX_UTILIZATION");
  }
  const SchedulerConfig scheduler(/*capacitySchedulerPolicy=*/policy);
  check(scheduler.getCapacitySchedulerPolicy() == policy && !scheduler.getContextChunkingPolicy().has_value() &&
            !scheduler.getDynamicBatchConfig().has_value(),
        "SchedulerConfig");
  return scheduler;
}

// The executor starts the worker at path once for each rank of the engine.
OrchestratorConfig make_orchestrator(const std::string& path) {
  const OrchestratorConfig orchestrator =
      attempt(TRTGO_INVALID, "OrchestratorConfig", "TensorRT-LLM refuses workerExecutablePath", [&] {
        return OrchestratorConfig(/*isOrchestrator=*/true, /*workerExecutablePath=*/path,
                                  /*orchLeaderComm=*/nullptr, /*spawnProcesses=*/true);
      });
  check(orchestrator.getIsOrchestrator() && orchestrator.getWorkerExecutablePath() == path &&
            orchestrator.getSpawnProcesses(),
        "OrchestratorConfig");
  return orchestrator;
}

}  // namespace

ExecutorConfig make_config(const trtgo_executor_options& options) {
  Settings settings(options.settings, options.num_settings, kEntry);
  ExecutorConfig config;
  config.setBatchingType(BatchingType::kINFLIGHT);  // the other one makes the constructor of Executor throw
  config.setNormalizeLogProbs(false);
  config.setIterStatsMaxIterations(1000);
  apply(config, kExecutorSettings, settings);

  KvCacheConfig cache;
  apply(cache, kCacheSettings, settings);
  config.setKvCacheConfig(cache);
  ExtendedRuntimePerfKnobConfig knobs;
  apply(knobs, kKnobSettings, settings);
  config.setExtendedRuntimePerfKnobConfig(knobs);
  if (settings.has("capacitySchedulerPolicy")) {
    config.setSchedulerConfig(make_scheduler(settings.text("capacitySchedulerPolicy")));
  }
  ParallelConfig parallel;
  bool is_parallel = apply(parallel, kParallelSettings, settings);
  if (settings.has("workerExecutablePath")) {
    parallel.setOrchestratorConfig(make_orchestrator(settings.text("workerExecutablePath")));
    parallel.setCommunicationMode(CommunicationMode::kORCHESTRATOR);
    is_parallel = true;
  }
  if (is_parallel) config.setParallelConfig(parallel);
  settings.finish();

  check(config.getBatchingType() == BatchingType::kINFLIGHT && !config.getNormalizeLogProbs() &&
            config.getParallelConfig().has_value() == is_parallel,
        "ExecutorConfig");
  const KvCacheConfig kept = config.getKvCacheConfig();
  check(kept.getEnableBlockReuse() == cache.getEnableBlockReuse() && kept.getMaxTokens() == cache.getMaxTokens() &&
            kept.getFreeGpuMemoryFraction() == cache.getFreeGpuMemoryFraction(),
        "KvCacheConfig");
  return config;
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR
