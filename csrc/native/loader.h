/* The functions of a library that was loaded at run time, by name. */
#ifndef TRTGO_LOADER_H
#define TRTGO_LOADER_H

#include <stddef.h>

#include "trtgo.h"

/* Every function of trtgo.h, without trtgo_. */
#define TRTGO_FUNCTIONS(X) \
  X(error_status)          \
  X(error_operation)       \
  X(error_text)            \
  X(error_free)            \
  X(get_versions)          \
  X(library_open)          \
  X(library_close)         \
  X(library_version)       \
  X(library_message)       \
  X(library_plugin_field)  \
  X(network_create)        \
  X(network_close)         \
  X(network_add_input)     \
  X(network_add_layer)     \
  X(network_mark_output)   \
  X(network_add_profile)   \
  X(network_build)         \
  X(network_progress)      \
  X(network_cancel)        \
  X(network_timing_cache)  \
  X(executor_open)         \
  X(executor_is_leader)    \
  X(executor_enqueue)      \
  X(executor_cancel)       \
  X(executor_await)        \
  X(outputs_free)          \
  X(executor_stats)        \
  X(executor_drain)        \
  X(executor_shutdown)     \
  X(executor_free)         \
  X(finalize)

#define TRTGO_MEMBER(name) __typeof__(&trtgo_##name) name;
typedef struct trtgo_api {
  TRTGO_FUNCTIONS(TRTGO_MEMBER)
} trtgo_api;

/* dlopen()s a library for good; NULL where dlerror() says why not. The handlers of signals are afterwards as before.
 * Any thread. */
void* trtgo_load_library(const char* path);

/* Loads the library at path, which stays loaded, and finds its functions. Returns 0, or what failed with a text in
 * message: 1 the library cannot be loaded, 2 it has no TRTGO_ABI_1, 3 it lacks a function. The handlers of signals are
 * afterwards as before. Any thread. */
int trtgo_load(const char* path, trtgo_api* api, char* message, size_t size);

