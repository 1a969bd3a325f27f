// Processes of their own: ranks of mpirun, handlers of signals, hangs, and faults that the sanitizers must see.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "../include/tensorrt_llm/executor/executor.h"
#include "../include/tensorrt_llm/plugins/api/tllmPlugin.h"
#include "session.h"

namespace trtgo {
namespace testing {
namespace {

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// What Go has: a handler that runs on a stack of its own.
void handler(int, siginfo_t*, void*) {}

struct sigaction gos() {
  struct sigaction action;
  std::memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  return action;
}

bool is_gos(int number) {
  struct sigaction now;
  sigaction(number, nullptr, &now);
  return (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == handler && (now.sa_flags & SA_ONSTACK) != 0;
}

const int kSignals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE};

bool all_gos() {
  for (const int number : kSignals) {
    if (!is_gos(number)) return false;
  }
  return true;
}

// One rank: the leader runs a request, the others only shut down.
int rank(const Places& places) {
  Session session(places);
  Error error;
  const bool leader = trtgo_executor_is_leader(session.executor()) == 1;
  if (leader != (std::string(std::getenv("OMPI_COMM_WORLD_RANK")) == "0")) return 3;
  if (leader) {
    Ask ask;
    ask.settings = greedy();
    if (session.run(ask).tokens.size() != 4) return 4;
  } else {
    uint64_t id = 99;
    Ask ask;
    if (session.enqueue(ask, &id, error) != TRTGO_INVALID || id != 99) return 5;
    const char* json = nullptr;
    if (trtgo_executor_stats(session.executor(), 0, &json, error.out()) != TRTGO_INVALID) return 6;
    if (trtgo_executor_cancel(session.executor(), 1, error.out()) != TRTGO_INVALID) return 7;
  }
  session.close();
  if (trtgo_finalize(error.out()) != TRTGO_OK || trtgo_finalize(error.out()) != TRTGO_OK) return 8;
  trtgo_library* library = nullptr;
  trtgo_executor* executor = nullptr;
  if (Session::open(places, Settings(), &library, &executor, error) != TRTGO_INVALID) return 9;
  return 0;
}

// An executor that hangs in WHERE: the process is killed from outside, which shows that it did.
int hang(const Places& places) {
  Session session(places);
  Ask ask;
  ask.settings = greedy();
  session.run(ask);
  session.close();
  return 0;
}

int use_after_free(const Places& places) {
  Session session(places);
  Ask ask;
  ask.settings = greedy();
  session.enqueue(ask);
  trtgo_outputs* batch = nullptr;
  const trtgo_output* list = nullptr;
  int32_t num = 0;
  while (num == 0) trtgo_executor_await(session.executor(), 100, &batch, &list, &num, nullptr);
  trtgo_outputs_free(batch);
  std::printf("token %d of a freed batch, and nothing happened\n", list[0].tokens[0]);
  return 0;
}

// Loses errors of the shim.
int leak() {
  for (int i = 0; i < 10; i++) {
    trtgo_error* error = nullptr;
    trtgo_executor_cancel(nullptr, 1, &error);
  }
  return 0;
}

// Enqueues from two threads without the shim and its lock.
int race(const Places& places) {
  using namespace tensorrt_llm::executor;
  initTrtLlmPlugins();
  Executor executor(places.engine, ModelType::kDECODER_ONLY, ExecutorConfig());
  const auto enqueue = [&] {
    for (int i = 0; i < 200; i++) static_cast<void>(executor.enqueueRequest(Request({1, 2, 3}, 1)));
  };
  std::thread first(enqueue), second(enqueue);
  first.join();
  second.join();
  std::printf("two threads raced for ids, and nothing happened\n");
  return 0;
}

}  // namespace

int run_alone(const std::string& name, const Places& places) {
  int status = 2;
  if (name == "rank") status = rank(places);
  if (name == "hang") status = hang(places);
  if (name == "use-after-free") status = use_after_free(places);
  if (name == "leak") return leak();  // the sanitizer looks when the program ends
  if (name == "race") status = race(places);
  if (name == "fault") {
    Tally tally(true);
    tally.within(1, 1, 0.5, "one");
    status = tally.exit_status();
  }
  std::fflush(stdout);
  _exit(status);
}

void test_processes(const Places& places, Tally& tally) {
  const std::string world = places.scratch + "/world";
  tally.require(std::system(("rm -rf " + world + " && mkdir " + world).c_str()) == 0, "a directory");
  Places ranks = places;
  ranks.scratch = world;
  make_engine(world + "/engine", 2);
  // Both ranks wait for each other, and the follower for the leader's end.
  std::vector<int> pids(2);
  for (int i = 1; i >= 0; i--) {
    run_self(ranks, "rank",
             {{"OMPI_COMM_WORLD_RANK", std::to_string(i)},
              {"OMPI_COMM_WORLD_SIZE", "2"},
              {"TRTGO_STANDIN_WORLD", world},
              {"TRTGO_STANDIN_FINALIZED", world + "/finalized" + std::to_string(i)}},
             true, &pids[static_cast<size_t>(i)]);
  }
  for (size_t i = 0; i < 2; i++) {
    const int status = wait_for(pids[i]);
    tally.require(status == 0, "rank " + std::to_string(i) + " ends with " + std::to_string(status));
    tally.require(exists(world + "/finalized" + std::to_string(i)), "rank " + std::to_string(i) + " ended MPI");
  }
  // Hangs are hangs, so that tests of what bounds them can be believed.
  for (const char* where : {"constructor", "shutdown", "await", "step#1"}) {
    int pid = 0;
    const std::string release = places.scratch + "/release";
    std::remove(release.c_str());
    run_self(places, "hang", {{"TRTGO_STANDIN_SCRIPT", std::string("hang=") + where + ";release=" + release}}, true,
             &pid);
    usleep(300 * 1000);
    tally.require(kill(pid, 0) == 0 && !exists(release), std::string("it hangs in ") + where);
    std::ofstream(release).put('\n');
    tally.require(wait_for(pid) == 0, "and goes on when it is released");
  }
}

void test_signals(const Places& places, Tally& tally) {
  for (const int number : kSignals) {
    const struct sigaction action = gos();
    sigaction(number, &action, nullptr);
  }
  for (const char* when : {"", "handlers=constructor", "handlers=loop", "handlers=shutdown"}) {
    trtllm_standin_script(when);
    Session session(places);
    tally.require(all_gos(), std::string("after open, ") + when);
    Ask ask;
    ask.max_tokens = 30;
    ask.settings = greedy();
    session.run(ask);
    tally.require(all_gos(), std::string("after requests, ") + when);
    session.close();
    tally.require(all_gos(), std::string("after shutdown, ") + when);
  }
  // Handlers of other signals are not touched, whoever installed them.
  struct sigaction mine = gos();
  sigaction(SIGUSR1, &mine, nullptr);
  { Session session(places); }
  tally.require(is_gos(SIGUSR1), "a handler that was there stays");
  trtllm_standin_script(nullptr);
  for (const int number : kSignals) signal(number, SIG_DFL);
}

}  // namespace testing
}  // namespace trtgo
