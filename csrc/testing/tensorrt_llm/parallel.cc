// Which processes and GPUs an engine runs on.
#include <filesystem>

#include "access.h"
#include "exception.h"

namespace tensorrt_llm::executor {

OrchestratorConfig::OrchestratorConfig(bool isOrchestrator, std::string workerExecutablePath,
                                       std::shared_ptr<mpi::MpiComm>, bool spawnProcesses)
    : mIsOrchestrator{isOrchestrator},
      mWorkerExecutablePath{std::move(workerExecutablePath)},
      mSpawnProcesses{spawnProcesses} {
  STANDIN_ENTRY("OrchestratorConfig::OrchestratorConfig");
  STANDIN_CHECK(!isOrchestrator || !spawnProcesses || std::filesystem::exists(mWorkerExecutablePath),
                "workerExecutablePath does not exist: " + mWorkerExecutablePath);
}

bool OrchestratorConfig::getIsOrchestrator() const {
  STANDIN_ENTRY("OrchestratorConfig::getIsOrchestrator");
  return mIsOrchestrator;
}

std::string OrchestratorConfig::getWorkerExecutablePath() const {
  STANDIN_ENTRY("OrchestratorConfig::getWorkerExecutablePath");
  if (trtllm_standin::forgets("OrchestratorConfig")) return "";
  return mWorkerExecutablePath;
}

bool OrchestratorConfig::getSpawnProcesses() const {
  STANDIN_ENTRY("OrchestratorConfig::getSpawnProcesses");
  return mSpawnProcesses;
}

void OrchestratorConfig::setIsOrchestrator(bool isOrchestrator) {
  STANDIN_ENTRY("OrchestratorConfig::setIsOrchestrator");
  mIsOrchestrator = isOrchestrator;
}

void OrchestratorConfig::setWorkerExecutablePath(std::string const& workerExecutablePath) {
  STANDIN_ENTRY("OrchestratorConfig::setWorkerExecutablePath");
  mWorkerExecutablePath = workerExecutablePath;
}

void OrchestratorConfig::setSpawnProcesses(bool spawnProcesses) {
  STANDIN_ENTRY("OrchestratorConfig::setSpawnProcesses");
  mSpawnProcesses = spawnProcesses;
}

ParallelConfig::ParallelConfig(CommunicationType commType, CommunicationMode commMode,
                               std::optional<std::vector<SizeType32>> deviceIds,
                               std::optional<std::vector<SizeType32>> participantIds,
                               std::optional<OrchestratorConfig> const& orchestratorConfig,
                               std::optional<SizeType32> numNodes)
    : mCommType{commType},
      mCommMode{commMode},
      mDeviceIds{std::move(deviceIds)},
      mParticipantIds{std::move(participantIds)},
      mOrchestratorConfig{orchestratorConfig},
      mNumNodes{numNodes} {
  STANDIN_ENTRY("ParallelConfig::ParallelConfig");
}

CommunicationType ParallelConfig::getCommunicationType() const {
  STANDIN_ENTRY("ParallelConfig::getCommunicationType");
  return mCommType;
}

CommunicationMode ParallelConfig::getCommunicationMode() const {
  STANDIN_ENTRY("ParallelConfig::getCommunicationMode");
  return mCommMode;
}

std::optional<std::vector<SizeType32>> ParallelConfig::getDeviceIds() const {
  STANDIN_ENTRY("ParallelConfig::getDeviceIds");
  return mDeviceIds;
}

std::optional<std::vector<SizeType32>> ParallelConfig::getParticipantIds() const {
  STANDIN_ENTRY("ParallelConfig::getParticipantIds");
  return mParticipantIds;
}

std::optional<OrchestratorConfig> ParallelConfig::getOrchestratorConfig() const {
  STANDIN_ENTRY("ParallelConfig::getOrchestratorConfig");
  return mOrchestratorConfig;
}

std::optional<SizeType32> ParallelConfig::getNumNodes() const {
  STANDIN_ENTRY("ParallelConfig::getNumNodes");
  return mNumNodes;
}

void ParallelConfig::setCommunicationType(CommunicationType type) {
  STANDIN_ENTRY("ParallelConfig::setCommunicationType");
  mCommType = type;
}

void ParallelConfig::setCommunicationMode(CommunicationMode mode) {
  STANDIN_ENTRY("ParallelConfig::setCommunicationMode");
  mCommMode = mode;
}

void ParallelConfig::setDeviceIds(std::vector<SizeType32> const& deviceIds) {
  STANDIN_ENTRY("ParallelConfig::setDeviceIds");
  STANDIN_CHECK(!deviceIds.empty(), "deviceIds must not be empty");
  mDeviceIds = deviceIds;
}

void ParallelConfig::setParticipantIds(std::vector<SizeType32> const& participantIds) {
  STANDIN_ENTRY("ParallelConfig::setParticipantIds");
  STANDIN_CHECK(!participantIds.empty(), "participantIds must not be empty");
  mParticipantIds = participantIds;
}

void ParallelConfig::setOrchestratorConfig(OrchestratorConfig const& orchestratorConfig) {
  STANDIN_ENTRY("ParallelConfig::setOrchestratorConfig");
  mOrchestratorConfig = orchestratorConfig;
}

void ParallelConfig::setNumNodes(SizeType32 numNodes) {
  STANDIN_ENTRY("ParallelConfig::setNumNodes");
  mNumNodes = numNodes;
}

}  // namespace tensorrt_llm::executor
