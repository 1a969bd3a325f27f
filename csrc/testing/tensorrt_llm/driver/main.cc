// Leads the production shim over the stand-in for TensorRT-LLM.
//
//   executor_driver LIBRARIES SCRATCH TEST     a test, or with --NAME what runs alone (run_alone)
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "session.h"

// The leak checker's, where there is one. Memory that is found once is told of once.
extern "C" __attribute__((weak)) int __lsan_do_recoverable_leak_check();

namespace trtgo {
namespace testing {
namespace {

const std::pair<const char*, Test> kTests[] = {
    {"behaviour", test_behaviour}, {"outputs", test_outputs},   {"life", test_life},         {"throws", test_throws},
    {"memory", test_memory},       {"peers", test_peers},       {"soak", test_soak},         {"signals", test_signals},
    {"processes", test_processes}, {"refusals", test_refusals}, {"upstream", test_upstream},
};

}  // namespace

void make_engine(const std::string& directory, int world_size, const char* logits_type) {
  mkdir(directory.c_str(), 0777);
  std::ofstream(directory + "/config.json")
      << R"({"pretrained_config": {"vocab_size": 97, "logits_dtype": ")" << logits_type
      << R"(", "mapping": {"world_size": )" << world_size
      << R"(}}, "build_config": {"max_seq_len": 192, "max_batch_size": 8, "max_num_tokens": 48,
          "gather_context_logits": true}})";
  for (int rank = 0; rank < world_size; rank++) {
    std::ofstream(directory + "/rank" + std::to_string(rank) + ".engine") << "toy";
  }
}

Test find_test(const std::string& name) {
  for (const auto& [known, test] : kTests) {
    if (name == known) return test;
  }
  return nullptr;
}

int run_self(const Places& places, const std::string& name, const std::map<std::string, std::string>& environment,
             bool background, int* pid) {
  std::fflush(stdout);
  const pid_t child = fork();
  must(child >= 0, "fork");
  if (child == 0) {
    for (const auto& [key, value] : environment) setenv(key.c_str(), value.c_str(), 1);
    const std::string option = "--" + name;
    execl(places.self.c_str(), places.self.c_str(), places.libraries.c_str(), places.scratch.c_str(), option.c_str(),
          static_cast<char*>(nullptr));
    _exit(127);
  }
  if (pid != nullptr) *pid = child;
  return background ? 0 : wait_for(child);
}

int wait_for(int pid) {
  int status = 0;
  must(waitpid(pid, &status, 0) == pid, "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace testing
}  // namespace trtgo

int main(int argc, char** argv) {
  using namespace trtgo::testing;
  if (argc != 4) {
    std::fprintf(stderr, "usage: executor_driver LIBRARIES SCRATCH TEST\n");
    return 2;
  }
  const std::string name = argv[3];
  const bool alone = name.rfind("--", 0) == 0;
  Places places{argv[1], "", std::string(argv[2]), argv[0]};
  if (!alone) places.scratch += "/" + name;
  mkdir(argv[2], 0777);
  mkdir(places.scratch.c_str(), 0777);
  places.engine = places.scratch + "/engine";
  if (!alone || access((places.engine + "/config.json").c_str(), F_OK) != 0) make_engine(places.engine, 1);
  if (alone) return run_alone(name.substr(2), places);
  const Test test = find_test(name);
  if (test == nullptr) {
    std::fprintf(stderr, "executor_driver: there is no test %s\n", name.c_str());
    return 2;
  }
  Tally tally(false);
  test(places, tally);
  tally.report(name);
  tally.require(trtllm_standin_alive() == 0,
                std::to_string(trtllm_standin_alive()) + " objects of the stand-in are left");
  // The end of MPI, so that a process of ranks ends as it should; exit() would end it once more.
  Error error;
  tally.require(trtgo_finalize(error.out()) == TRTGO_OK, "finalize: " + error.text());
  if (__lsan_do_recoverable_leak_check != nullptr) {
    tally.require(__lsan_do_recoverable_leak_check() == 0, "memory is left");
  }
  const int status = tally.exit_status();
  std::fflush(stdout);
  _exit(status);
}
