#include "replay.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "memory.h"

namespace trtgo {
namespace testing {
namespace {

// The attributes of a layer, with their values.
class Fields {
 public:
  Fields() = default;
  Fields(Fields&&) = default;
  Fields& text(const char* name, const char* value) {
    return add(name, TRTGO_FIELD_TEXT, value, std::strlen(value), std::strlen(value));
  }
  Fields& ints(const char* name, const std::vector<int64_t>& values) {
    return add(name, TRTGO_FIELD_INT64, values.data(), values.size(), values.size() * 8);
  }
  Fields& number(const char* name, float value) { return add(name, TRTGO_FIELD_FLOAT32, &value, 1, 4); }
  Fields& i32(const char* name, const std::vector<int32_t>& values) {
    return add(name, TRTGO_FIELD_INT32, values.data(), values.size(), values.size() * 4);
  }
  Fields& i8(const char* name, int8_t value) { return add(name, TRTGO_FIELD_INT8, &value, 1, 1); }
  const std::vector<trtgo_field>& list() const { return list_; }

 private:
  Fields& add(const char* name, int32_t type, const void* data, std::size_t length, std::size_t bytes) {
    // In a block of exactly its size: a read beyond it is seen.
    data_.emplace_back(bytes);
    if (bytes > 0) std::memcpy(data_.back().data(), data, bytes);
    list_.push_back({name, type, static_cast<int32_t>(length), data_.back().data()});
    return *this;
  }
  std::deque<std::vector<char>> data_;
  std::vector<trtgo_field> list_;
};

struct Stopped {};  // a call failed

class Session {
 public:
  Session(const Replay& options, Outcome& outcome) : options_(options), outcome_(outcome) {}
  ~Session() {
    if (!options_.leave_open) trtgo_network_close(network_);
    trtgo_library_close(library_);
  }

  void run() {
    open();
    list_fields();
    declare_inputs();
    add_arithmetic();
    add_shapes();
    add_native_attention();
    add_plugins();
    add_profiles();
    build();
  }

 private:
  // Goes on only where a call succeeded.
  template <class Function, class... Arguments>
  void must(const char* step, Function function, Arguments... arguments) {
    trtgo_error* error = nullptr;
    int32_t status = TRTGO_OK;
    {
      const InShim in_shim;
      status = function(arguments..., &error);
    }
    if (status == TRTGO_OK && error == nullptr) return;
    outcome_.status = status;
    outcome_.step = step;
    outcome_.operation = trtgo_error_operation(error);
    outcome_.text = trtgo_error_text(error);
    if (trtgo_error_status(error) != status) outcome_.text.clear();
    trtgo_error_free(error);
    throw Stopped();
  }

  void tell(const trtgo_tensor& t) {
    outcome_.told += std::to_string(t.id) + " " + t.type;
    for (int32_t i = 0; i < t.rank; i++) outcome_.told += " " + std::to_string(t.dims[i]);
    outcome_.told += t.rank < 0 ? " wrong\n" : "\n";
  }

  void open() {
    trtgo_library_options library{};
    library.struct_size = sizeof library;
    library.tensorrt = options_.tensorrt;
    library.plugins = options_.plugins;
    must("open", trtgo_library_open, &library, &library_);
    trtgo_network_options network{};
    network.struct_size = sizeof network;
    network.name = "replay";
    network.threads = 2;
    must("create", trtgo_network_create, library_, &network, &network_);
  }

  void list_fields() {
    for (const char* creator : {"GPTAttention", "Gemm", "AllReduce", "AllGather"}) {
      for (int32_t i = 0;; i++) {
        const char *name = nullptr, *type = nullptr;
        must("fields", trtgo_library_plugin_field, library_, creator, "1", "tensorrt_llm", i, &name, &type);
        if (name == nullptr) break;
        outcome_.told += std::string(creator) + " " + name + " " + type + "\n";
        listed_[creator].emplace_back(name, type);
      }
    }
  }

  int32_t input(const char* name, const char* type, const std::vector<int64_t>& dims,
                const std::vector<const char*>& names) {
    trtgo_tensor tensor{};
    must("input", trtgo_network_add_input, network_, name, type, static_cast<int32_t>(dims.size()), dims.data(),
         names.data(), &tensor);
    tell(tensor);
    for (std::size_t i = 0; i < dims.size(); i++) {
      if (dims[i] < 0) dynamic_[name] = dims;
    }
    return tensor.id;
  }

