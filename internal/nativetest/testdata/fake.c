/* A library of trtgo.h without TensorRT. Its plan is the list of the calls that were made. What a call
 * does wrong is chosen by the names it gets (executor.c has those of executors):
 *
 *   TensorRT "missing", "other"    not found, of another version
 *   network "hostile"              with the macro HOSTILE: handlers of signals are replaced, as at other times too
 *   names that contain "refused"   TensorRT refuses
 *   layers "wrong type", "wrong shape", "two outputs"   an output that is none of theirs
 *   flag "ENDLESS"                 builds until it is cancelled
 *   flag "REFUSED"                 TensorRT cannot build
 */
#include "fake.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FLAVOUR
#define FLAVOUR "tensorrt"
#endif
#ifdef HOSTILE /* replaces handlers of signals where libraries do: when it is loaded, and when it loads others */
static void die(int number) {
  (void)number;
  _exit(99);
}

__attribute__((constructor)) static void install(void) {
  struct sigaction action = {.sa_handler = die}; /* without SA_ONSTACK */
  const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) sigaction(numbers[i], &action, NULL);
}
#else
static void install(void) {}
#endif

#ifndef WITHOUT_ABI
const int32_t TRTGO_ABI_1 = 1;
#endif

struct trtgo_error {
  int32_t status;
  char operation[64];
  char text[512];
};

enum { kMost = 256 };

struct trtgo_library {
  char messages[kMost][64];
  int num_messages, taken, networks;
};

struct trtgo_network {
  trtgo_library* library;
  trtgo_tensor tensors[kMost];
  int num_tensors;
  char* log;
  size_t log_size;
  FILE* calls;
  struct {
    const unsigned char* data;
    int64_t bytes;
  } weights[kMost];
  int num_weights;
  atomic_int cancelled, building, done;
  char cache[256];
  int64_t cache_bytes;
};

int32_t fail(trtgo_error** error, int32_t status, const char* operation, const char* format, ...) {
  if (error == NULL) return status;
  *error = calloc(1, sizeof(**error));
  (*error)->status = status;
  snprintf((*error)->operation, sizeof((*error)->operation), "%s", operation);
  va_list list;
  va_start(list, format);
  vsnprintf((*error)->text, sizeof((*error)->text), format, list);
  va_end(list);
  return status;
}

int32_t trtgo_error_status(const trtgo_error* error) { return error->status; }
const char* trtgo_error_operation(const trtgo_error* error) { return error->operation; }
const char* trtgo_error_text(const trtgo_error* error) { return error->text; }
void trtgo_error_free(trtgo_error* error) { free(error); }

int32_t trtgo_get_versions(trtgo_versions* out, trtgo_error** error) {
  (void)error;
  out->flavour = FLAVOUR;
  out->headers = 101401;
  out->producer = "fake";
#ifdef WITHOUT_EXECUTOR
  out->executor_headers = out->executor = NULL;
#else
  out->executor_headers = out->executor = "1.2.1";
#endif
  return TRTGO_OK;
}

int32_t trtgo_library_open(const trtgo_library_options* options, trtgo_library** out, trtgo_error** error) {
  const char* name = options->tensorrt == NULL ? "libnvinfer.so.10" : options->tensorrt;
  if (strcmp(name, "missing") == 0) return fail(error, TRTGO_NOT_FOUND, "dlopen", "cannot load %s", name);
  if (strcmp(name, "other") == 0) return fail(error, TRTGO_VERSION, "getInferLibVersion", "%s is version 100900", name);
  install();
  *out = calloc(1, sizeof(**out));
  snprintf((*out)->messages[(*out)->num_messages++], 64, "loaded %s", name);
  if (options->plugins != NULL) {
    snprintf((*out)->messages[(*out)->num_messages++], 64, "plugins %s in %s", options->plugins,
             options->plugin_namespace == NULL ? "tensorrt_llm" : options->plugin_namespace);
  }
  return TRTGO_OK;
}

