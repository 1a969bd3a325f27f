// Leads the shim of csrc/tensorrt over the stand-in for TensorRT: one build without faults, then one for every call of
// it and every way in which that call can fail, then builds that hang, stop or cannot write. Each must end with one
// clear error, or tell its caller something else than the build without faults; and nothing may be left behind. So must a
// build for which memory runs out, at any allocation.
//
//   shim_driver TENSORRT PLUGINS            the paths of the stand-in's libraries
//   shim_driver TENSORRT PLUGINS --fault    a build without faults is taken for one with a fault: must fail
//   shim_driver TENSORRT PLUGINS --leak     the same with a network that is not closed: must fail
//   shim_driver TENSORRT PLUGINS --overrun  read beyond an array: must be caught by a sanitizer
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "../check.h"
#include "memory.h"
#include "replay.h"
#include "standin.h"

namespace {

using trtgo::testing::Outcome;
using trtgo::testing::Replay;
using trtgo::testing::replay;
using trtgo::testing::Tally;

// The stand-in's own functions.
struct StandIn {
  decltype(&trtgo_standin_reset) reset;
  decltype(&trtgo_standin_alive) alive;
  decltype(&trtgo_standin_call) call;
  decltype(&trtgo_standin_faulted) faulted;
  decltype(&trtgo_standin_inside) inside;

  explicit StandIn(const char* path) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      std::printf("%s\n", dlerror());
      std::exit(1);
    }
    find(library, "trtgo_standin_reset", &reset);
    find(library, "trtgo_standin_alive", &alive);
    find(library, "trtgo_standin_call", &call);
    find(library, "trtgo_standin_faulted", &faulted);
    find(library, "trtgo_standin_inside", &inside);
  }

 private:
  template <class Function>
  void find(void* library, const char* name, Function* function) {
    void* symbol = dlsym(library, name);
    if (symbol == nullptr) std::abort();
    std::memcpy(function, &symbol, sizeof symbol);
  }
};

// A file that is gone when it is closed.
class Plan {
 public:
  Plan() : fd_(open("/tmp", O_TMPFILE | O_RDWR, 0600)) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() { close(fd_); }
  int fd() const { return fd_; }
  int64_t size() const { return lseek(fd_, 0, SEEK_END); }

 private:
  int fd_;
};

// standin::Answer.
enum Answer { kNothing = 0 };

struct Call {
  std::string function;
  int32_t number, answer, throws, logs;
};

class Driver {
 public:
  Driver(const char* tensorrt, const char* plugins, Tally& tally) : standin_(tensorrt), tally_(tally) {
    replay_.tensorrt = tensorrt;
    replay_.plugins = plugins;
  }

  Replay& options() { return replay_; }

  // Runs with a fault; everything must be gone afterwards.
  Outcome run(const std::string& faults) {
    const Plan plan;
    return run(faults, plan.fd());
  }
  Outcome run(const std::string& faults, int fd) {
    standin_.reset(nullptr, faults.c_str());
    Replay options = replay_;
    options.fd = fd;
    const Outcome outcome = replay(options);
    const char* names = "";
    const int32_t alive = standin_.alive(&names);
    tally_.require(alive == 0, faults + ": left behind are " + names);
    return outcome;
  }

  // A build without faults, and which calls it makes.
  void clean() {
    const Plan plan;
    clean_ = run("", plan.fd());
    tally_.require(clean_.status == TRTGO_OK, clean_.step + " " + clean_.operation + ": " + clean_.text);
    tally_.require(plan.size() >= 100000, "the plan is written");
    Call call;
    const char* function = nullptr;
    for (int32_t i = 0; standin_.call(i, &function, &call.number, &call.answer, &call.throws, &call.logs) != 0; i++) {
      call.function = function;
      calls_.push_back(call);
    }
    tally_.require(calls_.size() > 300, "only " + std::to_string(calls_.size()) + " calls");
    tally_.report("a build without faults");
  }

  // A build without faults is taken for one with a fault.
  void unnoticed() { check("no fault", "none", clean_); }

  void every_fault() {
    for (const Call& call : calls_) {
      // What gives nothing cannot give something bad.
      if (call.answer != kNothing) fault(call, "bad");
      if (call.logs != 0) fault(call, "logged");
      if (call.throws == 0) continue;
      for (const char* kind : {"throw-int", "throw-runtime", "throw-bad_alloc"}) fault(call, kind);
    }
    tally_.report(std::to_string(calls_.size()) + " calls, each with every fault");
  }

