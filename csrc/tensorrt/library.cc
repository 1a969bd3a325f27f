#include "library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "guard.h"
#include "sharedobject.h"

namespace trtgo {
namespace tensorrt {
namespace {

std::string path_of(const char* given, const char* usual) { return given == nullptr || *given == 0 ? usual : given; }

// A version as NV_TENSORRT_VERSION_INT makes it, e.g. 10.14.1.
std::string dotted(int64_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace

Library::Library(const trtgo_library_options& options)
    : messages_(options.verbose != 0), path_(path_of(options.tensorrt, TRTGO_TENSORRT_LIBRARY)) {
  if (options.plugins != nullptr && !TRTGO_HAS_PLUGINS) {
    throw Failure(TRTGO_INVALID, "trtgo_library_open",
                  std::string(TRTGO_PRODUCT " takes no plugin libraries: leave out ") + options.plugins);
  }
  // Local: TensorRT and TensorRT-RTX define the same names.
  void* handle = load_shared(path_, RTLD_LOCAL);
  decltype(&getInferLibVersion) version = nullptr;
  find_symbol(handle, path_, "getInferLibVersion", &version);
  version_ = version();
  // Virtual tables differ between versions, and createInferBuilder does not refuse a wrong one.
  if (version_ != NV_TENSORRT_VERSION) {
    throw Failure(TRTGO_VERSION, "getInferLibVersion",
                  path_ + " is " TRTGO_PRODUCT " " + dotted(version_) + ", this library was compiled for " +
                      dotted(NV_TENSORRT_VERSION) + ": use the library of that version");
  }
  find_symbol(handle, path_, "createInferBuilder_INTERNAL", &create_builder_);
  find_symbol(handle, path_, "getPluginRegistry", &plugin_registry_);
  if (options.plugins != nullptr) load_plugins(options);
}

void Library::load_plugins(const trtgo_library_options& options) {
  const std::string path = options.plugins;
  has_plugins_ = true;
  // The plugins ask for it when they are created: without it they want a GPU and NCCL.
  if (setenv("IS_BUILDING", "1", 1) != 0) throw Failure(TRTGO_MEMORY, "setenv", "cannot set IS_BUILDING");
  // Global: its own dependencies look for its symbols.
  void* handle = load_shared(path, RTLD_GLOBAL);
  bool (*init)(void* logger, const char* plugin_namespace) = nullptr;
  find_symbol(handle, path, "initTrtLlmPlugins", &init);
  const char* plugin_namespace = options.plugin_namespace == nullptr ? "tensorrt_llm" : options.plugin_namespace;
  const Call call(messages_);
  if (!init(&logger(), plugin_namespace)) {
    throw Failure(TRTGO_INVALID, "initTrtLlmPlugins", with_words(path + " could not register its plugins"));
  }
}

std::unique_ptr<nvinfer1::IBuilder> Library::create_builder() {
  auto* builder = static_cast<nvinfer1::IBuilder*>(create_builder_(&logger(), NV_TENSORRT_VERSION));
  if (builder == nullptr) {
    throw Failure(failed_status(), "createInferBuilder", with_words(TRTGO_PRODUCT " gave no builder"));
  }
  return std::unique_ptr<nvinfer1::IBuilder>(builder);
}

nvinfer1::IPluginCreator& Library::creator(const char* name, const char* version, const char* plugin_namespace) {
  nvinfer1::IPluginRegistry* registry = plugin_registry_();
  if (registry == nullptr) throw Failure(TRTGO_NOT_FOUND, "getPluginRegistry", TRTGO_PRODUCT " has no plugin registry");
  auto* creator = registry->getCreator(name, version, plugin_namespace);
  const std::string full =
      std::string("plugin ") + name + " version " + version + " in namespace \"" + plugin_namespace + "\"";
  if (creator == nullptr) {
    throw Failure(TRTGO_NOT_FOUND, "getCreator", "no library registered " + full);
  }
  const nvinfer1::InterfaceInfo info = creator->getInterfaceInfo();
  if (info.kind == nullptr || std::strcmp(info.kind, "PLUGIN CREATOR_V1") != 0) {
    throw Failure(TRTGO_INVALID, "getCreator",
                  full + " has a creator of kind \"" + (info.kind == nullptr ? "" : info.kind) +
                      "\", want \"PLUGIN CREATOR_V1\"");
  }
  return *static_cast<nvinfer1::IPluginCreator*>(creator);
}

}  // namespace tensorrt
}  // namespace trtgo
