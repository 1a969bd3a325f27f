// Network: a builder with one network, its configuration and its tensors by number.
#ifndef TRTGO_TENSORRT_NETWORK_H_
#define TRTGO_TENSORRT_NETWORK_H_

#include <memory>
#include <string>
#include <vector>

#include "../native/trtgo.h"
#include "library.h"
#include "progress.h"
#include "versions.h"

namespace trtgo {
namespace tensorrt {

// The functions are those of trtgo.h that are called alike, and throw Failure. An error that TensorRT logged while
// one ran is part of what it throws.
class Network {
 public:
  Network(Library& library, const trtgo_network_options& options);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  void add_input(const char* name, const char* type, int32_t rank, const int64_t* dims, const char* const* names,
                 trtgo_tensor* out);
  void add_layer(const trtgo_layer& layer, trtgo_tensor* outputs, int32_t* num_outputs);
  void mark_output(int32_t tensor, const char* name);
  void add_profile(const trtgo_range* ranges, int32_t num_ranges);
  void build(const trtgo_build_options& options, int fd);

  Progress& progress() { return progress_; }
  // What trtgo_network_progress gave last.
  Progress::State& last_state() { return last_state_; }
  // The serialised timing cache; null when none was used.
  const nvinfer1::IHostMemory* timing_cache() const { return serialized_cache_.get(); }

  // The tensor with this number. Throws Failure.
  nvinfer1::ITensor& tensor(int32_t id) const;
  nvinfer1::INetworkDefinition& definition() { return *network_; }
  // Names of weights, that a build for individual refitting marks.
  void add_weights_name(const char* name) { weights_names_.emplace_back(name); }
  Library& library() { return library_; }

 private:
  // Numbers a tensor and describes it. Throws Failure where TensorRT found no shape for it.
  void number(nvinfer1::ITensor* tensor, trtgo_tensor* out);
  // Checks what a profile does not: that there is such an input, and its fixed dimensions.
  void check_range(const trtgo_range& range) const;
  void configure(const trtgo_build_options& options);
  void set_flags(const trtgo_build_options& options);
  void set_capabilities(const trtgo_build_options& options);
  void attach_timing_cache(const trtgo_build_options& options);
  void keep_timing_cache();
  // Throws what a build that failed failed of.
  [[noreturn]] void fail_build(int write_error);

  Library& library_;
  Progress progress_;
  Progress::State last_state_;
  // In this order: each needs those before it.
  std::unique_ptr<nvinfer1::IBuilder> builder_;
  std::unique_ptr<nvinfer1::INetworkDefinition> network_;
  std::unique_ptr<nvinfer1::ITimingCache> cache_;
  std::unique_ptr<nvinfer1::IBuilderConfig> config_;
  std::unique_ptr<nvinfer1::IHostMemory> serialized_cache_;
  std::vector<nvinfer1::ITensor*> tensors_;
  std::vector<std::string> weights_names_;
  std::string failed_;  // the layer that failed; nothing can be added or built after it
  bool built_ = false;
};

}  // namespace tensorrt
}  // namespace trtgo

struct trtgo_network {
  trtgo::tensorrt::Network network;
};

#endif  // TRTGO_TENSORRT_NETWORK_H_
