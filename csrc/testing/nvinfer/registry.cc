// The plugin registry and the entry points of libnvinfer.
#include "registry.h"

#include <cstring>
#include <vector>

#include "builder.h"

namespace standin {
namespace {

using nvinfer1::IPluginCreator;
using nvinfer1::IPluginCreatorInterface;

class Registry final : public nvinfer1::IPluginRegistry {
 public:
  bool registerCreator(IPluginCreatorInterface& creator, char const* const space) STANDIN_NOEXCEPT override {
    entries_.push_back({&creator, space});
    return true;
  }
  IPluginCreatorInterface* getCreator(char const* const name, char const* const version,
                                      char const* const space) STANDIN_NOEXCEPT override {
    Call call("IPluginRegistry::getCreator", nullptr);
    call.argument("name", json(name)).argument("version", json(version)).argument("namespace", json(space));
    if (call.fails(Answer::kObject, Source::kNobody) || has_scenario("creator", name)) return nullptr;
    for (const Entry& entry : entries_) {
      auto* creator = static_cast<IPluginCreator*>(entry.creator);
      if (std::strcmp(creator->getPluginName(), name) == 0 && std::strcmp(creator->getPluginVersion(), version) == 0 &&
          entry.space == space) {
        call.result("true");
        return entry.creator;
      }
    }
    return nullptr;
  }

  using Creators = IPluginCreatorInterface* const*;
  void setErrorRecorder(nvinfer1::IErrorRecorder* const) STANDIN_NOEXCEPT override { refuse("setErrorRecorder"); }
  nvinfer1::IErrorRecorder* getErrorRecorder() const STANDIN_NOEXCEPT override { refuse("getErrorRecorder"); }
  bool isParentSearchEnabled() const override { refuse("isParentSearchEnabled"); }
  void setParentSearchEnabled(bool const) override { refuse("setParentSearchEnabled"); }
  PluginLibraryHandle loadLibrary(char const*) STANDIN_NOEXCEPT override { refuse("loadLibrary"); }
  void deregisterLibrary(PluginLibraryHandle) STANDIN_NOEXCEPT override { refuse("deregisterLibrary"); }
  Creators getAllCreators(int32_t* const) const STANDIN_NOEXCEPT override { refuse("getAllCreators"); }
  bool deregisterCreator(IPluginCreatorInterface const&) STANDIN_NOEXCEPT override { refuse("deregisterCreator"); }
  nvinfer1::IPluginResource* acquirePluginResource(char const*, nvinfer1::IPluginResource*) STANDIN_NOEXCEPT override {
    refuse("acquirePluginResource");
  }
  int32_t releasePluginResource(char const*) STANDIN_NOEXCEPT override { refuse("releasePluginResource"); }
  Creators getAllCreatorsRecursive(int32_t* const) STANDIN_NOEXCEPT override { refuse("getAllCreatorsRecursive"); }
#if NV_TENSORRT_MAJOR < 11
  bool registerCreator(IPluginCreator& creator, char const* const space) STANDIN_NOEXCEPT override {
    return registerCreator(static_cast<IPluginCreatorInterface&>(creator), space);
  }
  bool deregisterCreator(IPluginCreator const&) STANDIN_NOEXCEPT override { refuse("deregisterCreator"); }
  IPluginCreator* const* getPluginCreatorList(int32_t* const) const STANDIN_NOEXCEPT override {
    refuse("getPluginCreatorList");
  }
  IPluginCreator* getPluginCreator(char const* const, char const* const, char const* const) STANDIN_NOEXCEPT override {
    refuse("getPluginCreator");
  }
#endif

 private:
  struct Entry {
    IPluginCreatorInterface* creator;
    std::string space;
  };
  std::vector<Entry> entries_;
};

}  // namespace

nvinfer1::IPluginRegistry& registry() {
  static Registry& only = *new Registry;
  return only;
}

}  // namespace standin

using standin::Answer;
using standin::Call;

extern "C" STANDIN_API int32_t getInferLibVersion() STANDIN_NOEXCEPT {
  Call call("getInferLibVersion", nullptr);
  if (call.fails(Answer::kCount, standin::Source::kNobody)) return 0;
  const std::string other = standin::scenario("version");
  const int32_t version = other.empty() ? static_cast<int32_t>(NV_TENSORRT_VERSION) : std::stoi(other);
  call.result(standin::json(version));
  return version;
}

extern "C" STANDIN_API void* createInferBuilder_INTERNAL(void* logger, int32_t version) STANDIN_NOEXCEPT {
  standin::set_logger(standin::Source::kTensorRT, logger);
  Call call("createInferBuilder", nullptr);
  call.argument("version", standin::json(version));
  if (call.fails(Answer::kObject)) return nullptr;
  nvinfer1::IBuilder* builder = new standin::Builder;
  call.result(standin::object_json(static_cast<standin::Builder*>(builder)));
  return builder;
}

extern "C" STANDIN_API nvinfer1::IPluginRegistry* getPluginRegistry() STANDIN_NOEXCEPT {
  Call call("getPluginRegistry", nullptr);
  if (call.fails(Answer::kObject, standin::Source::kNobody)) return nullptr;
  return &standin::registry();
}
