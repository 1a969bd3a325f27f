//go:build linux

#include "loader.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

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
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
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
