// Bugs of other shims, each as a test that would show it in this one, and what TensorRT-LLM does rarely.
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

#include "session.h"

namespace trtgo {
namespace testing {
namespace {

Ask streaming(int32_t max_tokens) {
  Ask ask;
  ask.max_tokens = max_tokens;
  ask.settings = greedy();
  return ask;
}

// A script for as long as this lives.
class Script {
 public:
  explicit Script(const std::string& text) { trtllm_standin_script(text.c_str()); }
  ~Script() { trtllm_standin_script(nullptr); }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
};

void empty_final(const Places& places, Tally& tally) {
  const Script script("empty_final=1");
  Session session(places);
  const Got got = session.run(streaming(4));
  tally.require(got.tokens.size() == 4 && got.outputs == 5 && got.final, "an empty final output");
}

void merged(const Places& places, Tally& tally) {
  const Script script("merge=3");
  Session session(places);
  Ask ask = streaming(8);
  ask.settings.number("returnLogProbs", 1);
  const Got got = session.run(ask);
  tally.require(got.tokens.size() == 8 && got.outputs == 3 && got.log_probs.size() == 8, "several tokens at once");
}

void unknown_reason(const Places& places, Tally& tally) {
  const Script script("finish_reason=99");
  Session session(places);
  tally.require(session.run(streaming(2)).reason == -1, "an unknown finish reason");
}

void failing_step(const Places& places, Tally& tally) {
  const Script script("fail_step=3;step_us=2000");
  Session session(places);
  std::vector<uint64_t> ids;
  for (int i = 0; i < 3; i++) ids.push_back(session.enqueue(streaming(20)));
  Results results = session.wait(ids);
  int failed = 0;
  for (const uint64_t id : ids) failed += results[id][0].error.empty() ? 0 : 1;
  tally.require(failed > 0, "a failing step fails its requests");
  tally.require(session.run(streaming(3)).tokens.size() == 3, "and the executor goes on");
}

void errors_of_requests(const Places& places, Tally& tally) {
  const Script script("error_request=2;error_token=66");
  Session session(places);
  tally.require(session.run(streaming(2)).error.empty(), "the first goes well");
  tally.require(!session.run(streaming(2)).error.empty(), "the second does not");
  Ask ask = streaming(2);
  ask.tokens.push_back(66);
  const Got got = session.run(ask);
  tally.require(!got.error.empty() && got.final && got.tokens.empty(), "nor one with the token");
}

// Two errors in two threads are two: none is shared.
void two_errors(const Places& places, Tally& tally) {
  Session session(places);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&, i] {
      const std::string name = "nothing" + std::to_string(i);
      for (int n = 0; n < 200; n++) {
        Ask ask;
        ask.settings.number(name.c_str(), 1);
        uint64_t id = 0;
        Error error;
        if (session.enqueue(ask, &id, error) != TRTGO_INVALID || id != 0) wrong++;
        if (error.text().find(name) == std::string::npos) wrong++;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  tally.require(wrong == 0, "each thread has its own error");
}

// Cancelling what has ended is silent, and an id that never was is not remembered against a later one.
void cancel_finished(const Places& places, Tally& tally) {
  Session session(places);
  Error error;
  for (const uint64_t id : {UINT64_C(0), UINT64_C(1), UINT64_C(2), UINT64_C(1000), UINT64_MAX}) {
    tally.require(trtgo_executor_cancel(session.executor(), id, error.out()) == TRTGO_OK, "cancel what is not there");
  }
  for (int i = 0; i < 5; i++) {
    const uint64_t id = session.enqueue(streaming(3));
    tally.require(session.wait({id})[id][0].reason == 3, "a later request is not cancelled");
    tally.require(trtgo_executor_cancel(session.executor(), id, error.out()) == TRTGO_OK, "cancel after the end");
  }
  Results results;
  tally.require(session.await(30, results, error) == TRTGO_OK && results.empty(), "nothing comes of it");
}

// An output may come before enqueue has returned; both go on while the other waits.
void output_before_id(const Places& places, Tally& tally) {
  Session session(places);
  std::atomic<bool> done{false};
  std::atomic<uint64_t> ended{0};
  std::thread pump([&] {
    Results results;
    Error error;
    while (!done || ended < 500) {
      must(session.await(5, results, error) == TRTGO_OK, "await: " + error.text());
      uint64_t finals = 0;
      for (const auto& [id, beams] : results) finals += beams.at(0).final ? 1 : 0;
      ended = finals;
    }
  });
  for (int i = 0; i < 500; i++) session.enqueue(streaming(1));
  done = true;
  pump.join();
  tally.require(ended == 500, "each has its end");
  Error error;
  tally.require(trtgo_executor_drain(session.executor(), error.out()) == TRTGO_OK, "drain");
  Results results;
  tally.require(session.await(1000, results, error) == TRTGO_CLOSED, "nothing is left of them");
}

// A blocked enqueue blocks nobody else: not who awaits, cancels, asks, or ends all. What it queues then is ended too.
void blocked_enqueue(const Places& places, Tally& tally) {
  const std::string release = places.scratch + "/release";
  std::remove(release.c_str());
  const Script script("hang=Executor::enqueueRequest;release=" + release);
  Session session(places);
  std::atomic<bool> returned{false};
  std::thread blocked([&] {
    session.enqueue(streaming(150));
    returned = true;
  });
  Results results;
  Error error;
  for (int i = 0; i < 3; i++) {
    tally.require(session.await(10, results, error) == TRTGO_OK && results.empty(), "await returns");
    tally.require(trtgo_executor_cancel(session.executor(), 1, error.out()) == TRTGO_OK, "cancel returns");
    tally.require(session.stats(false) == "[]", "stats return");
  }
  while (calls_of("Executor::enqueueRequest") == 0) std::this_thread::yield();
  tally.require(trtgo_executor_drain(session.executor(), error.out()) == TRTGO_OK, "drain returns");
  tally.require(session.await(10, results, error) == TRTGO_OK, "it is not closed while a request is coming");
  tally.require(!returned, "enqueue is blocked");
  std::ofstream(release).put('\n');
  blocked.join();
  const Results last = session.close();
  tally.require(last.size() == 1 && last.begin()->second.at(0).final, "the request has its end");
}

// The loop's thread is gone, or stands still: await and stats return all the same.
void dead_loop(const Places& places, Tally& tally) {
  const Script script("die=3");
  Error error;
  Session session(places);
  session.enqueue(streaming(50));
  Results results;
  for (int i = 0; i < 5; i++) tally.require(session.await(20, results, error) == TRTGO_OK, "await returns");
  tally.require(!results[1][0].final, "the request does not end");
  session.stats(false);
  tally.require(trtgo_executor_cancel(session.executor(), 1, error.out()) == TRTGO_OK, "cancel returns");
  tally.require(trtgo_executor_drain(session.executor(), error.out()) == TRTGO_OK, "drain returns");
  for (int i = 0; i < 3; i++) tally.require(session.await(20, results, error) == TRTGO_OK, "it is not closed");
  tally.require(trtgo_executor_shutdown(session.executor(), error.out()) == TRTGO_INVALID, "nor can it be shut down");
  trtgo_executor_free(session.release());  // its thread has ended, so that this returns
}

void held(const Places& places, Tally& tally) {
  const std::string hold = places.scratch + "/hold";
  const Script script("hold=" + hold);
  Session session(places);
  std::ofstream(hold).put('\n');
  const uint64_t id = session.enqueue(streaming(5));
  Results results;
  Error error;
  for (int i = 0; i < 3; i++) tally.require(session.await(10, results, error) == TRTGO_OK && results.empty(), "held");
  tally.require(trtgo_executor_cancel(session.executor(), id, error.out()) == TRTGO_OK, "cancel");
  std::remove(hold.c_str());
  results = session.wait({id});
  tally.require(results[id][0].reason == 5 && results[id][0].tokens.empty(), "cancelled in its first step");

  // While a step runs, what is enqueued waits in the queue, of which TensorRT-LLM's times tell nothing.
  const std::string arrived = hold + ".arrived";
  std::remove(arrived.c_str());
  std::ofstream(hold).put('\n');
  const uint64_t runs = session.enqueue(streaming(5));
  while (!std::ifstream(arrived)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  Ask ask = streaming(5);
  ask.settings.number("returnPerfMetrics", 1);
  const uint64_t waits = session.enqueue(ask);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::remove(hold.c_str());
  results = session.wait({runs, waits});
  tally.require(results[waits][0].scheduled >= 20'000'000, "the time in the queue counts");
}

// A request whose time is over before it ends.
void timed_out(const Places& places, Tally& tally) {
  const Script script("step_us=3000");
  Session session(places);
  Ask ask = streaming(150);
  ask.settings.number("allottedTimeMs", 20);
  const Got got = session.run(ask);
  tally.require(got.reason == 4 && got.tokens.size() < 150, "timed out");
}

// Closed twice, while others await, ask and cancel.
void unguarded_shutdown(const Places& places, Tally& tally) {
  for (int round = 0; round < 10; round++) {
    Session session(places);
    trtgo_executor* executor = session.executor();
    for (int i = 0; i < 20; i++) session.enqueue(streaming(100));
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    threads.emplace_back([&] {
      Results results;
      Error error;
      int32_t status = TRTGO_OK;
      while (status == TRTGO_OK) status = session.await(50, results, error);
      wrong += status == TRTGO_CLOSED && results.size() == 20 ? 0 : 1;
    });
    threads.emplace_back([&] {
      Error error;
      for (uint64_t id = 1; id < 30; id++)
        wrong += trtgo_executor_cancel(executor, id, error.out()) == TRTGO_OK ? 0 : 1;
    });
    for (int i = 0; i < 2; i++) {
      threads.emplace_back([&] {
        Error error;
        wrong += trtgo_executor_drain(executor, error.out()) == TRTGO_OK ? 0 : 1;
        while (trtgo_executor_shutdown(executor, error.out()) == TRTGO_INVALID) std::this_thread::yield();
      });
    }
    threads.emplace_back([&] {
      Error error;
      const char* json = nullptr;
      int32_t status = TRTGO_OK;
      for (int i = 0; i < 50 && status == TRTGO_OK; i++) status = trtgo_executor_stats(executor, 0, &json, error.out());
      wrong += status == TRTGO_OK || status == TRTGO_CLOSED ? 0 : 1;
    });
    for (auto& thread : threads) thread.join();
    tally.require(wrong == 0, "close while others call");
    trtgo_executor_free(session.release());
  }
}

}  // namespace

void test_peers(const Places& places, Tally& tally) {
  empty_final(places, tally);
  merged(places, tally);
  unknown_reason(places, tally);
  failing_step(places, tally);
  errors_of_requests(places, tally);
  two_errors(places, tally);
  cancel_finished(places, tally);
  output_before_id(places, tally);
  blocked_enqueue(places, tally);
  dead_loop(places, tally);
  held(places, tally);
  timed_out(places, tally);
  unguarded_shutdown(places, tally);
}

}  // namespace testing
}  // namespace trtgo