  // Faults that are not those of one call.
  void scenarios() {
    refused("version=101300", TRTGO_VERSION, "10.13.0");
    refused("build=half", TRTGO_INVALID, "told to fail after half");
    refused("plugins=refuse", TRTGO_INVALID, "told to refuse its plugins");
    refused("creator=Gemm", TRTGO_NOT_FOUND, "Gemm");
    refused("with=Gemm.new_field", TRTGO_INVALID, "new_field is missing");
    const Plan plan;
    tally_.require(run("write=7", plan.fd()).status == TRTGO_OK && plan.size() >= 100000, "a plan in small pieces");
    const int full = open("/dev/full", O_WRONLY);
    const Outcome no_room = run("", full);
    close(full);
    tally_.require(no_room.status == TRTGO_IO, "no room for the plan: " + no_room.text);
    const Outcome closed = run("", -1);
    tally_.require(closed.status == TRTGO_IO, "a file that is not open: " + closed.text);
    replay_.build_twice = true;
    const Outcome twice = run("");
    tally_.require(twice.status == TRTGO_INVALID && twice.step == "second build", "a second build: " + twice.text);
    replay_.build_twice = false;
    tally_.require(run("").told == clean_.told, "nothing of it stays");
    tally_.report("builds that stop and plans that cannot be written");
  }

  void progress() {
    std::atomic<int> seen{0};
    replay_.meanwhile = [&seen](trtgo_network* network) {
      const char* phase = nullptr;
      int32_t done = 0, total = 0;
      int64_t bytes = 0;
      if (trtgo_network_progress(network, &phase, &done, &total, &bytes) != 0 && total == 300 && done > seen) {
        seen = done;
      }
    };
    tally_.require(run("build=slow").status == TRTGO_OK && seen > 10,
                   "progress of a slow build: " + std::to_string(seen));
    replay_.meanwhile = [](trtgo_network* network) {
      int32_t done = 0;
      if (trtgo_network_progress(network, nullptr, &done, nullptr, nullptr) != 0 && done > 3) {
        trtgo_network_cancel(network);
      }
    };
    const Outcome cancelled = run("build=hang");
    tally_.require(cancelled.status == TRTGO_CANCELLED, "a build that hangs, cancelled: " + cancelled.text);
    replay_.meanwhile = nullptr;
    tally_.report("progress and cancel");
  }

  // Memory that runs out: at each of the first allocations, later at some. A stand-in that cannot throw would end the
  // process for its own.
  void memory() {
    using trtgo::testing::fail_allocation;
    const auto throwing = std::count_if(calls_.begin(), calls_.end(), [](const Call& c) { return c.throws != 0; });
    if (throwing < 100) return;
    int64_t runs = 0, next = 0;
    for (;; next += 1 + next / 64, runs++) {
      fail_allocation(next, standin_.inside);
      const Outcome outcome = run("");
      if (!fail_allocation(-1, standin_.inside)) break;
      const std::string what = "allocation " + std::to_string(next) + " [" + outcome.step + ": " + outcome.text + "]";
      // What only makes a message or the progress poorer may go on.
      const bool same = outcome.status == TRTGO_OK && outcome.told == clean_.told;
      tally_.require(outcome.status == TRTGO_MEMORY || same, what + ": status " + std::to_string(outcome.status));
    }
    tally_.require(runs > 100, "only " + std::to_string(next) + " allocations");
    tally_.report("memory that runs out after up to " + std::to_string(next) + " allocations");
  }

  // Calls that no sensible caller makes.
  void misuse() {
    standin_.reset(nullptr, "");
    trtgo_library* library = nullptr;
    trtgo_network* network = nullptr;
    trtgo_library_options open{};
    refuses("options without a size", trtgo_library_open, &open, &library);
    open.struct_size = sizeof open + 8;
    refuses("options of a newer caller", trtgo_library_open, &open, &library);
    refuses("no options", trtgo_library_open, nullptr, &library);
    open.struct_size = sizeof open;
    open.tensorrt = replay_.tensorrt;
    open.plugins = replay_.plugins;
    refuses("no place for the library", trtgo_library_open, &open, nullptr);
    tally_.require(trtgo_library_open(&open, &library, nullptr) == TRTGO_OK, "a library");
    trtgo_network_options create{};
    create.struct_size = sizeof create;
    refuses("no library", trtgo_network_create, nullptr, &create, &network);
    create.threads = -1;
    refuses("no threads", trtgo_network_create, library, &create, &network);
    create.threads = 0;
    tally_.require(trtgo_network_create(library, &create, &network, nullptr) == TRTGO_OK, "a network without a name");
    misuse_network(network);
    trtgo_network_close(network);
    trtgo_library_close(library);
    trtgo_network_close(nullptr);
    trtgo_library_close(nullptr);
    trtgo_error_free(nullptr);
    trtgo_network_cancel(nullptr);
    tally_.require(standin_.alive(nullptr) == 0, "nothing is left of it");
    tally_.report("calls that no sensible caller makes");
  }

