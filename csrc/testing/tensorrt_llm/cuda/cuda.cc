// libcuda.so.1: the devices of TRTGO_STANDIN_GPUS, NAME,MAJOR,MINOR,BYTES separated by semicolons.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101 };
enum { ATTRIBUTE_MAJOR = 75, ATTRIBUTE_MINOR = 76 };

struct Device {
  std::string name;
  int major = 0, minor = 0;
  size_t bytes = 0;
};

bool initialized = false;
thread_local void* current = nullptr;

std::vector<Device> devices() {
  std::vector<Device> list;
  const char* variable = std::getenv("TRTGO_STANDIN_GPUS");
  std::string text = variable == nullptr ? "" : variable;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find(';', at);
    if (end == std::string::npos) end = text.size();
    std::string fields[4];
    size_t field = 0;
    for (size_t i = at; i < end; i++) {
      if (text[i] == ',' && field < 3) {
        field++;
      } else {
        fields[field] += text[i];
      }
    }
    list.push_back({fields[0], std::atoi(fields[1].c_str()), std::atoi(fields[2].c_str()),
                    static_cast<size_t>(std::strtoull(fields[3].c_str(), nullptr, 10))});
    at = end + 1;
  }
  return list;
}

int find(int device, Device* out) {
  if (!initialized) return NOT_INITIALIZED;
  const auto list = devices();
  if (device < 0 || static_cast<size_t>(device) >= list.size()) return INVALID_DEVICE;
  *out = list[static_cast<size_t>(device)];
  return SUCCESS;
}

}  // namespace

extern "C" {

int cuInit(unsigned) {
  if (devices().empty()) return NO_DEVICE;
  initialized = true;
  return SUCCESS;
}

int cuDriverGetVersion(int* version) {
  *version = 13010;
  return SUCCESS;
}

int cuDeviceGetCount(int* count) {
  if (!initialized) return NOT_INITIALIZED;
  *count = static_cast<int>(devices().size());
  return SUCCESS;
}

int cuDeviceGet(int* device, int ordinal) {
  Device found;
  const int status = find(ordinal, &found);
  if (status == SUCCESS) *device = ordinal;
  return status;
}

int cuDeviceGetName(char* name, int length, int device) {
  Device found;
  const int status = find(device, &found);
  if (status != SUCCESS) return status;
  if (length < 1) return INVALID_VALUE;
  std::strncpy(name, found.name.c_str(), static_cast<size_t>(length) - 1);
  name[length - 1] = 0;
  return SUCCESS;
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
  Device found;
  const int status = find(device, &found);
  if (status != SUCCESS) return status;
  if (attribute != ATTRIBUTE_MAJOR && attribute != ATTRIBUTE_MINOR) return INVALID_VALUE;
  *value = attribute == ATTRIBUTE_MAJOR ? found.major : found.minor;
  return SUCCESS;
}

int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  Device found;
  const int status = find(device, &found);
  if (status == SUCCESS) *bytes = found.bytes;
  return status;
}

// The context of a thread, which is any address here.
int cuCtxGetCurrent(void** context) {
  *context = current;
  return SUCCESS;
}

int cuCtxSetCurrent(void* context) {
  current = context;
  return SUCCESS;
}

int cuGetErrorString(int status, const char** text) {
  switch (status) {
    case SUCCESS: *text = "no error"; break;
    case NOT_INITIALIZED: *text = "initialization error"; break;
    case NO_DEVICE: *text = "no CUDA-capable device is detected"; break;
    case INVALID_DEVICE: *text = "invalid device ordinal"; break;
    default: *text = "invalid argument";
  }
  return SUCCESS;
}

}  // extern "C"
