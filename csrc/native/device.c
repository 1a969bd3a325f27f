//go:build linux

#include "device.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "loader.h"

/* Of cuda.h. A CUresult is an int, 0 is success. */
enum { CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };
typedef struct driver {
  int (*init)(unsigned flags);
  int (*count)(int* count);
  int (*get)(int* device, int ordinal);
  int (*name)(char* name, int length, int device);
  int (*attribute)(int* value, int attribute, int device);
  int (*memory)(size_t* bytes, int device);
  int (*error_string)(int code, const char** text); /* NULL where there is none */
} driver;

static int32_t missing(trtgo_device_failure* failure, const char* call, const char* text) {
  failure->code = 0;
  failure->call = call;
  snprintf(failure->text, sizeof(failure->text), "%s", text == NULL ? "unknown error" : text);
  return -1;
}

static int32_t failed(const driver* d, trtgo_device_failure* failure, const char* call, int code) {
  const char* text = NULL;
  if (d->error_string != NULL) d->error_string(code, &text);
  missing(failure, call, text);
  failure->code = code;
  return -1;
}

static int32_t find(void* handle, driver* d, trtgo_device_failure* failure) {
  const struct {
    const char* name;
    void* place;
  } functions[] = {{"cuInit", &d->init},
                   {"cuDeviceGetCount", &d->count},
                   {"cuDeviceGet", &d->get},
                   {"cuDeviceGetName", &d->name},
                   {"cuDeviceGetAttribute", &d->attribute},
                   {"cuDeviceTotalMem_v2", &d->memory},
                   {"cuGetErrorString", &d->error_string}};
  const size_t num = sizeof(functions) / sizeof(functions[0]);
  for (size_t i = 0; i < num; i++) {
    void* symbol = dlsym(handle, functions[i].name);
    if (symbol == NULL && i + 1 < num) return missing(failure, functions[i].name, dlerror());
    memcpy(functions[i].place, &symbol, sizeof(symbol));
  }
  return 0;
}

static int32_t describe(const driver* d, int ordinal, trtgo_device* out, trtgo_device_failure* failure) {
  int device = 0, code = d->get(&device, ordinal);
  size_t memory = 0;
  if (code != 0) return failed(d, failure, "cuDeviceGet", code);
  if ((code = d->name(out->name, sizeof(out->name), device)) != 0) return failed(d, failure, "cuDeviceGetName", code);
  if ((code = d->attribute(&out->major, CAPABILITY_MAJOR, device)) != 0 ||
      (code = d->attribute(&out->minor, CAPABILITY_MINOR, device)) != 0) {
    return failed(d, failure, "cuDeviceGetAttribute", code);
  }
  if ((code = d->memory(&memory, device)) != 0) return failed(d, failure, "cuDeviceTotalMem", code);
  out->memory = (int64_t)memory;
  return 0;
}

int32_t trtgo_devices(const char* library, trtgo_device* devices, int32_t room, trtgo_device_failure* failure) {
  void* handle = trtgo_load_library(library);
  if (handle == NULL) return missing(failure, "dlopen", dlerror());
  driver d = {0};
  if (find(handle, &d, failure) != 0) return -1;
  int count = 0, code = d.init(0);
  if (code != 0) return failed(&d, failure, "cuInit", code);
  if ((code = d.count(&count)) != 0) return failed(&d, failure, "cuDeviceGetCount", code);
  for (int i = 0; i < count && i < room; i++) {
    if (describe(&d, i, &devices[i], failure) != 0) return -1;
  }
  return count;
}
