//go:build linux

#include "loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "signals.h"

/* What is loaded brings MPI and UCX, which replace the handlers of signals as soon as they are. Two threads that save
 * and restore at the same time would take each other's for the right ones. */
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

void* trtgo_load_library(const char* path) {
  trtgo_signals saved;
  pthread_mutex_lock(&loading);
  trtgo_signals_save(&saved);
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  trtgo_signals_restore(&saved);
  pthread_mutex_unlock(&loading);
  return handle;
}

int32_t api_library_open(const trtgo_api* api, const trtgo_library_options* o, trtgo_library** out, trtgo_error** e) {
  trtgo_signals saved;
  pthread_mutex_lock(&loading);
  trtgo_signals_save(&saved);
  const int32_t status = api->library_open(o, out, e);
  trtgo_signals_restore(&saved);
  pthread_mutex_unlock(&loading);
  return status;
}

/* Finds a function and stores it at place, which has room for a pointer to one. */
static int find(void* handle, const char* path, const char* name, void* place, char* message, size_t size) {
  void* symbol = dlsym(handle, name);
  if (symbol == NULL) {
    snprintf(message, size, "%s has no function %s", path, name);
    return 0;
  }
  memcpy(place, &symbol, sizeof(symbol));
  return 1;
}

int trtgo_load(const char* path, trtgo_api* api, char* message, size_t size) {
  void* handle = trtgo_load_library(path);
  if (handle == NULL) {
    const char* text = dlerror();
    snprintf(message, size, "%s", text == NULL ? "unknown error" : text);
    return 1;
  }
  if (dlsym(handle, "TRTGO_ABI_1") == NULL) {
    snprintf(message, size, "%s has no TRTGO_ABI_1", path);
    return 2;
  }
#define TRTGO_FIND(name) \
  if (!find(handle, path, "trtgo_" #name, &api->name, message, size)) return 3;
  TRTGO_FUNCTIONS(TRTGO_FIND)
  return 0;
}
