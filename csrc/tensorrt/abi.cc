// The functions of trtgo.h.
#include <memory>

#include "enumerators.h"
#include "executor.h"
#include "guard.h"
#include "library.h"
#include "network.h"

using trtgo::tensorrt::guard;
using trtgo::tensorrt::need;
using trtgo::tensorrt::take;

const int32_t TRTGO_ABI_1 = 1;

int32_t trtgo_get_versions(trtgo_versions* out, trtgo_error** error) {
  return guard(__func__, error, [&] {
    take(out, "trtgo_get_versions");
    trtgo_versions versions{};
    versions.struct_size = out->struct_size;
    versions.flavour = TRTGO_FLAVOUR;
    versions.headers = NV_TENSORRT_VERSION;
    versions.producer = "compiler " __VERSION__;
#if TRTGO_HAS_EXECUTOR
    versions.executor_headers = TRTGO_TRTLLM_VERSION;
    versions.executor = trtgo::tensorrt::trtllm_version();
#endif
    std::memcpy(out, &versions, out->struct_size);
  });
}

int32_t trtgo_library_open(const trtgo_library_options* options, trtgo_library** out, trtgo_error** error) {
  return guard(__func__, error, [&] {
    need(out, "trtgo_library_open", "the place for the library");
    *out = nullptr;
    *out = new trtgo_library{trtgo::tensorrt::Library(take(options, "trtgo_library_open"))};
  });
}

void trtgo_library_close(trtgo_library* library) { delete library; }

int32_t trtgo_library_version(const trtgo_library* library) {
  return library == nullptr ? 0 : library->library.version();
}

int32_t trtgo_library_message(trtgo_library* library, int32_t* severity, const char** text) {
  int32_t got = 0;
  guard(__func__, nullptr, [&] {
    need(library, "trtgo_library_message", "the library");
    trtgo::tensorrt::Message& message = library->library.last_message();
    if (!library->library.messages().pop(&message)) return;
    if (severity != nullptr) *severity = message.severity;
    if (text != nullptr) *text = message.text.c_str();
    got = 1;
  });
  return got;
}

int32_t trtgo_library_plugin_field(trtgo_library* library, const char* creator, const char* version,
                                   const char* plugin_namespace, int32_t index, const char** name, const char** type,
                                   trtgo_error** error) {
  return guard(__func__, error, [&] {
    const char* const entry = "trtgo_library_plugin_field";
    need(library, entry, "the library");
    need(creator, entry, "the creator's name");
    need(version, entry, "the creator's version");
    need(plugin_namespace, entry, "the creator's namespace");
    need(name, entry, "the place for the field's name");
    need(type, entry, "the place for the field's type");
    *name = *type = nullptr;
    const nvinfer1::PluginFieldCollection* fields =
        library->library.creator(creator, version, plugin_namespace).getFieldNames();
    if (fields == nullptr) {
      throw trtgo::tensorrt::Failure(TRTGO_INVALID, "getFieldNames",
                                     std::string("plugin ") + creator + " does not list its fields");
    }
    if (index < 0 || index >= fields->nbFields) return;
    *name = fields->fields[index].name;
    *type = trtgo::tensorrt::name_of(fields->fields[index].type);
  });
}

int32_t trtgo_network_create(trtgo_library* library, const trtgo_network_options* options, trtgo_network** out,
                             trtgo_error** error) {
  return guard(__func__, error, [&] {
    const char* const entry = "trtgo_network_create";
    need(library, entry, "the library");
    need(out, entry, "the place for the network");
    *out = nullptr;
    *out = new trtgo_network{trtgo::tensorrt::Network(library->library, take(options, entry))};
  });
}

void trtgo_network_close(trtgo_network* network) {
  guard(__func__, nullptr, [&] { delete network; });
}

int32_t trtgo_network_add_input(trtgo_network* network, const char* name, const char* type, int32_t rank,
                                const int64_t* dims, const char* const* names, trtgo_tensor* out, trtgo_error** error) {
  return guard(__func__, error, [&] {
    const char* const entry = "trtgo_network_add_input";
    need(network, entry, "the network");
    need(name, entry, "the input's name");
    need(type, entry, "the input's type");
    need(out, entry, "the place for the tensor");
    if (rank > 0) need(dims, entry, "the list of dimensions");
    network->network.add_input(name, type, rank, dims, names, out);
  });
}

int32_t trtgo_network_add_layer(trtgo_network* network, const trtgo_layer* layer, trtgo_tensor* outputs,
                                int32_t* num_outputs, trtgo_error** error) {
  return guard(__func__, error, [&] {
    const char* const entry = "trtgo_network_add_layer";
    need(network, entry, "the network");
    const trtgo_layer description = take(layer, entry);
    need(description.kind, entry, "the layer's kind");
    need(description.name, entry, "the layer's name");
    if (description.num_inputs > 0) need(description.inputs, entry, "the list of inputs");
    need(num_outputs, entry, "the number of outputs");
    if (*num_outputs > 0) need(outputs, entry, "the room for outputs");
    network->network.add_layer(description, outputs, num_outputs);
  });
}

int32_t trtgo_network_mark_output(trtgo_network* network, int32_t tensor, const char* name, trtgo_error** error) {
  return guard(__func__, error, [&] {
    need(network, "trtgo_network_mark_output", "the network");
    need(name, "trtgo_network_mark_output", "the output's name");
    network->network.mark_output(tensor, name);
  });
}

int32_t trtgo_network_add_profile(trtgo_network* network, const trtgo_range* ranges, int32_t num_ranges,
                                  trtgo_error** error) {
  return guard(__func__, error, [&] {
    need(network, "trtgo_network_add_profile", "the network");
    if (num_ranges > 0) need(ranges, "trtgo_network_add_profile", "the list of ranges");
    network->network.add_profile(ranges, num_ranges);
  });
}

int32_t trtgo_network_build(trtgo_network* network, const trtgo_build_options* options, int fd, trtgo_error** error) {
  return guard(__func__, error, [&] {
    need(network, "trtgo_network_build", "the network");
    network->network.build(take(options, "trtgo_network_build"), fd);
  });
}

int32_t trtgo_network_progress(trtgo_network* network, const char** phase, int32_t* done, int32_t* total,
                               int64_t* bytes) {
  int32_t running = 0;
  guard(__func__, nullptr, [&] {
    need(network, "trtgo_network_progress", "the network");
    trtgo::tensorrt::Progress::State& state = network->network.last_state();
    if (!network->network.progress().state(&state)) return;
    if (phase != nullptr) *phase = state.phase.c_str();
    if (done != nullptr) *done = state.done;
    if (total != nullptr) *total = state.total;
    if (bytes != nullptr) *bytes = state.bytes;
    running = 1;
  });
  return running;
}

void trtgo_network_cancel(trtgo_network* network) {
  if (network != nullptr) network->network.progress().cancel();
}

int32_t trtgo_network_timing_cache(trtgo_network* network, const void** data, int64_t* bytes, trtgo_error** error) {
  return guard(__func__, error, [&] {
    const char* const entry = "trtgo_network_timing_cache";
    need(network, entry, "the network");
    need(data, entry, "the place for the data");
    need(bytes, entry, "the place for the size");
    const nvinfer1::IHostMemory* cache = network->network.timing_cache();
    *data = cache == nullptr ? nullptr : cache->data();
    *bytes = cache == nullptr ? 0 : static_cast<int64_t>(cache->size());
  });
}