  int32_t layer(const char* kind, const std::vector<int32_t>& inputs, const Fields& fields,
                const std::vector<char>* weights = nullptr, const char* creator = nullptr) {
    const std::string name = std::string("layer") + std::to_string(++layers_) + "/" + kind;
    trtgo_layer layer{};
    layer.struct_size = sizeof layer;
    layer.kind = kind;
    layer.name = name.c_str();
    layer.inputs = inputs.data();
    layer.num_inputs = static_cast<int32_t>(inputs.size());
    layer.fields = fields.list().data();
    layer.num_fields = static_cast<int32_t>(fields.list().size());
    if (weights != nullptr) {
      layer.weights = weights->data();
      layer.weights_bytes = static_cast<int64_t>(weights->size());
    }
    if (creator != nullptr) layer.creator = creator, layer.version = "1", layer.plugin_namespace = "tensorrt_llm";
    trtgo_tensor outputs[2];
    int32_t number = 2;
    must("layer", trtgo_network_add_layer, network_, &layer, outputs, &number);
    outcome_.told += name + " " + std::to_string(number) + "\n";
    for (int32_t i = 0; i < number; i++) tell(outputs[i]);
    return number > 0 ? outputs[0].id : 0;
  }

  int32_t constant(const char* type, const std::vector<int64_t>& dims, std::size_t bytes,
                   const void* values = nullptr) {
    weights_.emplace_back(bytes);
    if (values != nullptr) std::memcpy(weights_.back().data(), values, bytes);
    return layer("Constant", {}, Fields().text("type", type).ints("dims", dims), &weights_.back());
  }
  int32_t longs(const std::vector<int64_t>& values) {
    return constant("INT64", {static_cast<int64_t>(values.size())}, values.size() * 8, values.data());
  }
  int32_t pair(const char* operation, int32_t x, int32_t y) {
    return layer("ElementWise", {x, y}, Fields().text("operation", operation));
  }
  void output(int32_t tensor, const char* name) { must("output", trtgo_network_mark_output, network_, tensor, name); }

  void declare_inputs() {
    x_ = input("x", "BF16", {-1, 64}, {"tokens", ""});
    ids_ = input("last_token_ids", "INT32", {-1}, {"sequences"});
  }

  void add_arithmetic() {
    const int32_t w = constant("BF16", {64, 64}, 64 * 64 * 2);
    const int32_t y = layer("MatrixMultiply", {x_, w}, Fields().text("op0", "NONE").text("op1", "TRANSPOSE"));
    const int32_t wide = layer("Cast", {y}, Fields().text("to_type", "FLOAT"));
    const int32_t mean =
        layer("Reduce", {pair("PROD", wide, wide)}, Fields().text("operation", "AVG").ints("axes", {1}));
    const int32_t root =
        layer("Unary", {pair("SUM", mean, constant("FLOAT", {1, 1}, 4))}, Fields().text("operation", "SQRT"));
    const int32_t normed = layer("Cast", {pair("DIV", wide, root)}, Fields().text("to_type", "BF16"));
    const int32_t gate = layer("Activation", {normed}, Fields().text("type", "SIGMOID"));
    const int32_t row = constant("BF16", {1, 64}, 128);
    const int32_t layernorm =
        layer("Normalization", {gate, row, row}, Fields().ints("axes", {1}).number("epsilon", 1e-5F));
    const int32_t scale = constant("BF16", {}, 2);
    const int32_t narrow = layer("Quantize", {layernorm, scale}, Fields().text("to_type", "FP8").ints("axis", {-1}));
    const int32_t back = layer("Dequantize", {narrow, scale}, Fields().text("to_type", "BF16").ints("axis", {-1}));
    const int32_t int8 = constant("INT8", {64, 64}, 64 * 64);
    const int32_t scales = constant("BF16", {64}, 128);
    const int32_t weight = layer("Dequantize", {int8, scales}, Fields().text("to_type", "BF16").ints("axis", {0}));
    const int32_t z = layer("MatrixMultiply", {back, weight}, Fields().text("op0", "NONE").text("op1", "NONE"));
    const int32_t fits = pair("LESS", z, row);
    hidden_ = layer("Select", {fits, z, row}, Fields());
    const int32_t one = constant("INT32", {1}, 4);
    output(layer("Gather", {hidden_, pair("SUB", ids_, one)}, Fields().ints("axis", {0})), "rows");
  }

