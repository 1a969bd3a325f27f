// The loop of an Executor, which runs on its thread, in the order of upstream's executionLoop: the end of the step
// before, who is late, who is cancelled, what there is to tell, who comes, the next step.
#include <pthread.h>

#include <ctime>

#include "exception.h"
#include "executorimpl.h"

namespace tensorrt_llm::executor {
namespace {

using Finished = std::vector<std::shared_ptr<trtllm_standin::ActiveRequest>>;

double millisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

std::string timestamp() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1000000;
  std::tm parts;
  localtime_r(&seconds, &parts);
  char date[32], text[48];
  std::strftime(date, sizeof date, "%m-%d-%Y %H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%06d", date, static_cast<int>(micros));
  return text;
}

RequestStats statsOf(const trtllm_standin::ActiveRequest& r, RequestStage stage) {
  RequestStats stats{};
  stats.id = r.id;
  stats.stage = stage;
  stats.contextPrefillPosition = r.contextPosition;
  stats.numGeneratedTokens = r.generated();
  stats.avgNumDecodedTokensPerIter =
      r.decodingIter == 0 ? 0.f : static_cast<float>(r.generated()) / static_cast<float>(r.decodingIter);
  stats.scheduled = r.scheduled && stage != RequestStage::kGENERATION_COMPLETE;  // not by the step that runs now
  stats.allocTotalBlocksPerRequest = r.share.total;
  stats.allocNewBlocksPerRequest = r.share.fresh;
  stats.reusedBlocksPerRequest = r.share.reused;
  stats.missedBlocksPerRequest = r.share.missed;
  const int32_t asked = r.share.reused + r.share.missed;
  stats.kvCacheHitRatePerRequest = asked == 0 ? 0.f : static_cast<float>(r.share.reused) / static_cast<float>(asked);
  return stats;
}

}  // namespace

void Executor::Impl::loop() {
  pthread_setname_np(pthread_self(), "executionLoop");
  const trtllm_standin::Inside inside;
  std::chrono::steady_clock::time_point start;
  int32_t fresh = 0;
  while (!shutdown_ || !active_.empty()) {
    double latencyMS = 0, queueLatencyMS = 0;
    bool reported = false;
    Finished finished;
    if (!active_.empty()) {
      forwardSync();
      if (script_->at("die", engine_->steps())) return;
      if (engine_->steps() == 3) script_->handlers("loop");
      finishTimedOut();
      terminateCancelled();
      std::vector<Response> responses;
      finished = respond(responses);
      if (active_.empty()) {
        engine_->resetStatistics();
        record(0, 0, fresh, finished, false);
        reported = true;
      }
      append(std::move(responses));
      latencyMS = millisecondsSince(start);
    }
    if (!shutdown_) {
      start = std::chrono::steady_clock::now();
      fresh = fetch(queueLatencyMS);
    }
    if (!active_.empty()) {
      forwardAsync();
      record(latencyMS, queueLatencyMS, fresh, finished, reported);
    }
  }
}

void Executor::Impl::forwardSync() {
  try {
    engine_->forwardSync();
  } catch (std::exception const& e) {
    terminateAll(std::string("Encountered an error in forwardSync function: ") + e.what());
  }
}

void Executor::Impl::finishTimedOut() {
  for (const auto& r : active_) {
    if (r->finished() || !r->timedOut()) continue;
    {
      const std::lock_guard<std::mutex> lock(cancelledMutex_);
      cancelled_.insert(r->parent);
    }
    r->finish(FinishReason::kTIMED_OUT);
    r->clearGenerated();
    engine_->terminate(*r);
  }
}

void Executor::Impl::terminateCancelled() {
  const std::lock_guard<std::mutex> lock(cancelledMutex_);
  if (cancelled_.empty()) return;
  std::vector<IdType> ended;
  for (const auto& r : active_) {
    if (cancelled_.count(r->parent) == 0) continue;
    ended.push_back(r->parent);
    engine_->terminate(*r);
    r->finish(FinishReason::kCANCELLED);
    r->clearGenerated();
  }
  for (const IdType id : ended) cancelled_.erase(id);
}

Finished Executor::Impl::respond(std::vector<Response>& responses) {
  Finished finished;
  const int64_t atLeast = script_->number("merge", 1);
  std::optional<int64_t> reason;
  if (script_->has("finish_reason")) reason = script_->number("finish_reason", 0);
  for (auto at = active_.begin(); at != active_.end();) {
    auto response = (*at)->respond(atLeast, reason);
    if (response) responses.push_back(std::move(*response));
    if ((*at)->finished()) {
      finished.push_back(*at);
      at = active_.erase(at);
    } else {
      ++at;
    }
  }
  return finished;
}

void Executor::Impl::append(std::vector<Response> responses) {
  if (responses.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(responsesMutex_);
    for (Response& response : responses) responses_[response.getRequestId()].push_back(std::move(response));
  }
  responsesCondition_.notify_all();
}

