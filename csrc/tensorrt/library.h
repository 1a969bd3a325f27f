// Library: a TensorRT that was loaded at run time.
#ifndef TRTGO_TENSORRT_LIBRARY_H_
#define TRTGO_TENSORRT_LIBRARY_H_

#include <memory>
#include <string>

#include "../native/trtgo.h"
#include "messages.h"
#include "versions.h"

namespace trtgo {
namespace tensorrt {

class Library {
 public:
  // As trtgo_library_open. Throws Failure.
  explicit Library(const trtgo_library_options& options);
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  int32_t version() const { return version_; }
  // Whether it was opened with plugins, which were told then that they only build.
  bool has_plugins() const { return has_plugins_; }
  MessageQueue& messages() { return messages_; }

  // The message that trtgo_library_message gave last.
  Message& last_message() { return last_message_; }

  // Creates a builder. Throws Failure.
  std::unique_ptr<nvinfer1::IBuilder> create_builder();

  // The creator of a plugin. Throws Failure with TRTGO_NOT_FOUND.
  nvinfer1::IPluginCreator& creator(const char* name, const char* version, const char* plugin_namespace);

 private:
  void load_plugins(const trtgo_library_options& options);

  MessageQueue messages_;
  Message last_message_;
  std::string path_;
  int32_t version_ = 0;
  bool has_plugins_ = false;
  decltype(&createInferBuilder_INTERNAL) create_builder_ = nullptr;
  decltype(&getPluginRegistry) plugin_registry_ = nullptr;
};

}  // namespace tensorrt
}  // namespace trtgo

struct trtgo_library {
  trtgo::tensorrt::Library library;
};

#endif  // TRTGO_TENSORRT_LIBRARY_H_