 private:
  // A call that must be refused with an error that says why.
  template <class Function, class... Arguments>
  void refuses(const char* what, Function function, Arguments... arguments) {
    trtgo_error* error = nullptr;
    const int32_t status = function(arguments..., &error);
    tally_.require(status == TRTGO_INVALID && trtgo_error_status(error) == status && *trtgo_error_text(error) != 0,
                   what);
    trtgo_error_free(error);
    tally_.require(function(arguments..., nullptr) == status, what);
  }

  void misuse_network(trtgo_network* network) {
    trtgo_tensor tensor{};
    const int64_t dims[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    refuses("an input without a name", trtgo_network_add_input, network, nullptr, "BF16", 1, dims, nullptr, &tensor);
    refuses("an input of no type", trtgo_network_add_input, network, "x", "BF17", 1, dims, nullptr, &tensor);
    refuses("an input of 9 dimensions", trtgo_network_add_input, network, "x", "BF16", 9, dims, nullptr, &tensor);
    refuses("an input of -1 dimensions", trtgo_network_add_input, network, "x", "BF16", -1, dims, nullptr, &tensor);
    refuses("an input of no dimensions", trtgo_network_add_input, network, "x", "BF16", 1, nullptr, nullptr, &tensor);
    refuses("an output that is none", trtgo_network_mark_output, network, 7, "y");
    refuses("an output without a name", trtgo_network_mark_output, network, 0, nullptr);
    const trtgo_range range{nullptr, 1, dims, dims, dims}, unknown{"x", 1, dims, dims, dims};
    refuses("a range without an input", trtgo_network_add_profile, network, &range, 1);
    refuses("a range of no input", trtgo_network_add_profile, network, &unknown, 1);
    refuses("no ranges", trtgo_network_add_profile, network, nullptr, 1);
    int32_t room = 1;
    trtgo_layer layer{};
    refuses("a layer without a size", trtgo_network_add_layer, network, &layer, &tensor, &room);
    refuses("no layer", trtgo_network_add_layer, network, nullptr, &tensor, &room);
    layer.struct_size = sizeof layer;
    refuses("a layer without a kind", trtgo_network_add_layer, network, &layer, &tensor, &room);
    layer.kind = "Convolution";
    layer.name = "c";
    refuses("a layer that there is not", trtgo_network_add_layer, network, &layer, &tensor, &room);
    refuses("a build without options", trtgo_network_build, network, nullptr, 1);
  }

  void fault(const Call& call, const char* kind) {
    const std::string what = call.function + "#" + std::to_string(call.number) + "=" + kind;
    const Outcome outcome = run(what);
    tally_.require(standin_.faulted() == 1, what + ": the fault did not happen");
    check(what, kind, outcome);
  }

  // An error in one line that names a function, or another answer than without faults.
  void check(const std::string& what, const std::string& kind, const Outcome& outcome) {
    const std::string said = " [" + outcome.step + ", " + outcome.operation + ": " + outcome.text + "]";
    if (outcome.status == TRTGO_OK) {
      // The caller compares what it is told with what it expects.
      tally_.require(kind == "bad" && outcome.told != clean_.told, what + ": went unnoticed");
      return;
    }
    tally_.require(!outcome.operation.empty() && !outcome.text.empty() && outcome.text.find('\n') == std::string::npos,
                   what + ": no clear error" + said);
    if (kind == "logged") {
      tally_.require(outcome.text.find("was told to refuse") != std::string::npos,
                     what + ": TensorRT's words are lost" + said);
    }
    if (kind == "throw-int" || kind == "throw-runtime") {
      tally_.require(outcome.status == TRTGO_INTERNAL, what + ": another status" + said);
    }
    if (kind == "throw-bad_alloc") tally_.require(outcome.status == TRTGO_MEMORY, what + ": another status" + said);
  }

  void refused(const std::string& faults, int32_t status, const std::string& words) {
    const Outcome outcome = run(faults);
    tally_.require(outcome.status == status && outcome.text.find(words) != std::string::npos,
                   faults + ": status " + std::to_string(outcome.status) + ", " + outcome.text);
  }

  StandIn standin_;
  Tally& tally_;
  Replay replay_;
  Outcome clean_;
  std::vector<Call> calls_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::printf("usage: shim_driver TENSORRT PLUGINS [--fault|--leak|--overrun]\n");
    return 2;
  }
  const std::string mode = argc > 3 ? argv[3] : "";
  if (mode == "--overrun") return trtgo::testing::overrun();
  Tally tally(false);
  Driver driver(argv[1], argv[2], tally);
  driver.options().leave_open = mode == "--leak";
  driver.clean();
  if (mode == "--leak") {
    const int status = tally.exit_status();
    std::fflush(stdout);  // LeakSanitizer ends the process without it
    return status;
  }
  if (mode == "--fault") {
    driver.unnoticed();
    return tally.exit_status();
  }
  driver.every_fault();
  driver.scenarios();
  driver.progress();
  driver.misuse();
  driver.memory();
  return tally.exit_status();
}