void trtgo_library_close(trtgo_library* library) {
  if (library->networks != 0) abort();
  free(library);
}

int32_t trtgo_library_version(const trtgo_library* library) {
  (void)library;
  return 101401;
}

int32_t trtgo_library_message(trtgo_library* library, int32_t* severity, const char** text) {
  if (library->taken == library->num_messages) return 0;
  *severity = 3;
  *text = library->messages[library->taken++];
  return 1;
}

#ifndef WITHOUT_PLUGIN_FIELD
int32_t trtgo_library_plugin_field(trtgo_library* library, const char* creator, const char* version,
                                   const char* plugin_namespace, int32_t index, const char** name, const char** type,
                                   trtgo_error** error) {
  static const char* const fields[][2] = {{"factor", "INT32"}, {"scale", "FLOAT32"}, {"unsent", "INT8"}};
  (void)library;
  *name = *type = NULL;
  if (strcmp(creator, "Gemm") != 0 || strcmp(version, "1") != 0) {
    return fail(error, TRTGO_NOT_FOUND, "getCreator", "no library registered plugin %s version %s in namespace \"%s\"",
                creator, version, plugin_namespace);
  }
  if (index < 3) {
    *name = fields[index][0];
    *type = fields[index][1];
  }
  return TRTGO_OK;
}
#endif

int32_t trtgo_network_create(trtgo_library* library, const trtgo_network_options* options, trtgo_network** out,
                             trtgo_error** error) {
  if (strstr(options->name, "refused") != NULL) {
    return fail(error, TRTGO_INVALID, "createNetworkV2", "TensorRT gave none");
  }
  if (strcmp(options->name, "hostile") == 0) install();
  *out = calloc(1, sizeof(**out));
  (*out)->library = library;
  (*out)->calls = open_memstream(&(*out)->log, &(*out)->log_size);
  fprintf((*out)->calls, "network %s threads=%d\n", options->name, options->threads);
  library->networks++;
  return TRTGO_OK;
}

void trtgo_network_close(trtgo_network* network) {
  network->library->networks--;
  fclose(network->calls);
  free(network->log);
  free(network);
}

static const char* type_of(const char* name) {
  static const char* const names[] = {"FLOAT", "HALF", "BF16", "INT32", "INT64", "BOOL", "INT8", "FP8"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (strcmp(names[i], name) == 0) return names[i];
  }
  return "UNKNOWN";
}

static trtgo_tensor* new_tensor(trtgo_network* n) {
  n->tensors[n->num_tensors].id = n->num_tensors;
  return &n->tensors[n->num_tensors++];
}

int32_t trtgo_network_add_input(trtgo_network* network, const char* name, const char* type, int32_t rank,
                                const int64_t* dims, const char* const* names, trtgo_tensor* out, trtgo_error** error) {
  if (strstr(name, "refused") != NULL) {
    return fail(error, TRTGO_INVALID, "addInput", "input \"%s\": TensorRT refused it", name);
  }
  trtgo_tensor* tensor = new_tensor(network);
  tensor->rank = rank;
  tensor->type = type_of(type);
  fprintf(network->calls, "input %s %s", name, type);
  for (int32_t i = 0; i < rank; i++) {
    tensor->dims[i] = dims[i];
    fprintf(network->calls, " %lld%s%s", (long long)dims[i], names == NULL || *names[i] == 0 ? "" : "=",
            names == NULL ? "" : names[i]);
  }
  fprintf(network->calls, "\n");
  *out = *tensor;
  return TRTGO_OK;
}

static const trtgo_field* field(const trtgo_layer* layer, const char* name) {
  for (int32_t i = 0; i < layer->num_fields; i++) {
    if (strcmp(layer->fields[i].name, name) == 0) return &layer->fields[i];
  }
  abort();
}

static const char* text(const trtgo_layer* layer, const char* name) {
  static _Thread_local char value[64];
  const trtgo_field* f = field(layer, name);
  snprintf(value, sizeof(value), "%.*s", f->length, (const char*)f->data);
  return value;
}

