// The shim as its callers use it: an executor, requests, and what came.
#ifndef TRTGO_TESTING_TENSORRT_LLM_SESSION_H_
#define TRTGO_TESTING_TENSORRT_LLM_SESSION_H_

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "../../../native/trtgo.h"
#include "../../check.h"
#include "../standin.h"

namespace trtgo {
namespace testing {

// Where things are, from the command line.
struct Places {
  std::string libraries;  // directory of the stand-in
  std::string engine;     // an engine's directory
  std::string scratch;    // a directory to write to
  std::string self;       // this program
};

// Settings, with the memory that they point to.
class Settings {
 public:
  Settings& number(const char* name, int64_t value) { return numbers(name, {value}); }
  Settings& numbers(const char* name, std::vector<int64_t> values);
  Settings& real(const char* name, float value);
  Settings& text(const char* name, std::string value);
  const trtgo_field* data() const { return fields_.data(); }
  int32_t size() const { return static_cast<int32_t>(fields_.size()); }

 private:
  std::vector<trtgo_field> fields_;
  std::list<std::vector<int64_t>> numbers_;
  std::list<float> reals_;
  std::list<std::string> texts_;
};

// An error, which is freed.
class Error {
 public:
  Error() = default;
  ~Error() { trtgo_error_free(error_); }
  Error(const Error&) = delete;
  Error& operator=(const Error&) = delete;

  // For the last argument of a call. The error of the call before is freed.
  trtgo_error** out();
  // Gives the error away.
  trtgo_error* release();
  std::string text() const { return error_ == nullptr ? "" : trtgo_error_text(error_); }
  std::string operation() const { return error_ == nullptr ? "" : trtgo_error_operation(error_); }
  // Whether it is there exactly when status is not TRTGO_OK, and is of that status.
  bool fits(int32_t status) const;

 private:
  trtgo_error* error_ = nullptr;
};

struct Ask {
  std::vector<int32_t> tokens = {1, 2, 3};
  int32_t max_tokens = 4;
  uint64_t client = 7;
  Settings settings;
  std::vector<float> bias;

  // With pointers into this.
  trtgo_request request() const;
};

// What came of one beam of a request.
struct Got {
  std::vector<int32_t> tokens;
  std::vector<float> log_probs;
  std::vector<std::vector<float>> logits, context_logits;
  std::string error;
  bool final = false;
  int outputs = 0, finals = 0;
  int32_t reason = 0, num_beams = 0, reused_blocks = -1;
  uint64_t client = 0;
  int64_t scheduled = -1, first_token = -1, last_token = -1;
  float cum_log_prob = 0;
};

// By request and beam.
using Results = std::map<uint64_t, std::map<int32_t, Got>>;

class Session {
 public:
  explicit Session(const Places& places, const Settings& settings = Settings());
  ~Session() { close(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Opens the library and the executor; gives the status, and nothing is open unless it is TRTGO_OK.
  static int32_t open(const Places& places, const Settings& settings, trtgo_library** library,
                      trtgo_executor** executor, Error& error);

  trtgo_executor* executor() { return executor_; }
  // Queues a request, which must succeed.
  uint64_t enqueue(const Ask& ask);
  int32_t enqueue(const Ask& ask, uint64_t* id, Error& error);
  // One await. What came goes to results; gives the status.
  int32_t await(int32_t timeout_ms, Results& results, Error& error);
  // Awaits until these requests have ended, which must succeed.
  Results wait(const std::vector<uint64_t>& ids);
  Got run(const Ask& ask);
  std::string stats(bool requests);
  // Drains, awaits the end of all, shuts down and frees. Gives what came.
  Results close();
  // Forgets the executor, which somebody else frees.
  trtgo_executor* release();

 private:
  trtgo_library* library_ = nullptr;
  trtgo_executor* executor_ = nullptr;
};

// Makes an engine directory of the toy model, for so many processes.
void make_engine(const std::string& directory, int world_size, const char* logits_type = "float32");
// Ends the program with a message unless ok.
void must(bool ok, const std::string& what);
// Greedy's settings, in addition to others.
Settings greedy(bool streaming = true);

// How often an entry of the stand-in was called since its script was set.
int64_t calls_of(const std::string& entry);

// The tests, by name.
using Test = void (*)(const Places&, Tally&);
Test find_test(const std::string& name);
// Faults that the sanitizers must see, and helpers that run as processes of their own; gives the exit status.
int run_alone(const std::string& name, const Places& places);
// Runs this program once more, with these variables of the environment; gives its exit status, or minus the signal.
int run_self(const Places& places, const std::string& name, const std::map<std::string, std::string>& environment,
             bool background = false, int* pid = nullptr);
int wait_for(int pid);

void test_behaviour(const Places& places, Tally& tally);
void test_outputs(const Places& places, Tally& tally);
void test_life(const Places& places, Tally& tally);
void test_throws(const Places& places, Tally& tally);
void test_memory(const Places& places, Tally& tally);
void test_peers(const Places& places, Tally& tally);
void test_soak(const Places& places, Tally& tally);
void test_signals(const Places& places, Tally& tally);
void test_processes(const Places& places, Tally& tally);
void test_refusals(const Places& places, Tally& tally);
void test_upstream(const Places& places, Tally& tally);

}  // namespace testing
}  // namespace trtgo

#endif  // TRTGO_TESTING_TENSORRT_LLM_SESSION_H_
