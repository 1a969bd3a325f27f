// The builder, its configuration and what a build makes.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "network.h"

namespace standin {

class HostMemory final : public nvinfer1::IHostMemory, public refusing::VHostMemory, public Object {
 public:
  explicit HostMemory(std::string bytes) : Object("memory", true), bytes_(std::move(bytes)) { mImpl = this; }
  void* data() const STANDIN_NOEXCEPT override { return const_cast<char*>(bytes_.data()); }
  std::size_t size() const STANDIN_NOEXCEPT override { return bytes_.size(); }
  DataType type() const STANDIN_NOEXCEPT override { return DataType::kINT8; }

 private:
  std::string bytes_;
};

class Profile final : public nvinfer1::IOptimizationProfile, public refusing::VOptimizationProfile, public Object {
 public:
  Profile() : Object("profile") { mImpl = this; }
  // Throws Refusal where it does not give a shape to each input of a network that has a dynamic one.
  void check(const Network& network) const;

  bool setDimensions(char const* input, nvinfer1::OptProfileSelector select,
                     Dims const& dims) STANDIN_NOEXCEPT override;
  bool isValid() const STANDIN_NOEXCEPT override;

 private:
  std::map<std::string, std::map<nvinfer1::OptProfileSelector, Dims>> ranges_;
};

// Its blob is a text that begins with kMark.
class TimingCache final : public nvinfer1::ITimingCache, public refusing::VTimingCache, public Object {
 public:
  static constexpr const char* kMark = "stand-in timing cache";
  explicit TimingCache(std::string blob) : Object("timingcache", true), blob_(std::move(blob)) { mImpl = this; }
  void time(std::size_t layers) { blob_ = std::string(kMark) + " of " + std::to_string(layers) + " layers"; }
  nvinfer1::IHostMemory* serialize() const STANDIN_NOEXCEPT override;

 private:
  std::string blob_;
};

class Config final : public nvinfer1::IBuilderConfig, public refusing::VBuilderConfig, public Object {
 public:
  explicit Config(int* users);
  ~Config() override { --*users_; }
  const std::vector<const Profile*>& profiles() const { return profiles_; }
  nvinfer1::IProgressMonitor* monitor() const { return monitor_; }
  TimingCache* cache() const { return cache_; }

  void setFlag(nvinfer1::BuilderFlag flag) STANDIN_NOEXCEPT override;
  int32_t addOptimizationProfile(nvinfer1::IOptimizationProfile const* profile) STANDIN_NOEXCEPT override;
  void setProfilingVerbosity(nvinfer1::ProfilingVerbosity verbosity) STANDIN_NOEXCEPT override;
  nvinfer1::ITimingCache* createTimingCache(void const* blob, std::size_t size) const STANDIN_NOEXCEPT override;
  bool setTimingCache(nvinfer1::ITimingCache const& cache, bool ignore_mismatch) STANDIN_NOEXCEPT override;
  nvinfer1::ITimingCache const* getTimingCache() const STANDIN_NOEXCEPT override;
  void setProgressMonitor(nvinfer1::IProgressMonitor* monitor) STANDIN_NOEXCEPT override;

 private:
  std::vector<const Profile*> profiles_;
  nvinfer1::IProgressMonitor* monitor_ = nullptr;
  TimingCache* cache_ = nullptr;
  int* users_;
};

class Builder final : public nvinfer1::IBuilder, public refusing::VBuilder, public Object {
 public:
  Builder() : Object("builder", true) { mImpl = this; }
  ~Builder() override;

  nvinfer1::IBuilderConfig* createBuilderConfig() STANDIN_NOEXCEPT override;
  nvinfer1::INetworkDefinition* createNetworkV2(nvinfer1::NetworkDefinitionCreationFlags flags)
      STANDIN_NOEXCEPT override;
  nvinfer1::IOptimizationProfile* createOptimizationProfile() STANDIN_NOEXCEPT override;
  bool setMaxThreads(int32_t threads) STANDIN_NOEXCEPT override;
  bool buildSerializedNetworkToStream(nvinfer1::INetworkDefinition& network, nvinfer1::IBuilderConfig& config,
                                      nvinfer1::IStreamWriter& writer) STANDIN_NOEXCEPT override;

 private:
  std::vector<std::unique_ptr<Profile>> profiles_;
  int users_ = 0;  // networks and configurations that are alive
};

// Builds: checks the network, makes progress and writes the plan. Throws Refusal.
void build(Network& network, Config& config, nvinfer1::IStreamWriter& writer);

}  // namespace standin