void print_field(FILE* to, const trtgo_field* f) {
  fprintf(to, " %s=", f->name);
  if (f->type == TRTGO_FIELD_TEXT) {
    fprintf(to, "%.*s", f->length, (const char*)f->data);
    return;
  }
  for (int32_t i = 0; i < f->length; i++) {
    if (i > 0) fprintf(to, ",");
    switch (f->type) {
      case TRTGO_FIELD_INT8: fprintf(to, "i8:%d", ((const int8_t*)f->data)[i]); break;
      case TRTGO_FIELD_INT32: fprintf(to, "i32:%d", ((const int32_t*)f->data)[i]); break;
      case TRTGO_FIELD_INT64: fprintf(to, "%lld", (long long)((const int64_t*)f->data)[i]); break;
      case TRTGO_FIELD_FLOAT32: fprintf(to, "f32:%g", (double)((const float*)f->data)[i]); break;
      default: abort();
    }
  }
}

/* Fills in the output of a layer: the first input's, but for three kinds. */
static void infer(trtgo_network* n, const trtgo_layer* layer, trtgo_tensor* out) {
  const int32_t id = out->id;
  if (strcmp(layer->kind, "Constant") == 0) {
    const trtgo_field* dims = field(layer, "dims");
    out->rank = dims->length;
    memcpy(out->dims, dims->data, (size_t)dims->length * sizeof(int64_t));
    out->type = type_of(text(layer, "type"));
    n->weights[n->num_weights].data = layer->weights;
    n->weights[n->num_weights++].bytes = layer->weights_bytes;
  } else {
    *out = n->tensors[layer->inputs[0]];
    out->id = id;
    if (strcmp(layer->kind, "Cast") == 0) out->type = type_of(text(layer, "to_type"));
    if (strcmp(layer->kind, "MatrixMultiply") == 0) {
      const trtgo_tensor* b = &n->tensors[layer->inputs[1]];
      out->dims[1] = b->dims[strcmp(text(layer, "op1"), "TRANSPOSE") == 0 ? 0 : 1];
    }
  }
  if (strstr(layer->name, "wrong type") != NULL) out->type = type_of("BOOL");
  if (strstr(layer->name, "wrong shape") != NULL) out->dims[0] = 7;
}

int32_t trtgo_network_add_layer(trtgo_network* network, const trtgo_layer* layer, trtgo_tensor* outputs,
                                int32_t* num_outputs, trtgo_error** error) {
  if (strstr(layer->name, "refused") != NULL) {
    return fail(error, TRTGO_INVALID, "addLayer", "layer \"%s\" (%s): TensorRT refused it: it says why", layer->name,
                layer->kind);
  }
  for (int32_t i = 0; i < layer->num_inputs; i++) {
    if (layer->inputs[i] < -1 || layer->inputs[i] >= network->num_tensors) {
      return fail(error, TRTGO_INVALID, "trtgo_network", "there is no tensor %d", layer->inputs[i]);
    }
  }
  trtgo_tensor* out = new_tensor(network);
  infer(network, layer, out);
  fprintf(network->calls, "layer %s %s", layer->kind, layer->name);
  if (layer->creator != NULL) {
    fprintf(network->calls, " %s/%s/%s", layer->creator, layer->version, layer->plugin_namespace);
  }
  if (layer->weights_name != NULL) fprintf(network->calls, " weights:%s", layer->weights_name);
  for (int32_t i = 0; i < layer->num_inputs; i++) fprintf(network->calls, " %%%d", layer->inputs[i]);
  for (int32_t i = 0; i < layer->num_fields; i++) print_field(network->calls, &layer->fields[i]);
  fprintf(network->calls, "\n");
  *num_outputs = strstr(layer->name, "two outputs") == NULL ? 1 : 2;
  outputs[0] = outputs[*num_outputs - 1] = *out;
  return TRTGO_OK;
}