/* Go cannot call a pointer to a function: these call one of api's. */
static inline int32_t api_error_status(const trtgo_api* api, const trtgo_error* e) { return api->error_status(e); }
static inline const char* api_error_operation(const trtgo_api* api, const trtgo_error* e) {
  return api->error_operation(e);
}
static inline const char* api_error_text(const trtgo_api* api, const trtgo_error* e) { return api->error_text(e); }
static inline void api_error_free(const trtgo_api* api, trtgo_error* e) { api->error_free(e); }
static inline int32_t api_get_versions(const trtgo_api* api, trtgo_versions* out, trtgo_error** e) {
  return api->get_versions(out, e);
}
/* It loads libraries: the handlers of signals are afterwards as before. */
int32_t api_library_open(const trtgo_api* api, const trtgo_library_options* o, trtgo_library** out, trtgo_error** e);
static inline void api_library_close(const trtgo_api* api, trtgo_library* l) { api->library_close(l); }
static inline int32_t api_library_version(const trtgo_api* api, const trtgo_library* l) {
  return api->library_version(l);
}
static inline int32_t api_library_message(const trtgo_api* api, trtgo_library* l, int32_t* severity,
                                          const char** text) {
  return api->library_message(l, severity, text);
}
static inline int32_t api_library_plugin_field(const trtgo_api* api, trtgo_library* l, const char* creator,
                                               const char* version, const char* plugin_namespace, int32_t index,
                                               const char** name, const char** type, trtgo_error** e) {
  return api->library_plugin_field(l, creator, version, plugin_namespace, index, name, type, e);
}
static inline int32_t api_network_create(const trtgo_api* api, trtgo_library* l, const trtgo_network_options* o,
                                         trtgo_network** out, trtgo_error** e) {
  return api->network_create(l, o, out, e);
}
static inline void api_network_close(const trtgo_api* api, trtgo_network* n) { api->network_close(n); }
static inline int32_t api_network_add_input(const trtgo_api* api, trtgo_network* n, const char* name, const char* type,
                                            int32_t rank, const int64_t* dims, char** names, trtgo_tensor* out,
                                            trtgo_error** e) {
  return api->network_add_input(n, name, type, rank, dims, (const char* const*)names, out, e);
}
static inline int32_t api_network_add_layer(const trtgo_api* api, trtgo_network* n, const trtgo_layer* layer,
                                            trtgo_tensor* outputs, int32_t* num_outputs, trtgo_error** e) {
  return api->network_add_layer(n, layer, outputs, num_outputs, e);
}
static inline int32_t api_network_mark_output(const trtgo_api* api, trtgo_network* n, int32_t tensor, const char* name,
                                              trtgo_error** e) {
  return api->network_mark_output(n, tensor, name, e);
}
static inline int32_t api_network_add_profile(const trtgo_api* api, trtgo_network* n, const trtgo_range* ranges,
                                              int32_t num_ranges, trtgo_error** e) {
  return api->network_add_profile(n, ranges, num_ranges, e);
}
static inline int32_t api_network_build(const trtgo_api* api, trtgo_network* n, const trtgo_build_options* o, int fd,
                                        trtgo_error** e) {
  return api->network_build(n, o, fd, e);
}
static inline int32_t api_network_progress(const trtgo_api* api, trtgo_network* n, const char** phase, int32_t* done,
                                           int32_t* total, int64_t* bytes) {
  return api->network_progress(n, phase, done, total, bytes);
}
static inline void api_network_cancel(const trtgo_api* api, trtgo_network* n) { api->network_cancel(n); }
static inline int32_t api_network_timing_cache(const trtgo_api* api, trtgo_network* n, const void** data,
                                               int64_t* bytes, trtgo_error** e) {
  return api->network_timing_cache(n, data, bytes, e);
}
static inline int32_t api_executor_open(const trtgo_api* api, trtgo_library* l, const trtgo_executor_options* o,
                                        trtgo_executor** out, trtgo_error** e) {
  return api->executor_open(l, o, out, e);
}
static inline int32_t api_executor_is_leader(const trtgo_api* api, const trtgo_executor* x) {
  return api->executor_is_leader(x);
}
/* What a call gives, by value: pointers to Go variables would put them on the heap at every call. */
typedef struct trtgo_enqueued {
  int32_t status;
  uint64_t id;
  trtgo_error* error;
} trtgo_enqueued;
static inline trtgo_enqueued api_executor_enqueue(const trtgo_api* api, trtgo_executor* x, const trtgo_request* r) {
  trtgo_enqueued out = {0, 0, NULL};
  out.status = api->executor_enqueue(x, r, &out.id, &out.error);
  return out;
}
static inline int32_t api_executor_cancel(const trtgo_api* api, trtgo_executor* x, uint64_t id, trtgo_error** e) {
  return api->executor_cancel(x, id, e);
}
typedef struct trtgo_awaited {
  int32_t status, num;
  trtgo_outputs* batch;
  const trtgo_output* list;
  trtgo_error* error;
} trtgo_awaited;
static inline trtgo_awaited api_executor_await(const trtgo_api* api, trtgo_executor* x, int32_t timeout_ms) {
  trtgo_awaited out = {0, 0, NULL, NULL, NULL};
  out.status = api->executor_await(x, timeout_ms, &out.batch, &out.list, &out.num, &out.error);
  return out;
}
static inline void api_outputs_free(const trtgo_api* api, trtgo_outputs* batch) { api->outputs_free(batch); }
static inline int32_t api_executor_stats(const trtgo_api* api, trtgo_executor* x, int32_t requests, const char** json,
                                         trtgo_error** e) {
  return api->executor_stats(x, requests, json, e);
}
static inline int32_t api_executor_drain(const trtgo_api* api, trtgo_executor* x, trtgo_error** e) {
  return api->executor_drain(x, e);
}
static inline int32_t api_executor_shutdown(const trtgo_api* api, trtgo_executor* x, trtgo_error** e) {
  return api->executor_shutdown(x, e);
}
static inline void api_executor_free(const trtgo_api* api, trtgo_executor* x) { api->executor_free(x); }
static inline int32_t api_finalize(const trtgo_api* api, trtgo_error** e) { return api->finalize(e); }

#endif /* TRTGO_LOADER_H */
