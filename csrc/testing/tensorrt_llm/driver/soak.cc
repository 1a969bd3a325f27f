// Many requests from many threads, cancelled and closed at random.
#include <atomic>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "session.h"

namespace trtgo {
namespace testing {
namespace {

// Requests that several threads make, cancel and ask about while one awaits.
class Traffic {
 public:
  Traffic(const Places& places, unsigned seed)
      : session_(places, Settings().number("requestStatsMaxIterations", 3)), seed_(seed) {}

  // Enqueues number requests and cancels at random until all have ended, or until close_after have. hold is a file that
  // keeps all from ending until they are there.
  void run(int number, int cancels, int close_after, const std::string& hold = "") {
    std::vector<std::thread> threads;
    std::atomic<int> left{number}, left_cancels{cancels};
    for (unsigned i = 0; i < 3; i++) threads.emplace_back([&, i] { enqueue(left, i); });
    for (unsigned i = 0; i < 2; i++) threads.emplace_back([&, i] { cancel(left_cancels, cancels, number, i); });
    threads.emplace_back([&] { ask(); });
    Error error;
    int32_t status = TRTGO_OK;
    bool drained = false;
    while (status == TRTGO_OK) {
      status = session_.await(20, results_, error);
      ended_ = 0;
      for (const auto& [id, beams] : results_) ended_ += beams.at(0).final ? 1 : 0;
      if (!hold.empty() && enqueued_ >= number) std::remove(hold.c_str());
      const bool all = left <= 0 && left_cancels <= 0 && ended_ >= enqueued_;
      if (!drained && (all || ended_ >= close_after)) {
        drained = true;
        must(trtgo_executor_drain(session_.executor(), error.out()) == TRTGO_OK, "drain: " + error.text());
      }
    }
    must(status == TRTGO_CLOSED, "await: " + error.text());
    done_ = true;
    for (auto& thread : threads) thread.join();
  }

  void check(Tally& tally) {
    tally.require(wrong_ == 0, std::to_string(wrong_) + " calls gave what they must not");
    tally.require(static_cast<int>(results_.size()) == enqueued_, "each request has outputs");
    for (const auto& [id, beams] : results_) {
      const Got& got = beams.at(0);
      tally.require(got.final && got.finals == 1, "one end each");
      tally.require(got.client == client_of(id), "a client id comes back with its own request");
      tally.require(got.reason == 3 || got.reason == 5, "a reason");
      if (got.reason == 5) cancelled_++;
    }
  }

  int cancelled() const { return cancelled_; }
  int enqueued() const { return enqueued_; }

 private:
  uint64_t client_of(uint64_t id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return clients_.at(id);
  }

  void enqueue(std::atomic<int>& left, unsigned thread) {
    std::mt19937 random(seed_ * 100 + thread);
    for (uint64_t n = 1; left.fetch_sub(1) > 0; n++) {
      Ask ask;
      ask.tokens.assign(1 + random() % 20, static_cast<int32_t>(random() % 97));
      ask.max_tokens = 1 + static_cast<int32_t>(random() % 30);
      ask.client = n * 10 + thread;
      ask.settings = greedy(random() % 4 != 0);
      if (random() % 2 == 0) ask.settings.number("returnLogProbs", 1).number("returnPerfMetrics", 1);
      uint64_t id = 0;
      Error error;
      const int32_t status = session_.enqueue(ask, &id, error);
      if (status == TRTGO_CLOSED && id == 0) {
        left = 0;
        return;
      }
      if (status != TRTGO_OK) {
        wrong_++;
        continue;
      }
      const std::lock_guard<std::mutex> lock(mutex_);
      wrong_ += clients_.emplace(id, ask.client).second ? 0 : 1;  // an id is given out once
      ids_.push_back(id);
      enqueued_++;
    }
  }

  // Cancels at the pace of the requests: when these have ended there is nothing to cancel.
  void cancel(std::atomic<int>& left, int cancels, int number, unsigned thread) {
    std::mt19937 random(seed_ * 1000 + thread);
    Error error;
    for (int before; (before = left.fetch_sub(1)) > 0;) {
      while (!done_ && int64_t{enqueued_} * cancels < int64_t{number} * (cancels - before)) std::this_thread::yield();
      uint64_t id = random() % 50;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!ids_.empty() && random() % 8 != 0) id = ids_[random() % ids_.size()];
      }
      if (trtgo_executor_cancel(session_.executor(), id, error.out()) != TRTGO_OK) wrong_++;
    }
  }

  void ask() {
    Error error;
    const char* json = nullptr;
    for (int i = 0; !done_; i++) {
      const int32_t status = trtgo_executor_stats(session_.executor(), i % 2, &json, error.out());
      if (status != TRTGO_OK && status != TRTGO_CLOSED) wrong_++;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  Session session_;
  const unsigned seed_;
  Results results_;  // of the thread that awaits
  int ended_ = 0, cancelled_ = 0;
  std::atomic<int> wrong_{0}, enqueued_{0};
  std::atomic<bool> done_{false};
  std::mutex mutex_;
  std::map<uint64_t, uint64_t> clients_;
  std::vector<uint64_t> ids_;
};

}  // namespace

void test_soak(const Places& places, Tally& tally) {
  // 1,000 in flight before the first may end, and 10,000 cancels.
  const std::string hold = places.scratch + "/hold";
  std::ofstream(hold).put('\n');
  trtllm_standin_script(("hold=" + hold).c_str());
  {
    Traffic traffic(places, 1);
    traffic.run(1000, 10000, 1 << 30, hold);
    traffic.check(tally);
    tally.require(traffic.enqueued() == 1000, "all were taken");
    tally.require(traffic.cancelled() > 100, std::to_string(traffic.cancelled()) + " were cancelled");
  }
  trtllm_standin_script("");
  std::mt19937 random(7);
  for (unsigned round = 2; round < 12; round++) {
    Traffic traffic(places, round);
    traffic.run(200, 100, static_cast<int>(random() % 150));
    traffic.check(tally);
  }
  trtllm_standin_script(nullptr);
}

}  // namespace testing
}  // namespace trtgo