  void add_shapes() {
    const int32_t shape = layer("Shape", {x_}, Fields());
    const int32_t tokens = layer("Slice", {shape}, slice({0}, {1}, {1}, "STRICT_BOUNDS"));
    const int32_t to = layer("Concatenation", {tokens, longs({32})}, Fields().ints("axis", {0}));
    const int32_t half = layer("Slice", {hidden_, -1, to, -1}, slice({0, 0}, {0, 32}, {1, 1}, "FILL"));
    const int32_t turned = layer(
        "Shuffle", {half},
        Fields().ints("first_transpose", {1, 0}).ints("reshape", {32, 1, -1}).ints("second_transpose", {2, 1, 0}));
    const int32_t flat = layer("Shuffle", {turned, to}, Fields());
    output(flat, "flat");
    const int32_t start = constant("INT32", {}, 4), delta = constant("INT32", {1}, 4);
    output(layer("Fill", {longs({4}), start, delta}, Fields().text("type", "INT32").ints("rank", {1})), "count");
  }

  static Fields slice(const std::vector<int64_t>& start, const std::vector<int64_t>& size,
                      const std::vector<int64_t>& stride, const char* mode) {
    return std::move(Fields().ints("start", start).ints("size", size).ints("stride", stride).text("mode", mode));
  }

  void add_native_attention() {
    const int32_t q = input("q", "BF16", {-1, 2, -1, 16}, {"batch", "", "step", ""});
    const int32_t ids = input("positions", "INT32", {-1, -1}, {"batch", "step"});
    const int32_t cache = input("cache", "BF16", {-1, 2, 32, 16}, {"batch", "", "", ""});
    const int32_t places = input("places", "INT32", {-1}, {"batch"});
    const int32_t table = constant("BF16", {32, 8}, 32 * 8 * 2);
    const int32_t turned =
        layer("RotaryEmbedding", {q, table, table, ids}, Fields().ints("interleaved", {0}).ints("dim", {0}));
    const int32_t kept = layer("KVCacheUpdate", {cache, turned, places}, Fields());
    output(kept, "cache_out");
    const int32_t mask = constant("BF16", {1, 1, 1, 32}, 64);
    output(layer("Attention", {turned, kept, kept, mask}, Fields().ints("decomposable", {0})), "attended");
  }

  // Every listed field of GPTAttention, zero where the value does not matter.
  Fields attention_fields() const {
    const std::map<std::string, int32_t> values = {{"num_heads", 2},
                                                   {"num_kv_heads", 1},
                                                   {"num_kv_heads_origin", 1},
                                                   {"head_size", 16},
                                                   {"unidirectional", 1},
                                                   {"position_embedding_type", 2},
                                                   {"rotary_embedding_dim", 16},
                                                   {"tp_size", 1},
                                                   {"context_fmha_type", 1},
                                                   {"remove_input_padding", 1},
                                                   {"mask_type", 1},
                                                   {"paged_kv_cache", 1},
                                                   {"tokens_per_block", 32},
                                                   {"type_id", 7},
                                                   {"use_cache", 1},
                                                   {"cp_size", 1}};
    Fields fields;
    for (const auto& [name, type] : listed_.at("GPTAttention")) {
      const auto found = values.find(name);
      const int32_t value = found == values.end() ? 0 : found->second;
      if (name == "layer_idx_in_cache_pool") continue;
      if (type == "FLOAT32") fields.number(name.c_str(), 1);
      if (type == "INT8") fields.i8(name.c_str(), static_cast<int8_t>(value));
      if (type == "INT32") fields.i32(name.c_str(), {value});
    }
    return fields;
  }

