// Shared objects that are loaded at run time, and stay loaded.
#ifndef TRTGO_TENSORRT_SHAREDOBJECT_H_
#define TRTGO_TENSORRT_SHAREDOBJECT_H_

#include <cstring>
#include <string>

namespace trtgo {
namespace tensorrt {

// Loads the library with all its symbols; mode is RTLD_LOCAL or RTLD_GLOBAL. Throws Failure with TRTGO_NOT_FOUND.
void* load_shared(const std::string& path, int mode);

// Finds a symbol of the library that was loaded from path. Throws Failure with TRTGO_NOT_FOUND.
void* find_shared(void* handle, const std::string& path, const char* name);

template <class Function>
void find_symbol(void* handle, const std::string& path, const char* name, Function* function) {
  void* symbol = find_shared(handle, path, name);
  std::memcpy(function, &symbol, sizeof(symbol));
}

// A symbol of what this library depends on, and of what is global; null for none.
void* find_loaded(const char* name);

// The function of that name; null for none.
template <class Function>
Function find_function(const char* name) {
  void* symbol = find_loaded(name);
  Function function = nullptr;
  std::memcpy(&function, &symbol, sizeof(symbol));
  return function;
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_SHAREDOBJECT_H_
