// Opening an executor, and what of TensorRT-LLM there is once in a process.
#include <dlfcn.h>

#include <cstdlib>

#include "executor.h"

#if TRTGO_HAS_EXECUTOR

#include <filesystem>
#include <system_error>
#include <utility>

#include "executorconfig.h"
#include "guard.h"
#include "mpi.h"
#include "sharedobject.h"
#include "surroundings.h"

namespace trtgo {
namespace tensorrt {
namespace {

const char* const kEntry = "trtgo_executor_open";
const char* const kPlugins = "libnvinfer_plugin_tensorrt_llm.so";

std::mutex process_mutex;  // guards what follows
bool claimed = false;
bool finalized = false;

// Classes have other sizes in other releases: nothing but this may be called before it.
void check_version() {
  const std::string loaded = trtllm_version();
  if (loaded.substr(0, loaded.find('+')) == TRTGO_TRTLLM_VERSION) return;  // + begins a build's own name
  throw Failure(TRTGO_VERSION, "tensorrt_llm::executor::version",
                "the TensorRT-LLM that is loaded is " + loaded +
                    ", this library was compiled for " TRTGO_TRTLLM_VERSION
                    ": use the libraries of that release, or compile it again with the headers of " +
                    loaded + " and cmake -DTRTLLM_VERSION=" + loaded);
}

// The library beside TensorRT-LLM's own, since one of another build would not fit; or else the loader looks for it.
std::string usual_plugins() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&tensorrt_llm::executor::version), &info) == 0) return kPlugins;
  const std::filesystem::path path = std::filesystem::path(info.dli_fname).replace_filename(kPlugins);
  std::error_code error;
  return std::filesystem::exists(path, error) ? path.string() : kPlugins;
}

// Registers the plugins, which is done once in a process; again it does nothing.
void load_plugins(const char* given) {
  const std::string path = given == nullptr || *given == 0 ? usual_plugins() : given;
  // Global: its own dependencies look for its symbols.
  void* handle = load_shared(path, RTLD_GLOBAL);
  bool (*init)(void* logger, const char* plugin_namespace) = nullptr;
  find_symbol(handle, path, "initTrtLlmPlugins", &init);
  // No logger leaves the library its own, which is what LoggerManager::defaultLogger() gives.
  const bool done = attempt(TRTGO_INVALID, "initTrtLlmPlugins", "the plugins cannot be registered",
                            [&] { return init(nullptr, "tensorrt_llm"); });
  if (!done) throw Failure(TRTGO_INVALID, "initTrtLlmPlugins", path + " could not register its plugins");
}

}  // namespace

const char* trtllm_version() { return tensorrt_llm::executor::version(); }

Claim::Claim() {
  const std::lock_guard<std::mutex> lock(process_mutex);
  if (finalized) {
    throw Failure(TRTGO_INVALID, kEntry, "trtgo_finalize has ended MPI: no executor can be opened in this process");
  }
  if (claimed) {
    throw Failure(TRTGO_INVALID, kEntry, "this process has an executor already: TensorRT-LLM takes one at a time");
  }
  claimed = true;
}

Claim::~Claim() {
  const std::lock_guard<std::mutex> lock(process_mutex);
  claimed = false;
}

void finalize() {
  const std::lock_guard<std::mutex> lock(process_mutex);
  if (claimed) throw Failure(TRTGO_INVALID, "trtgo_finalize", "this process has an executor: free it before");
  finalized = true;
  const Surroundings surroundings;
  finalize_mpi();
}

Executor::Executor(const Library& library, const trtgo_executor_options& options) {
  need(options.engine_dir, kEntry, "the engine's directory");
  check_version();
  if (library.has_plugins()) {
    throw Failure(TRTGO_INVALID, kEntry,
                  "the library was opened with plugins, which were told that they only build: open it without them");
  }
  // Another library may have been opened with plugins before.
  if (std::getenv("IS_BUILDING") != nullptr && unsetenv("IS_BUILDING") != 0)
    throw Failure(TRTGO_INTERNAL, "unsetenv", "cannot unset IS_BUILDING");
  const tensorrt_llm::executor::ExecutorConfig config = make_config(options);

  const Surroundings surroundings;
  signals_ = surroundings.signals();
  const MpiStart start;
  load_plugins(options.plugins);
  make_mpi_global();
  const std::string text = std::string("TensorRT-LLM cannot open the engine ") + options.engine_dir;
  // What throws from here on ends it before the surroundings are put back.
  auto upstream = attempt(TRTGO_INVALID, "Executor", text.c_str(), [&] {
    return std::make_unique<tensorrt_llm::executor::Executor>(std::filesystem::path(options.engine_dir),
                                                              tensorrt_llm::executor::ModelType::kDECODER_ONLY, config);
  });
  context_ = cuda_context();
  leader_ = upstream->canEnqueueRequests();
  upstream_ = std::move(upstream);
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_HAS_EXECUTOR
