// The Executor's calls, of any thread.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "exception.h"
#include "executorimpl.h"

extern "C" int cuCtxGetCurrent(void** context);
extern "C" int cuCtxSetCurrent(void* context);

namespace {

std::atomic<bool> pluginsRegistered{false};

}  // namespace

void trtllm_standin_register_plugins(void) { pluginsRegistered = true; }
int32_t trtllm_standin_plugins_registered(void) { return pluginsRegistered ? 1 : 0; }
int32_t trtllm_standin_entry_of_plugins(void) {
  STANDIN_ENTRY("initTrtLlmPlugins");
  return trtllm_standin::Script::load()->has("no_plugins") ? 0 : 1;
}

namespace tensorrt_llm::executor {

char const* version() noexcept {
  const trtllm_standin::Inside inside;
  static std::mutex mutex;
  static std::set<std::string> texts;  // all that were ever given: they are constants to the caller
  try {
    trtllm_standin::reread();
    const std::string text = trtllm_standin::Script::load()->text("version").value_or("1.2.1");
    const std::lock_guard<std::mutex> lock(mutex);
    return texts.insert(text).first->c_str();
  } catch (...) {
    return "";
  }
}

Executor::Executor(std::filesystem::path const& modelPath, ModelType modelType, ExecutorConfig const& executorConfig) {
  trtllm_standin::reread();
  STANDIN_ENTRY("Executor::Executor");
  STANDIN_CHECK(modelType == ModelType::kDECODER_ONLY, "the stand-in has decoders only");
  mImpl = std::make_unique<Impl>(modelPath, executorConfig);
}

Executor::~Executor() {
  const trtllm_standin::Inside inside;
  mImpl.reset();
}

IdType Executor::enqueueRequest(Request const& request) {
  STANDIN_ENTRY("Executor::enqueueRequest");
  return mImpl->enqueue({request}).at(0);
}

std::vector<IdType> Executor::enqueueRequests(std::vector<Request> const& requests) {
  STANDIN_ENTRY("Executor::enqueueRequests");
  return mImpl->enqueue(requests);
}

std::vector<Response> Executor::awaitResponses(std::optional<std::chrono::milliseconds> const& timeout) {
  STANDIN_ENTRY("Executor::awaitResponses");
  return mImpl->await(timeout);
}

std::vector<Response> Executor::awaitResponses(IdType const& requestId,
                                               std::optional<std::chrono::milliseconds> const& timeout) {
  STANDIN_ENTRY("Executor::awaitResponses of one");
  return mImpl->await(requestId, timeout);
}

std::vector<std::vector<Response>> Executor::awaitResponses(std::vector<IdType> const& requestIds,
                                                            std::optional<std::chrono::milliseconds> const& timeout) {
  STANDIN_ENTRY("Executor::awaitResponses of many");
  std::vector<std::vector<Response>> all;
  for (const IdType id : requestIds) all.push_back(mImpl->await(id, timeout));
  return all;
}

SizeType32 Executor::getNumResponsesReady(std::optional<IdType> const& requestId) const {
  STANDIN_ENTRY("Executor::getNumResponsesReady");
  return mImpl->ready(requestId);
}

void Executor::cancelRequest(IdType requestId) {
  STANDIN_ENTRY("Executor::cancelRequest");
  mImpl->cancel(requestId);
}

void Executor::shutdown() {
  STANDIN_ENTRY("Executor::shutdown");
  mImpl->shutdown();
}

std::deque<IterationStats> Executor::getLatestIterationStats() {
  STANDIN_ENTRY("Executor::getLatestIterationStats");
  return mImpl->iterationStats();
}

std::deque<RequestStatsPerIteration> Executor::getLatestRequestStats() {
  STANDIN_ENTRY("Executor::getLatestRequestStats");
  return mImpl->requestStats();
}

bool Executor::canEnqueueRequests() const {
  STANDIN_ENTRY("Executor::canEnqueueRequests");
  return mImpl->canEnqueue();
}

bool Executor::isParticipant() const {
  STANDIN_ENTRY("Executor::isParticipant");
  return mImpl->participates();
}

Executor::Impl::Impl(std::filesystem::path const& modelPath, ExecutorConfig const& config)
    : script_(trtllm_standin::Script::load()),
      iterStatsMax_(config.getIterStatsMaxIterations()),
      requestStatsMax_(config.getRequestStatsMaxIterations()),
      maxQueueSize_(config.getMaxQueueSize()) {
  const char* building = std::getenv("IS_BUILDING");
  STANDIN_CHECK(building == nullptr || std::strcmp(building, "1") != 0, "IS_BUILDING is set: plugins do not start");
  world_ = trtllm_standin::World::join(*script_);
  script_->hang("constructor");
  const auto parallel = config.getParallelConfig().value_or(ParallelConfig());
  orchestrates_ = parallel.getCommunicationMode() == CommunicationMode::kORCHESTRATOR;
  const auto engine = trtllm_standin::EngineConfig::read(modelPath, world_.rank());
  trtllm_standin::checkParallel(parallel, world_, engine.worldSize);
  // What TensorRT says where the plugins of a plan are not registered; a worker registers its own.
  if (!orchestrates_) STANDIN_CHECK(pluginsRegistered, "Failed to deserialize cuda engine.");
  const auto participants = parallel.getParticipantIds();
  leads_ = world_.rank() == (participants ? participants->front() : 0);
  engine_ = std::make_unique<trtllm_standin::Engine>(engine, config, script_);
  cuCtxSetCurrent(engine_.get());  // the calling thread's device is then the engine's, as after cudaSetDevice
  if (leads_) thread_ = std::thread(&Impl::loop, this);
}

Executor::Impl::~Impl() {
  shutdown();
  void* context = nullptr;
  cuCtxGetCurrent(&context);
  if (context == engine_.get()) return;
  std::fprintf(stderr, "an engine is freed in a thread whose CUDA device is not the engine's\n");
  std::abort();
}

void Executor::Impl::check(const char* function) const {
  STANDIN_CHECK(!shutdownCalled_, "Shutdown called");
  STANDIN_CHECK(leads_, std::string("Only the leader can call ") + function + " in LEADER mode");
}

std::vector<IdType> Executor::Impl::enqueue(std::vector<Request> const& requests) {
  STANDIN_CHECK(!shutdownCalled_, "Shutdown called, cannot enqueue requests");
  check("enqueueRequests");
  std::vector<IdType> ids;
  std::vector<Queued> queued;
  size_t total = 0;
  for (const Request& request : requests) {
    Queued q{request, ++lastId_, {}, std::chrono::steady_clock::now()};
    const auto& sampling = Serialization::of(request).sampling;
    const SizeType32 sequences = sampling.getBeamWidth() > 1 ? 1 : sampling.getNumReturnSequences().value_or(1);
    for (SizeType32 i = 1; i < sequences; i++) q.children.push_back(++lastId_);
    total += static_cast<size_t>(sequences);
    ids.push_back(q.id);
    queued.push_back(std::move(q));
  }
  {
    const std::lock_guard<std::mutex> lock(queuedMutex_);
    if (maxQueueSize_.value_or(0) > 0 && queued_.size() + total > static_cast<size_t>(*maxQueueSize_)) {
      STANDIN_THROW("[TensorRT-LLM][ERROR] Maximum queue size of " + std::to_string(*maxQueueSize_) +
                    " has been reached, please try again later");
    }
    for (Queued& q : queued) insert(std::move(q));
  }
  queuedCondition_.notify_one();
  return ids;
}

// Behind all of its priority or a higher one.
void Executor::Impl::insert(Queued queued) {
  const PriorityType priority = Serialization::of(queued.request).priority;
  auto at = queued_.begin();
  while (at != queued_.end() && at->id != 0 && Serialization::of(at->request).priority >= priority) ++at;
  queued_.insert(at, std::move(queued));
}

void Executor::Impl::forget(std::vector<Response> const& responses, IdType id) {
  for (const Response& response : responses) {
    if (response.hasError() || response.getResult().isFinal) terminated_.insert(id);
  }
}

std::vector<Response> Executor::Impl::await(std::optional<std::chrono::milliseconds> const& timeout) {
  check("awaitResponses");
  script_->hang("await");
  std::vector<Response> taken;
  std::unique_lock<std::mutex> lock(responsesMutex_);
  const auto there = [&] { return !responses_.empty() || shutdown_; };
  if (!timeout) {
    responsesCondition_.wait(lock, there);
  } else if (!responsesCondition_.wait_for(lock, *timeout, there)) {
    return taken;
  }
  for (auto& [id, list] : responses_) {
    taken.insert(taken.end(), list.begin(), list.end());
    forget(list, id);
  }
  responses_.clear();
  return taken;
}

std::vector<Response> Executor::Impl::await(IdType id, std::optional<std::chrono::milliseconds> const& timeout) {
  check("awaitResponses");
  std::vector<Response> taken;
  std::unique_lock<std::mutex> lock(responsesMutex_);
  if (terminated_.count(id) > 0) {
    return {Response(id, "ReqId " + std::to_string(id) + " has already been processed and was terminated.")};
  }
  const auto there = [&] { return responses_.count(id) > 0 || shutdown_; };
  if (!timeout) {
    responsesCondition_.wait(lock, there);
  } else if (!responsesCondition_.wait_for(lock, *timeout, there)) {
    return taken;
  }
  taken.swap(responses_.at(id));  // throws after a shutdown, as upstream's does
  responses_.erase(id);
  forget(taken, id);
  return taken;
}

SizeType32 Executor::Impl::ready(std::optional<IdType> const& id) const {
  check("getNumResponsesReady");
  const std::lock_guard<std::mutex> lock(responsesMutex_);
  size_t number = 0;
  for (const auto& [one, list] : responses_) number += !id || *id == one ? list.size() : 0;
  return static_cast<SizeType32>(number);
}

void Executor::Impl::cancel(IdType id) {
  check("cancelRequest");
  {
    const std::lock_guard<std::mutex> lock(responsesMutex_);
    if (terminated_.count(id) > 0) return;
  }
  const std::lock_guard<std::mutex> lock(cancelledMutex_);
  cancelled_.insert(id);
}

void Executor::Impl::shutdown() {
  if (shutdownCalled_) return;
  shutdownCalled_ = true;
  script_->handlers("shutdown");
  script_->hang("shutdown");
  if (!leads_) {
    world_.awaitStop();
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(queuedMutex_);
    queued_.push_back({Request({1}, 1), 0, {}, {}});
  }
  queuedCondition_.notify_one();
  if (thread_.joinable()) thread_.join();
  world_.stop();
}

std::deque<IterationStats> Executor::Impl::iterationStats() {
  check("getLatestIterationStats");
  const std::lock_guard<std::mutex> lock(iterationStatsMutex_);
  return std::exchange(iterationStats_, {});
}

std::deque<RequestStatsPerIteration> Executor::Impl::requestStats() {
  check("getLatestRequestStats");
  const std::lock_guard<std::mutex> lock(requestStatsMutex_);
  return std::exchange(requestStats_, {});
}

}  // namespace tensorrt_llm::executor
