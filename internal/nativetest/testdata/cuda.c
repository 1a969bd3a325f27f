/* A library of CUDA's driver with two GPUs. The variable FAKE_CUDA=CALL:NUMBER makes a call return that code, or with
 * "count" as its name says how many GPUs there are. Macros:
 *
 *   WITHOUT_MEMORY             has no cuDeviceTotalMem_v2, as an old driver
 *   WITHOUT_TEXT               has no cuGetErrorString
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* The number that FAKE_CUDA has for a name. */
static int number(const char* name, int otherwise) {
  const char* script = getenv("FAKE_CUDA");
  const size_t length = strlen(name);
  if (script == NULL || strncmp(script, name, length) != 0 || script[length] != ':') return otherwise;
  return atoi(script + length + 1);
}

static int code(const char* call) { return number(call, 0); }

EXPORT int cuInit(unsigned flags) { return flags == 0 ? code("cuInit") : 1; }

EXPORT int cuDeviceGetCount(int* count) {
  *count = number("count", 2);
  return code("cuDeviceGetCount");
}

EXPORT int cuDeviceGet(int* device, int ordinal) {
  *device = 7 + ordinal;
  return code("cuDeviceGet");
}

EXPORT int cuDeviceGetName(char* name, int length, int device) {
  snprintf(name, (size_t)length, "GPU %d", device);
  return code("cuDeviceGetName");
}

EXPORT int cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (attribute != 75 && attribute != 76) return 1;
  *value = attribute == 75 ? device : device == 7 ? 5 : 0;
  return code("cuDeviceGetAttribute");
}

#ifndef WITHOUT_MEMORY
EXPORT int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  *bytes = (size_t)device << 33;
  return code("cuDeviceTotalMem");
}
#endif

#ifndef WITHOUT_TEXT
EXPORT int cuGetErrorString(int error, const char** text) {
  *text = error == 0 ? "no error" : "as CUDA says it";
  return 0;
}
#endif
