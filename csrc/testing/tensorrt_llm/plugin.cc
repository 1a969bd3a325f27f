// libnvinfer_plugin_tensorrt_llm.so: registers its plugins, so to speak.
#include <string>

#include "script.h"
#include "tensorrt_llm/plugins/api/tllmPlugin.h"

namespace tensorrt_llm::plugins::api {

// Upstream's logger of its own; nothing logs here, so that any address will do.
nvinfer1::ILogger* LoggerManager::defaultLogger() noexcept {
  static int logger;
  return reinterpret_cast<nvinfer1::ILogger*>(&logger);
}

}  // namespace tensorrt_llm::plugins::api

extern "C" bool initTrtLlmPlugins(void* logger, char const* libNamespace) {
  if (trtllm_standin_entry_of_plugins() == 0) return false;
  // Without a logger it keeps its own. The namespace is that of the plans' plugins.
  static_cast<void>(logger);
  if (libNamespace == nullptr || std::string(libNamespace) != "tensorrt_llm") return false;
  trtllm_standin_register_plugins();
  return true;
}
