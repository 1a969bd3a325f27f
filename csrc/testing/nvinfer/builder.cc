#include "builder.h"

namespace standin {

void Profile::check(const Network& network) const {
  using nvinfer1::OptProfileSelector;
  for (const auto& input : network.inputs()) {
    const Dims& dims = input->inferred().dims;
    bool dynamic = false;
    for (int32_t i = 0; i < dims.nbDims; i++) dynamic = dynamic || dims.d[i] < 0;
    const auto found = ranges_.find(input->label());
    if (found == ranges_.end()) {
      if (dynamic) throw Refusal("no range of the dynamic input " + input->label());
      continue;
    }
    if (found->second.size() != 3) throw Refusal("not all three shapes of input " + input->label());
    const Dims &least = found->second.at(OptProfileSelector::kMIN), &best = found->second.at(OptProfileSelector::kOPT),
               &most = found->second.at(OptProfileSelector::kMAX);
    if (least.nbDims != dims.nbDims || best.nbDims != dims.nbDims || most.nbDims != dims.nbDims) {
      throw Refusal("shapes of another rank than input " + input->label());
    }
    for (int32_t i = 0; i < dims.nbDims; i++) {
      const bool ordered = least.d[i] >= 0 && least.d[i] <= best.d[i] && best.d[i] <= most.d[i];
      if (!ordered || (dims.d[i] >= 0 && (least.d[i] != dims.d[i] || most.d[i] != dims.d[i]))) {
        throw Refusal("a range that dimension " + std::to_string(i) + " of input " + input->label() + " cannot have");
      }
    }
  }
}

bool Profile::setDimensions(char const* input, nvinfer1::OptProfileSelector select, Dims const& dims) STANDIN_NOEXCEPT {
  Call call("IOptimizationProfile::setDimensions", this);
  call.argument("input", json(input)).argument("select", json(select)).argument("dims", json(dims));
  if (call.fails(Answer::kBool)) return false;
  ranges_[input][select] = dims;
  return true;
}

bool Profile::isValid() const STANDIN_NOEXCEPT {
  Call call("IOptimizationProfile::isValid", this);
  return !call.fails(Answer::kBool);
}

nvinfer1::IHostMemory* TimingCache::serialize() const STANDIN_NOEXCEPT {
  Call call("ITimingCache::serialize", this);
  if (call.fails(Answer::kObject)) return nullptr;
  auto* memory = new HostMemory(blob_);
  call.result(object_json(memory));
  return memory;
}

Config::Config(int* users) : Object("config", true), users_(users) {
  mImpl = this;
  ++*users_;
}

void Config::setFlag(nvinfer1::BuilderFlag flag) STANDIN_NOEXCEPT {
  Call call("IBuilderConfig::setFlag", this);
  call.argument("flag", json(flag));
  call.fails(Answer::kNothing);
}

int32_t Config::addOptimizationProfile(nvinfer1::IOptimizationProfile const* profile) STANDIN_NOEXCEPT {
  Call call("IBuilderConfig::addOptimizationProfile", this);
  call.argument("profile", object_json(static_cast<const Profile*>(profile)));
  if (call.fails(Answer::kIndex)) return -1;
  profiles_.push_back(static_cast<const Profile*>(profile));
  const auto index = static_cast<int32_t>(profiles_.size()) - 1;
  call.result(json(index));
  return index;
}

void Config::setProfilingVerbosity(nvinfer1::ProfilingVerbosity verbosity) STANDIN_NOEXCEPT {
  Call call("IBuilderConfig::setProfilingVerbosity", this);
  call.argument("verbosity", json(verbosity));
  call.fails(Answer::kNothing);
}

nvinfer1::ITimingCache* Config::createTimingCache(void const* blob, std::size_t size) const STANDIN_NOEXCEPT {
  Call call("IBuilderConfig::createTimingCache", this);
  call.argument("bytes", json(size));
  if (call.fails(Answer::kObject)) return nullptr;
  const std::string text = size > 0 ? std::string(static_cast<const char*>(blob), size) : TimingCache::kMark;
  if (text.rfind(TimingCache::kMark, 0) != 0) {
    log_error("the timing cache is none of this version");
    return nullptr;
  }
  auto* cache = new TimingCache(text);
  call.result(object_json(cache));
  return cache;
}

bool Config::setTimingCache(nvinfer1::ITimingCache const& cache, bool ignore_mismatch) STANDIN_NOEXCEPT {
  Call call("IBuilderConfig::setTimingCache", this);
  auto& own = const_cast<TimingCache&>(static_cast<const TimingCache&>(cache));
  call.argument("cache", object_json(&own)).argument("ignore_mismatch", json(ignore_mismatch));
  if (call.fails(Answer::kBool)) return false;
  cache_ = &own;
  return true;
}

nvinfer1::ITimingCache const* Config::getTimingCache() const STANDIN_NOEXCEPT {
  Call call("IBuilderConfig::getTimingCache", this);
  if (call.fails(Answer::kObject)) return nullptr;
  call.result(object_json(cache_));
  return cache_;
}

void Config::setProgressMonitor(nvinfer1::IProgressMonitor* monitor) STANDIN_NOEXCEPT {
  Call call("IBuilderConfig::setProgressMonitor", this);
  call.argument("monitor", json(monitor != nullptr));
  if (!call.fails(Answer::kNothing)) monitor_ = monitor;
}

Builder::~Builder() {
  if (users_ != 0) refuse("IBuilder::~IBuilder while a network or configuration of it is alive");
}

nvinfer1::IBuilderConfig* Builder::createBuilderConfig() STANDIN_NOEXCEPT {
  Call call("IBuilder::createBuilderConfig", this);
  if (call.fails(Answer::kObject)) return nullptr;
  auto* config = new Config(&users_);
  call.result(object_json(config));
  return config;
}

nvinfer1::INetworkDefinition* Builder::createNetworkV2(nvinfer1::NetworkDefinitionCreationFlags flags)
    STANDIN_NOEXCEPT {
  Call call("IBuilder::createNetworkV2", this);
  using Flag = nvinfer1::NetworkDefinitionCreationFlag;
  const bool strong = flags == 1U << static_cast<uint32_t>(Flag::kSTRONGLY_TYPED);
  call.argument("flags", strong ? "[\"STRONGLY_TYPED\"]" : json(flags));
  if (call.fails(Answer::kObject)) return nullptr;
  if (!strong) {
    log_error("the network is not strongly typed");
    return nullptr;
  }
  auto* network = new Network(&users_);
  call.result(object_json(network));
  return network;
}

nvinfer1::IOptimizationProfile* Builder::createOptimizationProfile() STANDIN_NOEXCEPT {
  Call call("IBuilder::createOptimizationProfile", this);
  if (call.fails(Answer::kObject)) return nullptr;
  profiles_.push_back(std::make_unique<Profile>());
  call.result(object_json(profiles_.back().get()));
  return profiles_.back().get();
}

bool Builder::setMaxThreads(int32_t threads) STANDIN_NOEXCEPT {
  Call call("IBuilder::setMaxThreads", this);
  call.argument("threads", json(threads));
  return !call.fails(Answer::kBool);
}

bool Builder::buildSerializedNetworkToStream(nvinfer1::INetworkDefinition& network, nvinfer1::IBuilderConfig& config,
                                             nvinfer1::IStreamWriter& writer) STANDIN_NOEXCEPT {
  Call call("IBuilder::buildSerializedNetworkToStream", this);
  auto& definition = static_cast<Network&>(network);
  auto& options = static_cast<Config&>(config);
  call.argument("network", object_json(&definition)).argument("config", object_json(&options));
  if (call.fails(Answer::kBool)) return false;
  try {
    build(definition, options, writer);
    call.result("true");
    return true;
  } catch (const Refusal& refusal) {
    call.result("false");
    log_error(refusal.what());
    return false;
  }
}

}  // namespace standin
