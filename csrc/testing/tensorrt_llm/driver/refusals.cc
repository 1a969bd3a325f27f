// What the shim itself refuses, and what it checks of TensorRT-LLM.
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <tuple>

#include "session.h"

extern "C" int cuCtxGetCurrent(void** context);
extern "C" int cuCtxSetCurrent(void* context);

namespace trtgo {
namespace testing {
namespace {

// A call that must fail with TRTGO_INVALID and a text with these words.
class Refused {
 public:
  explicit Refused(Tally& tally) : tally_(tally) {}
  template <class Call>
  void operator()(Call call, const std::string& words) {
    Error error;
    const int32_t status = call(error.out());
    tally_.require(status == TRTGO_INVALID && error.fits(status), words + ": status " + std::to_string(status));
    tally_.require(error.text().find(words) != std::string::npos, "\"" + words + "\" is not in: " + error.text());
  }

 private:
  Tally& tally_;
};

void test_pointers(const Places& places, Tally& tally) {
  Refused refused(tally);
  Session session(places);
  trtgo_executor* const x = session.executor();
  trtgo_executor* out = nullptr;
  uint64_t id = 99;
  trtgo_outputs* batch = nullptr;
  const trtgo_output* list = nullptr;
  int32_t num = 0;
  const char* json = nullptr;
  trtgo_request request{};
  request.struct_size = sizeof request;
  refused([&](trtgo_error** e) { return trtgo_executor_open(nullptr, nullptr, &out, e); }, "library is null");
  refused([&](trtgo_error** e) { return trtgo_executor_enqueue(nullptr, &request, &id, e); }, "executor is null");
  refused([&](trtgo_error** e) { return trtgo_executor_enqueue(x, nullptr, &id, e); }, "null");
  refused([&](trtgo_error** e) { return trtgo_executor_enqueue(x, &request, nullptr, e); }, "place for the id is null");
  refused([&](trtgo_error** e) { return trtgo_executor_cancel(nullptr, 1, e); }, "executor is null");
  refused([&](trtgo_error** e) { return trtgo_executor_await(nullptr, 1, &batch, &list, &num, e); },
          "executor is null");
  refused([&](trtgo_error** e) { return trtgo_executor_await(x, 1, nullptr, &list, &num, e); }, "batch is null");
  refused([&](trtgo_error** e) { return trtgo_executor_await(x, 1, &batch, nullptr, &num, e); }, "list is null");
  refused([&](trtgo_error** e) { return trtgo_executor_await(x, 1, &batch, &list, nullptr, e); }, "number is null");
  refused([&](trtgo_error** e) { return trtgo_executor_await(x, -1, &batch, &list, &num, e); }, "timeout_ms is -1");
  refused([&](trtgo_error** e) { return trtgo_executor_stats(nullptr, 0, &json, e); }, "executor is null");
  refused([&](trtgo_error** e) { return trtgo_executor_stats(x, 0, nullptr, e); }, "text is null");
  refused([&](trtgo_error** e) { return trtgo_executor_drain(nullptr, e); }, "executor is null");
  refused([&](trtgo_error** e) { return trtgo_executor_shutdown(nullptr, e); }, "executor is null");
  tally.require(trtgo_executor_is_leader(nullptr) == 0, "no executor is no leader");
  trtgo_outputs_free(nullptr);
  trtgo_executor_free(nullptr);
  // Errors that nobody wants.
  tally.require(trtgo_executor_cancel(nullptr, 1, nullptr) == TRTGO_INVALID, "no error is wanted");
}

void test_requests(const Places& places, Tally& tally) {
  Refused refused(tally);
  Session session(places);
  const auto refuse = [&](const Ask& ask, const std::string& words) {
    refused(
        [&](trtgo_error** out) {
          uint64_t id = 99;
          Error error;
          const int32_t status = session.enqueue(ask, &id, error);
          tally.require(id == 99, "no id is written");
          *out = error.release();
          return status;
        },
        words);
  };
  Ask ask;
  ask.tokens.clear();
  refuse(ask, "the prompt has 0 tokens");
  ask = Ask();
  ask.max_tokens = 0;
  refuse(ask, "max_tokens is 0");
  const auto with = [](const std::function<void(Settings&)>& change) {
    Ask changed;
    change(changed.settings);
    return changed;
  };
  refuse(with([](Settings& s) { s.number("endId", int64_t{1} << 40); }), "beyond 32 bits");
  refuse(with([](Settings& s) { s.numbers("topK", {1, 2}); }), "has 2 values, want 1");
  refuse(with([](Settings& s) { s.numbers("stopWords", {3, 1}); }), "has a word of 3 tokens");
  refuse(with([](Settings& s) { s.numbers("stopWords", {0}); }), "stopWords");
  refuse(with([](Settings& s) { s.numbers("badWords", {1, int64_t{1} << 40}); }), "badWords");
  refuse(with([](Settings& s) { s.number("streaming", 2); }), "streaming");
  refuse(with([](Settings& s) { s.text("topK", "1"); }), "topK");
  refuse(with([](Settings& s) { s.number("topK", -1); }), "topK");
  refuse(with([](Settings& s) { s.real("topP", 2); }), "topP");
  refuse(with([](Settings& s) { s.real("temperature", -1); }), "temperature");
  refuse(with([](Settings& s) { s.real("minP", 2); }), "minP");
  refuse(with([](Settings& s) { s.real("priority", 2); }), "riority");
  refuse(with([](Settings& s) { s.number("beamWidth", 2).number("numReturnSequences", 3); }), "numReturnSequences");
  // Of the bias: shape and type.
  const float bias[97] = {};
  for (const auto& [type, rank, dim, words] :
       {std::tuple("FLOAT", 2, 97, "no shape"), std::tuple("FLOAT", 1, 0, "no shape"),
        std::tuple("INT8", 1, 97, "INT8")}) {
    const int32_t token = 1;
    trtgo_request request{};
    request.struct_size = sizeof request;
    request.max_tokens = 1;
    request.tokens = &token;
    request.num_tokens = 1;
    request.embedding_bias = {bias, type, rank, {dim, 1, 0, 0}};
    refused(
        [&](trtgo_error** e) {
          uint64_t id = 0;
          return trtgo_executor_enqueue(session.executor(), &request, &id, e);
        },
        words);
  }
}

// Sizes of structs: an older, shorter one is taken, a longer one is not.
void test_sizes(const Places& places, Tally& tally) {
  Refused refused(tally);
  Session session(places);
  const int32_t token = 1;
  trtgo_request request{};
  request.max_tokens = 1;
  request.tokens = &token;
  request.num_tokens = 1;
  uint64_t id = 0;
  for (const size_t size : {size_t{0}, sizeof request + 8}) {
    request.struct_size = static_cast<uint32_t>(size);
    refused([&](trtgo_error** e) { return trtgo_executor_enqueue(session.executor(), &request, &id, e); },
            "struct_size");
  }
  request.struct_size = offsetof(trtgo_request, settings);
  Error error;
  tally.require(trtgo_executor_enqueue(session.executor(), &request, &id, error.out()) == TRTGO_OK, "a shorter struct");
  session.wait({id});
}

// Logits of 16 bits, and a bias of their type.
void test_halves(const Places& places, Tally& tally) {
  for (const char* type : {"float16", "bfloat16"}) {
    make_engine(places.engine, 1, type);
    Session session(places, Settings().number("gatherGenerationLogits", 1));
    const int32_t token = 1;
    std::vector<uint16_t> bias(97, 0);
    bias[42] = std::strcmp(type, "float16") == 0 ? 0x6400 : 0x4480;  // 1024
    Settings settings = greedy();
    settings.number("returnGenerationLogits", 1);
    trtgo_request request{};
    request.struct_size = sizeof request;
    request.max_tokens = 1;
    request.tokens = &token;
    request.num_tokens = 1;
    request.settings = settings.data();
    request.num_settings = settings.size();
    const char* name = std::strcmp(type, "float16") == 0 ? "HALF" : "BF16";
    request.embedding_bias = {bias.data(), name, 1, {97, 0, 0, 0}};
    uint64_t id = 0;
    Error error;
    tally.require(trtgo_executor_enqueue(session.executor(), &request, &id, error.out()) == TRTGO_OK, error.text());
    trtgo_outputs* batch = nullptr;
    const trtgo_output* list = nullptr;
    int32_t num = 0;
    while (num == 0) {
      must(trtgo_executor_await(session.executor(), 100, &batch, &list, &num, error.out()) == TRTGO_OK, error.text());
    }
    tally.require(list[0].error == nullptr && list[0].num_tokens == 1 && list[0].tokens[0] == 42, "the bias counts");
    tally.require(std::string(list[0].generation_logits.type) == name, "the type of logits");
    trtgo_outputs_free(batch);
  }
  make_engine(places.engine, 1);
}

// What the shim checks of the library that is loaded.
void test_checks(const Places& places, Tally& tally) {
  for (const char* forgotten : {"SchedulerConfig", "KvCacheConfig", "OrchestratorConfig", "ExecutorConfig"}) {
    trtllm_standin_script((std::string("forget=") + forgotten).c_str());
    Settings settings;
    settings.text("capacitySchedulerPolicy", "GUARANTEED_NO_EVICT").text("workerExecutablePath", places.self);
    trtgo_library* library = nullptr;
    trtgo_executor* executor = nullptr;
    Error error;
    const int32_t status = Session::open(places, settings, &library, &executor, error);
    tally.require(status == TRTGO_VERSION && error.fits(status), std::string(forgotten) + " is checked");
    tally.require(error.text().find(forgotten) != std::string::npos, "and named: " + error.text());
    trtgo_executor_free(executor);
  }
  trtllm_standin_script(nullptr);
  trtgo_library* library = nullptr;
  trtgo_executor* executor = nullptr;
  Error error;
  tally.require(Session::open(places, Settings().text("capacitySchedulerPolicy", "STATIC_BATCH"), &library, &executor,
                              error) == TRTGO_INVALID,
                "a policy that is not offered");
  trtllm_standin_script("no_plugins=1");
  tally.require(Session::open(places, Settings(), &library, &executor, error) == TRTGO_INVALID, "plugins that refuse");
  trtllm_standin_script(nullptr);
}

// The plugins beside TensorRT-LLM are found; a library that has plugins for building is refused; IS_BUILDING, which
// that sets, is unset; the thread's CUDA context is as it was.
void test_surroundings(const Places& places, Tally& tally) {
  const std::string tensorrt = places.libraries + "/libnvinfer.so";
  const std::string plugins = places.libraries + "/libnvinfer_plugin_tensorrt_llm.so";
  setenv("IS_BUILDING", "1", 1);
  int mine = 0;
  cuCtxSetCurrent(&mine);
  for (const char* given : {static_cast<const char*>(nullptr), plugins.c_str(), "/nowhere/libplugins.so"}) {
    trtgo_library_options library_options{};
    library_options.struct_size = sizeof library_options;
    library_options.tensorrt = tensorrt.c_str();
    trtgo_library* library = nullptr;
    trtgo_executor* executor = nullptr;
    Error error;
    must(trtgo_library_open(&library_options, &library, error.out()) == TRTGO_OK, error.text());
    trtgo_executor_options options{};
    options.struct_size = sizeof options;
    options.engine_dir = places.engine.c_str();
    options.plugins = given;
    const int32_t status = trtgo_executor_open(library, &options, &executor, error.out());
    const bool there = given == nullptr || plugins == given;
    tally.require(status == (there ? TRTGO_OK : TRTGO_NOT_FOUND), "plugins: " + error.text());
    void* context = nullptr;
    cuCtxGetCurrent(&context);
    tally.require(context == &mine, "the thread's context is as it was");
    tally.require(std::getenv("IS_BUILDING") == nullptr, "IS_BUILDING is unset");
    trtgo_executor_free(executor);
    trtgo_library_close(library);
  }
  cuCtxSetCurrent(nullptr);
  trtgo_library_options library_options{};
  library_options.struct_size = sizeof library_options;
  library_options.tensorrt = tensorrt.c_str();
  library_options.plugins = plugins.c_str();
  trtgo_library* library = nullptr;
  trtgo_executor* executor = nullptr;
  Error error;
  must(trtgo_library_open(&library_options, &library, error.out()) == TRTGO_OK, error.text());
  trtgo_executor_options options{};
  options.struct_size = sizeof options;
  options.engine_dir = places.engine.c_str();
  tally.require(trtgo_executor_open(library, &options, &executor, error.out()) == TRTGO_INVALID,
                "a library with plugins");
  options.engine_dir = nullptr;
  tally.require(trtgo_executor_open(library, &options, &executor, error.out()) == TRTGO_INVALID, "no directory");
  trtgo_library_close(library);
}

}  // namespace

void test_refusals(const Places& places, Tally& tally) {
  test_pointers(places, tally);
  test_requests(places, tally);
  test_sizes(places, tally);
  test_halves(places, tally);
  test_checks(places, tally);
  test_surroundings(places, tally);
}

}  // namespace testing
}  // namespace trtgo