int32_t trtgo_network_mark_output(trtgo_network* network, int32_t tensor, const char* name, trtgo_error** error) {
  if (strstr(name, "refused") != NULL) return fail(error, TRTGO_INVALID, "markOutput", "it cannot be \"%s\"", name);
  fprintf(network->calls, "output %s %%%d\n", name, tensor);
  return TRTGO_OK;
}

int32_t trtgo_network_add_profile(trtgo_network* network, const trtgo_range* ranges, int32_t num_ranges,
                                  trtgo_error** error) {
  fprintf(network->calls, "profile\n");
  for (int32_t i = 0; i < num_ranges; i++) {
    fprintf(network->calls, "  %s", ranges[i].input);
    for (int32_t d = 0; d < ranges[i].rank; d++) {
      if (ranges[i].min[d] > ranges[i].max[d]) return fail(error, TRTGO_INVALID, "isValid", "the profile is not valid");
      fprintf(network->calls, " %lld..%lld..%lld", (long long)ranges[i].min[d], (long long)ranges[i].opt[d],
              (long long)ranges[i].max[d]);
    }
    fprintf(network->calls, "\n");
  }
  return TRTGO_OK;
}

static int flag(const trtgo_build_options* options, const char* name) {
  for (int32_t i = 0; i < options->num_flags; i++) {
    if (strcmp(options->flags[i], name) == 0) return 1;
  }
  return 0;
}

int32_t trtgo_network_build(trtgo_network* network, const trtgo_build_options* options, int fd, trtgo_error** error) {
  const char* const operation = "buildSerializedNetworkToStream";
  if (flag(options, "REFUSED")) return fail(error, TRTGO_INVALID, operation, "TensorRT cannot build the network");
  FILE* calls = network->calls;
  for (int i = 0; i < network->num_weights; i++) {
    uint32_t sum = 0;
    for (int64_t j = 0; j < network->weights[i].bytes; j++) sum = sum * 31 + network->weights[i].data[j];
    fprintf(calls, "weights %lld bytes, sum %u\n", (long long)network->weights[i].bytes, sum);
  }
  fprintf(calls, "build");
  for (int32_t i = 0; i < options->num_flags; i++) fprintf(calls, " %s", options->flags[i]);
  if (options->profiling_verbosity != NULL) fprintf(calls, " verbosity=%s", options->profiling_verbosity);
  for (int32_t i = 0; i < options->num_capabilities; i++) fprintf(calls, " sm%d", options->capabilities[i]);
  fprintf(calls, "\n");
  fflush(calls);
  network->building = 1;
  for (network->done = 0; (network->done < 3 || flag(options, "ENDLESS")) && !network->cancelled; network->done++) {
    usleep(1000);
  }
  network->building = 0;
  if (network->cancelled) return fail(error, TRTGO_CANCELLED, operation, "the build was cancelled");
  if (write(fd, network->log, network->log_size) != (ssize_t)network->log_size) {
    return fail(error, TRTGO_IO, "write", "cannot write the plan: %s", strerror(errno));
  }
  if (options->use_timing_cache) {
    network->cache_bytes = snprintf(network->cache, sizeof(network->cache), "%.*s+", (int)options->timing_cache_bytes,
                                    (const char*)options->timing_cache);
  }
  return TRTGO_OK;
}

int32_t trtgo_network_progress(trtgo_network* network, const char** phase, int32_t* done, int32_t* total,
                               int64_t* bytes) {
  if (!network->building) return 0;
  *phase = "Building";
  *done = network->done;
  *total = 3;
  *bytes = 0;
  return 1;
}

void trtgo_network_cancel(trtgo_network* network) { network->cancelled = 1; }

int32_t trtgo_network_timing_cache(trtgo_network* network, const void** data, int64_t* bytes, trtgo_error** error) {
  (void)error;
  *data = network->cache_bytes == 0 ? NULL : network->cache;
  *bytes = network->cache_bytes;
  return TRTGO_OK;
}
