// What is behind an Executor: the queues, as upstream's executorImpl.h has them, and the loop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include "access.h"
#include "engine.h"
#include "script.h"
#include "world.h"

namespace tensorrt_llm::executor {

class Executor::Impl {
 public:
  Impl(std::filesystem::path const& modelPath, ExecutorConfig const& config);
  ~Impl();

  std::vector<IdType> enqueue(std::vector<Request> const& requests);
  std::vector<Response> await(std::optional<std::chrono::milliseconds> const& timeout);
  std::vector<Response> await(IdType id, std::optional<std::chrono::milliseconds> const& timeout);
  SizeType32 ready(std::optional<IdType> const& id) const;
  void cancel(IdType id);
  void shutdown();
  std::deque<IterationStats> iterationStats();
  std::deque<RequestStatsPerIteration> requestStats();
  bool canEnqueue() const { return !shutdownCalled_ && leads_; }
  bool participates() const { return !orchestrates_; }

 private:
  // A request in the queue; id 0 is the end.
  struct Queued {
    Request request;
    IdType id;
    std::vector<IdType> children;
    std::chrono::steady_clock::time_point arrival;
  };

  void check(const char* function) const;
  void insert(Queued queued);
  // The loop and its parts, in their order; all run on its thread.
  void loop();
  void forwardSync();
  void finishTimedOut();
  void terminateCancelled();
  std::vector<std::shared_ptr<trtllm_standin::ActiveRequest>> respond(std::vector<Response>& responses);
  std::vector<Queued> dequeue();
  int32_t fetch(double& latencyMS);
  void activate(Queued const& queued);
  void forwardAsync();
  void terminateAll(std::string const& error);
  void append(std::vector<Response> responses);
  void record(double iterLatencyMS, double queueLatencyMS, int32_t fresh,
              std::vector<std::shared_ptr<trtllm_standin::ActiveRequest>> const& finished, bool reported);
  void forget(std::vector<Response> const& responses, IdType id);

  std::shared_ptr<const trtllm_standin::Script> script_;
  trtllm_standin::World world_;
  std::unique_ptr<trtllm_standin::Engine> engine_;
  bool leads_ = true, orchestrates_ = false;
  SizeType32 iterStatsMax_, requestStatsMax_;
  std::optional<SizeType32> maxQueueSize_;

  // As upstream has them: neither atomic nor under a lock, so that callers who race are caught.
  IdType lastId_ = 0;
  bool shutdownCalled_ = false;

  std::atomic<bool> shutdown_{false};
  std::mutex queuedMutex_;
  std::condition_variable queuedCondition_;
  std::deque<Queued> queued_;
  mutable std::mutex responsesMutex_;
  std::condition_variable responsesCondition_;
  std::map<IdType, std::vector<Response>> responses_;
  std::unordered_set<IdType> terminated_;
  std::mutex cancelledMutex_;
  std::unordered_set<IdType> cancelled_;
  std::mutex iterationStatsMutex_, requestStatsMutex_;
  std::deque<IterationStats> iterationStats_;
  std::deque<RequestStatsPerIteration> requestStats_;

  trtllm_standin::ActiveRequests active_;  // the loop's alone, as are the children below
  std::map<IdType, std::vector<IdType>> children_;
  std::thread thread_;
};

}  // namespace tensorrt_llm::executor
