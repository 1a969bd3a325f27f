// Layer: one layer that is being added.
#ifndef TRTGO_TENSORRT_LAYER_H_
#define TRTGO_TENSORRT_LAYER_H_

#include <string>
#include <type_traits>
#include <vector>

#include "../native/trtgo.h"
#include "attributes.h"
#include "guard.h"
#include "network.h"
#include "versions.h"

namespace trtgo {
namespace tensorrt {

// The functions throw Failure.
class Layer {
 public:
  Layer(Network& network, const trtgo_layer& layer)
      : network_(network), layer_(layer), attributes_(layer.fields, layer.num_fields) {}

  nvinfer1::INetworkDefinition& definition() { return network_.definition(); }
  Network& network() { return network_; }
  const trtgo_layer& description() const { return layer_; }
  Attributes& attributes() { return attributes_; }

  // Checks how many inputs there are.
  void want_inputs(int32_t least, int32_t most) const;
  int32_t num_inputs() const { return layer_.num_inputs; }
  nvinfer1::ITensor& input(int32_t i) const;
  // Null where it is absent.
  nvinfer1::ITensor* optional(int32_t i) const;

  // Passes on what the function of TensorRT's returned, which must not be null.
  template <class Added>
  Added& added(const char* operation, Added* layer) {
    if (layer == nullptr) throw Failure(TRTGO_INVALID, operation, TRTGO_PRODUCT " refused it");
    operation_ = operation;
    return *layer;
  }

  // Checks what a setter returned.
  void require(bool done, const char* operation) const {
    if (!done) throw Failure(TRTGO_INVALID, operation, TRTGO_PRODUCT " refused it");
  }

  // Ends it: names the layer and takes its outputs.
  template <class Added>
  void finish(Added& layer) {
    attributes_.finish();
    if constexpr (std::is_void_v<decltype(layer.setName(layer_.name))>) {
      layer.setName(layer_.name);
    } else {
      require(layer.setName(layer_.name), "setName");
    }
    const int32_t number = layer.getNbOutputs();
    for (int32_t i = 0; i < number; i++) outputs_.push_back(layer.getOutput(i));
  }

  const std::string& operation() const { return operation_; }
  const std::vector<nvinfer1::ITensor*>& outputs() const { return outputs_; }

 private:
  Network& network_;
  const trtgo_layer& layer_;
  Attributes attributes_;
  std::string operation_;
  std::vector<nvinfer1::ITensor*> outputs_;
};

// Adds the layer to the network by its kind.
void add(Layer& layer);

// Adds a layer of a plugin.
void add_plugin(Layer& layer);

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_LAYER_H_
