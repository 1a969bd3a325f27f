/* A library of CUDA's driver with two GPUs. Macros make it fail:
 *
 *   FAILS="cuInit", CODE=100   that function returns that code
 *   COUNT=0                    there are as many GPUs
 *   WITHOUT_MEMORY             has no cuDeviceTotalMem_v2, as an old driver
 *   WITHOUT_TEXT               has no cuGetErrorString
 */
#include <stdio.h>
#include <string.h>

#ifndef FAILS
#define FAILS ""
#endif
#ifndef CODE
#define CODE 1
#endif
#ifndef COUNT
#define COUNT 2
#endif
#define EXPORT __attribute__((visibility("default")))

static int code(const char* call) { return strcmp(call, FAILS) == 0 ? CODE : 0; }

EXPORT int cuInit(unsigned flags) { return flags == 0 ? code("cuInit") : 1; }

EXPORT int cuDeviceGetCount(int* count) {
  *count = COUNT;
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
  *text = error == CODE ? "as CUDA says it" : "another";
  return 0;
}
#endif