// Takes from the queue what may run: as many as there is room for, and more of a higher priority than the last that
// runs.
std::vector<Executor::Impl::Queued> Executor::Impl::dequeue() {
  std::unique_lock<std::mutex> lock(queuedMutex_);
  queuedCondition_.wait(lock, [&] { return !queued_.empty() || !active_.empty() || shutdown_; });
  std::vector<Queued> taken;
  if (queued_.empty()) return taken;
  const auto take = [&] {
    taken.push_back(std::move(queued_.front()));
    queued_.pop_front();
  };
  if (queued_.front().id == 0) {
    take();
    return taken;
  }
  const auto beamWidth = [](const Queued& q) { return Serialization::of(q.request).sampling.getBeamWidth(); };
  const SizeType32 operating = active_.empty() ? beamWidth(queued_.front()) : engine_->operatingBeamWidth();
  const auto fits = [&] {
    return !queued_.empty() && queued_.front().id != 0 && beamWidth(queued_.front()) == operating;
  };
  auto room = static_cast<int64_t>(engine_->maxNumActive()) - static_cast<int64_t>(active_.size());
  while (fits()) {
    room -= 1 + static_cast<int64_t>(queued_.front().children.size());
    if (room < 0) break;
    take();
  }
  if (!active_.empty()) {
    const PriorityType lowest = active_.back()->request().priority;
    while (fits() && Serialization::of(queued_.front().request).priority > lowest) take();
  }
  return taken;
}

int32_t Executor::Impl::fetch(double& latencyMS) {
  int32_t fresh = 0;
  for (const Queued& queued : dequeue()) {
    if (queued.id == 0) {
      shutdown_ = true;
      responsesCondition_.notify_all();
      return 0;
    }
    try {
      activate(queued);
      fresh += 1 + static_cast<int32_t>(queued.children.size());
      latencyMS += millisecondsSince(queued.arrival);
    } catch (std::exception const& e) {
      append({Response(queued.id, std::string("Encountered an error when fetching new request: ") + e.what(),
                       Serialization::of(queued.request).clientId)});
    }
  }
  return fresh;
}

// Adds a request, and the other sequences of it, by priority to those that run.
void Executor::Impl::activate(Queued const& queued) {
  const auto first = engine_->admit(queued.id, queued.request);
  if (!queued.children.empty()) children_[queued.id] = queued.children;  // without a lock, as upstream does
  const auto add = [&](std::shared_ptr<trtllm_standin::ActiveRequest> r) {
    auto at = active_.begin();
    while (at != active_.end() && (*at)->request().priority >= r->request().priority) ++at;
    active_.insert(at, std::move(r));
  };
  add(first);
  for (size_t i = 0; i < queued.children.size(); i++)
    add(first->child(queued.children[i], static_cast<int32_t>(i + 1)));
}

void Executor::Impl::forwardAsync() {
  try {
    engine_->forwardAsync(active_);
  } catch (std::exception const& e) {
    terminateAll(std::string("Encountered an error in forwardAsync function: ") + e.what());
  }
}

void Executor::Impl::terminateAll(std::string const& error) {
  std::vector<Response> responses;
  for (const auto& r : active_) {
    engine_->terminate(*r);
    responses.emplace_back(r->id, error, r->request().clientId);
  }
  active_.clear();
  append(std::move(responses));
}

// Statistics. What ended in an iteration is counted in the next record too when nothing else ran: so it is upstream.
void Executor::Impl::record(double iterLatencyMS, double queueLatencyMS, int32_t fresh, Finished const& finished,
                            bool reported) {
  size_t waiting;
  std::vector<IdType> queuedIds;
  {
    const std::lock_guard<std::mutex> lock(queuedMutex_);
    waiting = queued_.size();
    for (const Queued& q : queued_) queuedIds.push_back(q.id);
  }
  if (iterStatsMax_ > 0) {
    IterationStats stats{};
    stats.timestamp = timestamp();
    stats.iterLatencyMS = iterLatencyMS;
    stats.newActiveRequestsQueueLatencyMS = queueLatencyMS;
    stats.numNewActiveRequests = fresh;
    stats.numActiveRequests = static_cast<SizeType32>(active_.size());
    stats.numQueuedRequests = static_cast<SizeType32>(waiting);
    stats.numCompletedRequests = static_cast<SizeType32>(finished.size());
    stats.maxNumActiveRequests = engine_->maxNumActive();
    stats.gpuMemUsage = 1 << 30;
    stats.cpuMemUsage = 1 << 20;
    engine_->statistics(stats);
    const std::lock_guard<std::mutex> lock(iterationStatsMutex_);
    if (iterationStats_.size() >= static_cast<size_t>(iterStatsMax_)) iterationStats_.pop_front();
    iterationStats_.push_back(std::move(stats));
  }
  if (requestStatsMax_ == 0) return;
  RequestStatsPerIteration stats{engine_->iteration(), {}};
  for (const auto& r : active_) {
    const bool context = r->state == trtllm_standin::State::CONTEXT;
    stats.requestStats.push_back(
        statsOf(*r, context ? RequestStage::kCONTEXT_IN_PROGRESS : RequestStage::kGENERATION_IN_PROGRESS));
  }
  for (const IdType id : queuedIds) {
    RequestStats queued{};
    queued.id = id;
    stats.requestStats.push_back(queued);
  }
  if (!reported) {
    for (const auto& r : finished) stats.requestStats.push_back(statsOf(*r, RequestStage::kGENERATION_COMPLETE));
  }
  const std::lock_guard<std::mutex> lock(requestStatsMutex_);
  if (requestStats_.size() >= static_cast<size_t>(requestStatsMax_)) requestStats_.pop_front();
  requestStats_.push_back(std::move(stats));
}

}  // namespace tensorrt_llm::executor
