// Declarations, of release 1.2.1, of only what csrc/tensorrt uses.
#pragma once

namespace nvinfer1 {
class ILogger;
}

namespace tensorrt_llm::plugins::api {

auto constexpr kDefaultNamespace = "tensorrt_llm";

class LoggerManager {
 public:
  static nvinfer1::ILogger* defaultLogger() noexcept;
};

}  // namespace tensorrt_llm::plugins::api

extern "C" {
bool initTrtLlmPlugins(void* logger = tensorrt_llm::plugins::api::LoggerManager::defaultLogger(),
                       char const* libNamespace = tensorrt_llm::plugins::api::kDefaultNamespace);
}
