#include "session.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace trtgo {
namespace testing {
namespace {

std::vector<std::vector<float>> rows_of(const trtgo_array& array) {
  std::vector<std::vector<float>> rows;
  if (array.data == nullptr) return rows;
  must(std::strcmp(array.type, "FLOAT") == 0, "logits are FLOAT");
  int64_t number = 1;
  for (int32_t i = 0; i + 1 < array.rank; i++) {
    must(array.dims[i] >= 0, "a dimension is " + std::to_string(array.dims[i]));
    number *= array.dims[i];
  }
  const int64_t width = array.dims[array.rank - 1];
  const auto* values = static_cast<const float*>(array.data);
  for (int64_t i = 0; i < number; i++) rows.emplace_back(values + i * width, values + (i + 1) * width);
  return rows;
}

void add(const trtgo_output& output, Results& results) {
  Got& got = results[output.id][output.beam];
  got.outputs++;
  got.client = output.client_id;
  if (output.error != nullptr) got.error = output.error;
  if (output.final != 0) {
    got.final = true;
    got.finals++;
  }
  got.reason = output.finish_reason;
  got.num_beams = output.num_beams;
  got.tokens.insert(got.tokens.end(), output.tokens, output.tokens + output.num_tokens);
  got.log_probs.assign(output.log_probs, output.log_probs + output.num_log_probs);
  got.cum_log_prob = output.cum_log_prob;
  got.reused_blocks = output.reused_blocks;
  got.scheduled = output.scheduled;
  got.first_token = output.first_token;
  got.last_token = output.last_token;
  got.context_logits = rows_of(output.context_logits);
  if (output.generation_logits.data != nullptr) {
    for (auto& row : rows_of(output.generation_logits)) got.logits.push_back(std::move(row));
  }
}

}  // namespace

void must(bool ok, const std::string& what) {
  if (ok) return;
  std::printf("FAIL: %s, 1 failures\n", what.c_str());
  std::fflush(stdout);
  std::_Exit(1);
}

Settings& Settings::numbers(const char* name, std::vector<int64_t> values) {
  numbers_.push_back(std::move(values));
  fields_.push_back({name, TRTGO_FIELD_INT64, static_cast<int32_t>(numbers_.back().size()), numbers_.back().data()});
  return *this;
}

Settings& Settings::real(const char* name, float value) {
  reals_.push_back(value);
  fields_.push_back({name, TRTGO_FIELD_FLOAT32, 1, &reals_.back()});
  return *this;
}

Settings& Settings::text(const char* name, std::string value) {
  texts_.push_back(std::move(value));
  fields_.push_back({name, TRTGO_FIELD_TEXT, static_cast<int32_t>(texts_.back().size()), texts_.back().data()});
  return *this;
}

trtgo_error** Error::out() {
  trtgo_error_free(error_);
  error_ = nullptr;
  return &error_;
}

trtgo_error* Error::release() {
  trtgo_error* error = error_;
  error_ = nullptr;
  return error;
}

bool Error::fits(int32_t status) const {
  if (status == TRTGO_OK) return error_ == nullptr;
  return error_ != nullptr && trtgo_error_status(error_) == status && !text().empty() && !operation().empty();
}

int32_t Session::open(const Places& places, const Settings& settings, trtgo_library** library,
                      trtgo_executor** executor, Error& error) {
  const std::string tensorrt = places.libraries + "/libnvinfer.so";
  const std::string plugins = places.libraries + "/libnvinfer_plugin_tensorrt_llm.so";
  trtgo_library_options library_options{};
  library_options.struct_size = sizeof library_options;
  library_options.tensorrt = tensorrt.c_str();
  int32_t status = trtgo_library_open(&library_options, library, error.out());
  if (status != TRTGO_OK) return status;
  trtgo_executor_options options{};
  options.struct_size = sizeof options;
  options.engine_dir = places.engine.c_str();
  options.plugins = plugins.c_str();
  options.settings = settings.data();
  options.num_settings = settings.size();
  status = trtgo_executor_open(*library, &options, executor, error.out());
  if (status != TRTGO_OK) {
    trtgo_library_close(*library);
    *library = nullptr;
  }
  return status;
}

Session::Session(const Places& places, const Settings& settings) {
  Error error;
  const int32_t status = open(places, settings, &library_, &executor_, error);
  must(status == TRTGO_OK, "open: " + error.text());
}

trtgo_request Ask::request() const {
  trtgo_request request{};
  request.struct_size = sizeof request;
  request.max_tokens = max_tokens;
  request.client_id = client;
  request.tokens = tokens.data();
  request.num_tokens = static_cast<int32_t>(tokens.size());
  request.settings = settings.data();
  request.num_settings = settings.size();
  if (!bias.empty()) {
    request.embedding_bias.data = bias.data();
    request.embedding_bias.type = "FLOAT";
    request.embedding_bias.rank = 1;
    request.embedding_bias.dims[0] = static_cast<int64_t>(bias.size());
  }
  return request;
}

int32_t Session::enqueue(const Ask& ask, uint64_t* id, Error& error) {
  const trtgo_request request = ask.request();
  return trtgo_executor_enqueue(executor_, &request, id, error.out());
}

uint64_t Session::enqueue(const Ask& ask) {
  uint64_t id = 0;
  Error error;
  const int32_t status = enqueue(ask, &id, error);
  must(status == TRTGO_OK, "enqueue: " + error.text());
  return id;
}

int32_t Session::await(int32_t timeout_ms, Results& results, Error& error) {
  trtgo_outputs* batch = nullptr;
  const trtgo_output* list = nullptr;
  int32_t num = 0;
  const int32_t status = trtgo_executor_await(executor_, timeout_ms, &batch, &list, &num, error.out());
  must((status == TRTGO_OK) || (batch == nullptr && num == 0), "a failing await gives nothing");
  for (int32_t i = 0; i < num; i++) add(list[i], results);
  trtgo_outputs_free(batch);
  return status;
}

Results Session::wait(const std::vector<uint64_t>& ids) {
  Results results;
  Error error;
  for (int left = 3000;;) {
    bool ended = true;
    for (const uint64_t id : ids) ended = ended && results.count(id) > 0 && results[id][0].final;
    if (ended) return results;
    must(left-- > 0, "a request does not end");
    const int32_t status = await(20, results, error);
    must(status == TRTGO_OK, "await: " + error.text());
  }
}

Got Session::run(const Ask& ask) {
  const uint64_t id = enqueue(ask);
  return wait({id})[id][0];
}

std::string Session::stats(bool requests) {
  Error error;
  const char* json = nullptr;
  const int32_t status = trtgo_executor_stats(executor_, requests ? 1 : 0, &json, error.out());
  must(status == TRTGO_OK, "stats: " + error.text());
  return json;
}

Results Session::close() {
  Results results;
  if (executor_ == nullptr) return results;
  Error error;
  int32_t status = trtgo_executor_drain(executor_, error.out());
  must(status == TRTGO_OK, "drain: " + error.text());
  for (int left = 3000; status == TRTGO_OK;) {
    status = await(20, results, error);
    must(left-- > 0, "requests do not end");
  }
  must(status == TRTGO_CLOSED, "await after drain: " + error.text());
  status = trtgo_executor_shutdown(executor_, error.out());
  must(status == TRTGO_OK, "shutdown: " + error.text());
  trtgo_executor_free(release());
  return results;
}

trtgo_executor* Session::release() {
  trtgo_executor* executor = executor_;
  executor_ = nullptr;
  trtgo_library_close(library_);
  library_ = nullptr;
  return executor;
}

int64_t calls_of(const std::string& entry) {
  const char* name = nullptr;
  int64_t calls = 0;
  for (int32_t i = 0; trtllm_standin_entry(i, &name, &calls) != 0; i++) {
    if (entry == name) return calls;
  }
  return 0;
}

Settings greedy(bool streaming) {
  Settings settings;
  settings.number("topK", 1).number("streaming", streaming ? 1 : 0);
  return settings;
}

}  // namespace testing
}  // namespace trtgo
