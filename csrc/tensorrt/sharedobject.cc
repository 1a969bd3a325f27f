#include "sharedobject.h"

#include <dlfcn.h>

#include "guard.h"

namespace trtgo {
namespace tensorrt {
namespace {

// What dlerror says, without the path that it begins with.
std::string loader_error(const std::string& path) {
  const char* error = dlerror();
  std::string text = error == nullptr ? "unknown error" : error;
  if (text.rfind(path + ": ", 0) == 0) text.erase(0, path.size() + 2);
  return text;
}

}  // namespace

void* load_shared(const std::string& path, int mode) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | mode);
  if (handle == nullptr) throw Failure(TRTGO_NOT_FOUND, "dlopen", "cannot load " + path + ": " + loader_error(path));
  return handle;
}

void* find_shared(void* handle, const std::string& path, const char* name) {
  void* symbol = dlsym(handle, name);
  if (symbol == nullptr) throw Failure(TRTGO_NOT_FOUND, "dlsym", path + " has no " + name);
  return symbol;
}

void* find_loaded(const char* name) { return dlsym(RTLD_DEFAULT, name); }

}  // namespace tensorrt
}  // namespace trtgo
