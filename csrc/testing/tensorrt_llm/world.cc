#include "world.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "exception.h"

namespace trtllm_standin {
namespace {

namespace tle = tensorrt_llm::executor;

// Upstream's handlers: without SA_ONSTACK, and the end of all processes.
void abortAll(int) { MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE); }

void startMpi() {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized != 0) return;
  int provided = 0;
  STANDIN_CHECK(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided) == MPI_SUCCESS,
                "MPI_Init_thread failed");
  std::atexit([] { MPI_Finalize(); });
  for (const int number : {SIGABRT, SIGSEGV}) std::signal(number, abortAll);
}

bool exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

}  // namespace

World World::join(const Script& script) {
  startMpi();
  script.handlers("constructor");
  World world;
  MPI_Comm_rank(MPI_COMM_WORLD, &world.rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &world.size_);
  if (world.size_ == 1) return world;
  const char* directory = std::getenv("TRTGO_STANDIN_WORLD");
  STANDIN_CHECK(directory != nullptr, "several processes need TRTGO_STANDIN_WORLD");
  world.directory_ = directory;
  std::ofstream(world.directory_ + "/rank" + std::to_string(world.rank_)).put('\n');
  for (int32_t rank = 0; rank < world.size_; rank++) {
    int left = 30000;
    while (!exists(world.directory_ + "/rank" + std::to_string(rank))) {
      STANDIN_CHECK(left-- > 0, "rank " + std::to_string(rank) + " did not come");
      usleep(1000);
    }
  }
  return world;
}

void World::stop() const {
  if (size_ > 1 && rank_ == 0) std::ofstream(directory_ + "/stopped").put('\n');
}

void World::awaitStop() const {
  while (!exists(directory_ + "/stopped")) usleep(1000);
}

void checkParallel(const tle::ParallelConfig& parallel, const World& world, int32_t parts) {
  STANDIN_CHECK(parallel.getCommunicationType() == tle::CommunicationType::kMPI,
                "Only CommunicationType kMPI is supported for now.");
  const auto participants = parallel.getParticipantIds();
  if (parallel.getCommunicationMode() == tle::CommunicationMode::kORCHESTRATOR) {
    STANDIN_CHECK(parallel.getOrchestratorConfig().has_value(),
                  "OrchestratorConfig must be set when using ORCHESTRATOR communication mode.");
    STANDIN_CHECK(world.size() == 1,
                  "When using the orchestrator mode and isOrchestrator is true, expect MPI worldSize to be 1.");
    STANDIN_CHECK(!participants, "Participant ids should not be set when spawning processes");
    return;
  }
  const auto number = participants ? static_cast<int32_t>(participants->size()) : world.size();
  STANDIN_CHECK(number == parts, participants
                                     ? "When specifying participantIds, participantIds size must be equal to tp*pp*cp"
                                     : "With communicationMode kLEADER, MPI worldSize is expected to be equal to "
                                       "tp*pp*cp when participantIds are not specified");
  const auto devices = parallel.getDeviceIds();
  if (devices) {
    const int32_t nodes = parallel.getNumNodes().value_or(1);
    STANDIN_CHECK(static_cast<int32_t>(devices->size()) * nodes == parts,
                  "deviceIds size times numNodes must be equal to tp*pp*cp");
  }
}

}  // namespace trtllm_standin
