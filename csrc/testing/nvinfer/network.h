// The network: every way to add to it that csrc/tensorrt uses.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "layers.h"
#include "nativeattention.h"

namespace standin {

// A plugin in the network: its own copy, which tells the outputs.
class PluginLayer final : public LayerOf<nvinfer1::IPluginV2Layer, refusing::VPluginV2Layer> {
 public:
  // Takes the copy over.
  PluginLayer(std::vector<Tensor*> inputs, nvinfer1::IPluginV2DynamicExt& copy, std::size_t outputs)
      : LayerOf("pluginlayer", std::move(inputs), outputs), plugin_(copy) {}
  ~PluginLayer() override { plugin_.destroy(); }
  // Throws Refusal where the plugin does not take types of its inputs and outputs.
  void check_formats();

 private:
  std::vector<Inferred> infer() const override;
  nvinfer1::IPluginV2DynamicExt& plugin_;
};

class Network final : public nvinfer1::INetworkDefinition, public refusing::VNetworkDefinition, public Object {
 public:
  explicit Network(int* users);
  ~Network() override { --*users_; }

  // Throws Refusal for what a build would not take.
  void validate();
  const std::vector<std::unique_ptr<Tensor>>& inputs() const { return inputs_; }
  const std::vector<Tensor*>& outputs() const { return outputs_; }
  std::size_t layers() const { return layers_.size(); }
  const std::string& title() const { return title_; }

  void setName(char const* name) STANDIN_NOEXCEPT override;
  char const* getName() const STANDIN_NOEXCEPT override { return title_.c_str(); }
  ITensor* addInput(char const* name, DataType type, Dims const& dims) STANDIN_NOEXCEPT override;
  int32_t getNbInputs() const STANDIN_NOEXCEPT override;
  ITensor* getInput(int32_t index) const STANDIN_NOEXCEPT override;
  void markOutput(ITensor& tensor) STANDIN_NOEXCEPT override;
  bool setWeightsName(nvinfer1::Weights weights, char const* name) STANDIN_NOEXCEPT override;
  bool markWeightsRefittable(char const* name) STANDIN_NOEXCEPT override;
  nvinfer1::IConstantLayer* addConstant(Dims const& dims, nvinfer1::Weights weights) STANDIN_NOEXCEPT override;
  nvinfer1::ICastLayer* addCast(ITensor& x, DataType to) STANDIN_NOEXCEPT override;
  nvinfer1::IElementWiseLayer* addElementWise(ITensor& x, ITensor& y,
                                              nvinfer1::ElementWiseOperation op) STANDIN_NOEXCEPT override;
  nvinfer1::IUnaryLayer* addUnary(ITensor& x, nvinfer1::UnaryOperation op) STANDIN_NOEXCEPT override;
  nvinfer1::IActivationLayer* addActivation(ITensor& x, nvinfer1::ActivationType type) STANDIN_NOEXCEPT override;
  nvinfer1::IMatrixMultiplyLayer* addMatrixMultiply(ITensor& x, nvinfer1::MatrixOperation op0, ITensor& y,
                                                    nvinfer1::MatrixOperation op1) STANDIN_NOEXCEPT override;
  nvinfer1::IGatherLayer* addGather(ITensor& x, ITensor& indices, int32_t axis) STANDIN_NOEXCEPT override;
  nvinfer1::IConcatenationLayer* addConcatenation(ITensor* const* inputs, int32_t number) STANDIN_NOEXCEPT override;
  nvinfer1::IShuffleLayer* addShuffle(ITensor& x) STANDIN_NOEXCEPT override;
  nvinfer1::ISliceLayer* addSlice(ITensor& x, Dims const& start, Dims const& size,
                                  Dims const& stride) STANDIN_NOEXCEPT override;
  nvinfer1::IReduceLayer* addReduce(ITensor& x, nvinfer1::ReduceOperation op, uint32_t axes,
                                    bool keep) STANDIN_NOEXCEPT override;
  nvinfer1::INormalizationLayer* addNormalization(ITensor& x, ITensor& scale, ITensor& bias,
                                                  uint32_t axes) STANDIN_NOEXCEPT override;
  nvinfer1::ISelectLayer* addSelect(ITensor& condition, ITensor& then, ITensor& otherwise) STANDIN_NOEXCEPT override;
  nvinfer1::IQuantizeLayer* addQuantizeV2(ITensor& x, ITensor& scale, DataType to) STANDIN_NOEXCEPT override;
  nvinfer1::IDequantizeLayer* addDequantizeV2(ITensor& x, ITensor& scale, DataType to) STANDIN_NOEXCEPT override;
  nvinfer1::IShapeLayer* addShape(ITensor& x) STANDIN_NOEXCEPT override;
  nvinfer1::IFillLayer* addFillV2(Dims const& dims, nvinfer1::FillOperation op, DataType to) STANDIN_NOEXCEPT override;
#if STANDIN_HAS_ATTENTION
  nvinfer1::IRotaryEmbeddingLayer* addRotaryEmbedding(ITensor& x, ITensor& cos, ITensor& sin, bool interleaved,
                                                      int32_t dim) STANDIN_NOEXCEPT override;
  nvinfer1::IKVCacheUpdateLayer* addKVCacheUpdate(ITensor& cache, ITensor& update, ITensor& indices,
                                                  nvinfer1::KVCacheMode mode) STANDIN_NOEXCEPT override;
  nvinfer1::IAttention* addAttentionV2(ITensor& q, ITensor& k, ITensor& v, nvinfer1::AttentionNormalizationOp op,
                                       nvinfer1::CausalMaskKind kind) STANDIN_NOEXCEPT override;
#endif
  nvinfer1::IPluginV2Layer* addPluginV2(ITensor* const* inputs, int32_t number,
                                        nvinfer1::IPluginV2& plugin) STANDIN_NOEXCEPT override;

 private:
  // Appends a layer unless a fault was asked for.
  template <class L, class... Arguments>
  L* add(Call& call, Arguments&&... arguments);

  std::string title_;
  std::vector<std::unique_ptr<Tensor>> inputs_;
  std::vector<std::unique_ptr<Layer>> layers_;
#if STANDIN_HAS_ATTENTION
  std::vector<std::unique_ptr<Attention>> attentions_;
#endif
  std::vector<PluginLayer*> plugins_;
  std::vector<Tensor*> outputs_;
  int* users_;
};

template <class L, class... Arguments>
L* Network::add(Call& call, Arguments&&... arguments) {
  if (call.fails(Answer::kObject)) return nullptr;
  auto layer = std::make_unique<L>(std::forward<Arguments>(arguments)...);
  L* const raw = layer.get();
  call.result(object_json(raw));
  layers_.push_back(std::move(layer));
  return raw;
}

}  // namespace standin
