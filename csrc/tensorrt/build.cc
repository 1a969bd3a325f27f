// Network's building.
#include <cstring>

#include "enumerators.h"
#include "guard.h"
#include "network.h"
#include "planwriter.h"

namespace trtgo {
namespace tensorrt {

void Network::set_capabilities(const trtgo_build_options& options) {
  if (options.num_capabilities == 0) return;
#if TRTGO_HAS_CAPABILITIES
  if (options.num_capabilities < 0 || options.capabilities == nullptr ||
      !config_->setNbComputeCapabilities(options.num_capabilities)) {
    throw Failure(TRTGO_INVALID, "setNbComputeCapabilities",
                  "cannot build for " + std::to_string(options.num_capabilities) + " compute capabilities");
  }
  for (int32_t i = 0; i < options.num_capabilities; i++) {
    if (!config_->setComputeCapability(capability(options.capabilities[i]), i)) {
      throw Failure(TRTGO_INVALID, "setComputeCapability",
                    with_words("cannot build for compute capability " + std::to_string(options.capabilities[i])));
    }
  }
#else
  throw Failure(TRTGO_INVALID, "setComputeCapability",
                TRTGO_PRODUCT " builds for the GPU that is there, compute capabilities cannot be chosen");
#endif
}

void Network::attach_timing_cache(const trtgo_build_options& options) {
  if (options.use_timing_cache == 0) return;
  if (options.timing_cache_bytes < 0 || (options.timing_cache_bytes > 0 && options.timing_cache == nullptr)) {
    throw Failure(TRTGO_INVALID, "createTimingCache", "the timing cache has no bytes");
  }
  cache_.reset(config_->createTimingCache(options.timing_cache, static_cast<size_t>(options.timing_cache_bytes)));
  if (cache_ == nullptr || !config_->setTimingCache(*cache_, false)) {
    throw Failure(TRTGO_INVALID, cache_ == nullptr ? "createTimingCache" : "setTimingCache",
                  with_words("the timing cache of " + std::to_string(options.timing_cache_bytes) +
                             " bytes cannot be used, it may be of another version or GPU"));
  }
}

void Network::set_flags(const trtgo_build_options& options) {
  if (options.num_flags < 0 || (options.num_flags > 0 && options.flags == nullptr)) {
    throw Failure(TRTGO_INVALID, "setFlag", "there are " + std::to_string(options.num_flags) + " flags");
  }
  bool individually = false;
  for (int32_t i = 0; i < options.num_flags; i++) {
    need(options.flags[i], "setFlag", "a flag");
    const auto flag = enumerator<nvinfer1::BuilderFlag>(options.flags[i]);
    config_->setFlag(flag);
    individually = individually || flag == nvinfer1::BuilderFlag::kREFIT_INDIVIDUAL;
  }
  if (!individually) return;
  for (const std::string& name : weights_names_) {
    if (!network_->markWeightsRefittable(name.c_str())) {
      throw Failure(TRTGO_INVALID, "markWeightsRefittable", with_words("weights " + name + " cannot be refitted"));
    }
  }
}

void Network::configure(const trtgo_build_options& options) {
  set_flags(options);
  if (options.profiling_verbosity != nullptr) {
    config_->setProfilingVerbosity(enumerator<nvinfer1::ProfilingVerbosity>(options.profiling_verbosity));
  }
  set_capabilities(options);
  attach_timing_cache(options);
  config_->setProgressMonitor(&progress_);
  if (!logged_errors().empty()) {
    throw Failure(failed_status(), "IBuilderConfig", with_words("the build's options are refused"));
  }
}

void Network::keep_timing_cache() {
  if (cache_ == nullptr) return;
  const nvinfer1::ITimingCache* filled = config_->getTimingCache();
  if (filled != nullptr) serialized_cache_.reset(filled->serialize());
  if (serialized_cache_ == nullptr) {
    throw Failure(TRTGO_INVALID, "ITimingCache::serialize",
                  with_words("the plan is written, but its timing cache cannot be had"));
  }
}

void Network::fail_build(int write_error) {
  if (progress_.take_cancelled()) {
    throw Failure(TRTGO_CANCELLED, "buildSerializedNetworkToStream", "the build was cancelled");
  }
  if (write_error != 0) {
    throw Failure(TRTGO_IO, "write", std::string("cannot write the plan: ") + std::strerror(write_error));
  }
  throw Failure(failed_status(), "buildSerializedNetworkToStream",
                with_words(TRTGO_PRODUCT " cannot build the network"));
}

void Network::build(const trtgo_build_options& options, int fd) {
  const char* const operation = "trtgo_network_build";
  if (!failed_.empty()) throw Failure(TRTGO_INVALID, operation, failed_ + " failed, the network cannot be built");
  if (built_) throw Failure(TRTGO_INVALID, operation, "the network was built already");
  if (progress_.cancelled()) fail_build(0);
  built_ = true;
  const Call call(library_.messages());
  configure(options);
  PlanWriter writer(fd, &progress_);
  bool done = false;
  {
    const Progress::Running running(progress_);
    done = builder_->buildSerializedNetworkToStream(*network_, *config_, writer);
  }
  // A build that TensorRT calls done although the last write failed is none.
  if (!done || writer.error() != 0 || progress_.cancelled()) fail_build(writer.error());
  keep_timing_cache();
}

}  // namespace tensorrt
}  // namespace trtgo