  void add_plugins() {
    std::vector<int32_t> inputs = {layer("Concatenation", {x_}, Fields().ints("axis", {0}))};
    for (const char* name : {"sequence_length", "host_past_key_value_lengths", "host_max_attention_window_sizes",
                             "host_sink_token_length", "context_lengths", "cache_indirection", "host_request_types",
                             "kv_cache_block_offsets", "host_kv_cache_block_offsets"}) {
      inputs.push_back(input(name, "INT32", {-1}, {"sequences"}));
    }
    inputs.push_back(input("host_kv_cache_pool_pointers", "INT64", {1, 2}, {nullptr, nullptr}));
    inputs.push_back(input("host_kv_cache_pool_mapping", "INT32", {1, 2}, {nullptr, nullptr}));
    inputs.push_back(constant("FLOAT", {8}, 32));
    inputs.push_back(constant("FLOAT", {1, 512}, 2048));
    inputs.push_back(input("host_context_lengths", "INT32", {-1}, {"sequences"}));
    inputs.push_back(input("host_runtime_perf_knobs", "INT64", {16}, {nullptr}));
    inputs.push_back(input("host_context_progress", "INT64", {1}, {nullptr}));
    const int32_t attended = layer("Plugin", inputs, attention_fields(), nullptr, "GPTAttention");
    const Fields gemm = std::move(Fields()
                                      .i32("transa", {0})
                                      .i32("transb", {1})
                                      .i32("pad_lda", {0})
                                      .i32("pad_ldb", {0})
                                      .i32("pad_ldc", {0})
                                      .i32("type_id", {7})
                                      .i32("use_fp8", {0})
                                      .number("alpha", 1));
    const int32_t dense = layer("Plugin", {attended, constant("BF16", {64, 32}, 4096)}, gemm, nullptr, "Gemm");
    const Fields reduce = std::move(Fields()
                                        .i32("group", {0, 1})
                                        .i32("type_id", {7})
                                        .i8("strategy", 0)
                                        .i8("fusion_op", 0)
                                        .number("eps", 1e-5F)
                                        .i8("affine", 0)
                                        .i8("bias", 0)
                                        .i8("scale", 0));
    const int32_t summed = layer("Plugin", {dense}, reduce, nullptr, "AllReduce");
    const Fields gather = std::move(Fields().i32("group", {0, 1}).i32("type_id", {7}));
    output(layer("Plugin", {summed}, gather, nullptr, "AllGather"), "gathered");
  }

  void add_profiles() {
    for (const int64_t most : {8, 64}) {
      std::deque<std::vector<int64_t>> shapes;
      std::vector<trtgo_range> ranges;
      for (const auto& [name, dims] : dynamic_) {
        std::vector<int64_t>&least = shapes.emplace_back(dims), &large = shapes.emplace_back(dims);
        for (std::size_t i = 0; i < dims.size(); i++) {
          if (dims[i] < 0) least[i] = 1, large[i] = most;
        }
        ranges.push_back({name.c_str(), static_cast<int32_t>(dims.size()), least.data(), least.data(), large.data()});
      }
      must("profile", trtgo_network_add_profile, network_, ranges.data(), static_cast<int32_t>(ranges.size()));
    }
  }

  void build() {
    const char* flags[] = {"TF32", "MONITOR_MEMORY"};
    trtgo_build_options build{};
    build.struct_size = sizeof build;
    build.flags = flags;
    build.num_flags = 2;
    build.profiling_verbosity = "LAYER_NAMES_ONLY";
    build.use_timing_cache = 1;
    std::atomic<bool> over{false};
    std::thread other([&] {
      while (!over && options_.meanwhile) {
        options_.meanwhile(network_);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    try {
      must("build", trtgo_network_build, network_, &build, options_.fd);
    } catch (const Stopped&) {
      over = true;
      other.join();
      throw;
    }
    over = true;
    other.join();
    const void* cache = nullptr;
    int64_t bytes = 0;
    must("cache", trtgo_network_timing_cache, network_, &cache, &bytes);
    outcome_.told += std::string(static_cast<const char*>(cache), static_cast<std::size_t>(bytes)) + "\n";
    if (options_.build_twice) must("second build", trtgo_network_build, network_, &build, options_.fd);
  }

  const Replay& options_;
  Outcome& outcome_;
  trtgo_library* library_ = nullptr;
  trtgo_network* network_ = nullptr;
  std::deque<std::vector<char>> weights_;
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> listed_;
  std::map<std::string, std::vector<int64_t>> dynamic_;
  int layers_ = 0;
  int32_t x_ = 0, ids_ = 0, hidden_ = 0;
};

}  // namespace

Outcome replay(const Replay& options) {
  Outcome outcome;
  Session session(options, outcome);
  try {
    session.run();
  } catch (const Stopped&) {
  }
  return outcome;
}

}  // namespace testing
}  // namespace trtgo
