#include "network.h"

#include <set>

namespace standin {
namespace {

// FNV-1a of the values, so that a record tells which weights came.
std::string checksum(const nvinfer1::Weights& weights) {
  int64_t bits = 32;
  switch (weights.type) {
    case DataType::kINT64: bits = 64; break;
    case DataType::kHALF:
    case DataType::kBF16: bits = 16; break;
    case DataType::kINT8:
    case DataType::kUINT8:
    case DataType::kBOOL:
    case DataType::kFP8:
    case DataType::kE8M0: bits = 8; break;
    case DataType::kINT4:
    case DataType::kFP4: bits = 4; break;
    default: break;
  }
  uint64_t hash = 14695981039346656037U;
  const auto* bytes = static_cast<const unsigned char*>(weights.values);
  for (int64_t i = 0; i < (weights.count * bits + 7) / 8; i++) hash = (hash ^ bytes[i]) * 1099511628211U;
  char hex[20];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));
  return hex;
}

std::vector<Tensor*> own(ITensor* const* tensors, int32_t number) {
  std::vector<Tensor*> list;
  for (int32_t i = 0; i < number; i++) list.push_back(static_cast<Tensor*>(tensors[i]));
  return list;
}
using standin::own;

}  // namespace

Network::Network(int* users) : Object("network", true), users_(users) {
  mImpl = this;
  ++*users_;
}

void Network::validate() {
  if (outputs_.empty()) throw Refusal("the network has no outputs");
  std::set<std::string> names;
  for (const auto& input : inputs_) {
    if (!names.insert(input->label()).second) throw Refusal("two tensors are called " + input->label());
  }
  for (const Tensor* output : outputs_) {
    if (!names.insert(output->label()).second) throw Refusal("two tensors are called " + output->label());
  }
  std::set<std::string> labels;
  for (const auto& layer : layers_) {
    layer->inferred();
    if (!labels.insert(layer->label()).second) throw Refusal("two layers are called " + layer->label());
  }
  for (PluginLayer* plugin : plugins_) plugin->check_formats();
}

void Network::setName(char const* name) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::setName", this);
  call.argument("name", json(name));
  if (!call.fails(Answer::kNothing)) title_ = name;
}

ITensor* Network::addInput(char const* name, DataType type, Dims const& dims) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addInput", this);
  call.argument("name", json(name)).argument("type", json(type)).argument("dims", json(dims));
  if (call.fails(Answer::kObject)) return nullptr;
  inputs_.push_back(std::make_unique<Tensor>(name, type, dims));
  call.result(object_json(inputs_.back().get()));
  return inputs_.back().get();
}

// Questions about inputs that are there cannot fail, so they are not written down.
int32_t Network::getNbInputs() const STANDIN_NOEXCEPT { return static_cast<int32_t>(inputs_.size()); }
ITensor* Network::getInput(int32_t index) const STANDIN_NOEXCEPT {
  return inputs_.at(static_cast<std::size_t>(index)).get();
}

void Network::markOutput(ITensor& tensor) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::markOutput", this);
  call.argument("tensor", json(&tensor));
  if (call.fails(Answer::kNothing)) return;
  if (own(tensor).is_input()) return log_error("an input cannot be marked as an output");
  own(tensor).mark();
  outputs_.push_back(&own(tensor));
}

bool Network::setWeightsName(nvinfer1::Weights weights, char const* name) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::setWeightsName", this);
  call.argument("count", json(weights.count)).argument("name", json(name));
  return !call.fails(Answer::kBool);
}

bool Network::markWeightsRefittable(char const* name) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::markWeightsRefittable", this);
  call.argument("name", json(name));
  return !call.fails(Answer::kBool);
}

nvinfer1::IConstantLayer* Network::addConstant(Dims const& dims, nvinfer1::Weights weights) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addConstant", this);
  call.argument("dims", json(dims)).argument("type", json(weights.type)).argument("count", json(weights.count));
  call.argument("checksum", quoted(checksum(weights)));
  return add<Constant>(call, dims, weights);
}

nvinfer1::ICastLayer* Network::addCast(ITensor& x, DataType to) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addCast", this);
  call.argument("input", json(&x)).argument("to", json(to));
  return add<Cast>(call, own(x), to);
}

nvinfer1::IElementWiseLayer* Network::addElementWise(ITensor& x, ITensor& y,
                                                     nvinfer1::ElementWiseOperation op) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addElementWise", this);
  call.argument("input1", json(&x)).argument("input2", json(&y)).argument("op", json(op));
  return add<ElementWise>(call, own(x), own(y), op);
}

nvinfer1::IUnaryLayer* Network::addUnary(ITensor& x, nvinfer1::UnaryOperation op) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addUnary", this);
  call.argument("input", json(&x)).argument("op", json(op));
  return add<Unary>(call, own(x), op);
}

nvinfer1::IActivationLayer* Network::addActivation(ITensor& x, nvinfer1::ActivationType type) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addActivation", this);
  call.argument("input", json(&x)).argument("type", json(type));
  return add<Activation>(call, own(x));
}

nvinfer1::IMatrixMultiplyLayer* Network::addMatrixMultiply(ITensor& x, nvinfer1::MatrixOperation op0, ITensor& y,
                                                           nvinfer1::MatrixOperation op1) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addMatrixMultiply", this);
  call.argument("input0", json(&x)).argument("op0", json(op0));
  call.argument("input1", json(&y)).argument("op1", json(op1));
  return add<MatrixMultiply>(call, own(x), op0, own(y), op1);
}

nvinfer1::IGatherLayer* Network::addGather(ITensor& x, ITensor& indices, int32_t axis) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addGather", this);
  call.argument("data", json(&x)).argument("indices", json(&indices)).argument("axis", json(axis));
  return add<Gather>(call, own(x), own(indices), axis);
}

nvinfer1::IConcatenationLayer* Network::addConcatenation(ITensor* const* inputs, int32_t number) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addConcatenation", this);
  call.argument("inputs", json(inputs, number));
  return add<Concatenation>(call, own(inputs, number));
}

nvinfer1::IShuffleLayer* Network::addShuffle(ITensor& x) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addShuffle", this);
  call.argument("input", json(&x));
  return add<Shuffle>(call, own(x));
}

nvinfer1::ISliceLayer* Network::addSlice(ITensor& x, Dims const& start, Dims const& size,
                                         Dims const& stride) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addSlice", this);
  call.argument("input", json(&x)).argument("start", json(start));
  call.argument("size", json(size)).argument("stride", json(stride));
  return add<Slice>(call, own(x), start, size, stride);
}

nvinfer1::IReduceLayer* Network::addReduce(ITensor& x, nvinfer1::ReduceOperation op, uint32_t axes,
                                           bool keep) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addReduce", this);
  call.argument("input", json(&x)).argument("op", json(op));
  call.argument("axes", json(axes)).argument("keep", json(keep));
  return add<Reduce>(call, own(x), op, axes, keep);
}

nvinfer1::INormalizationLayer* Network::addNormalization(ITensor& x, ITensor& scale, ITensor& bias,
                                                         uint32_t axes) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addNormalization", this);
  call.argument("input", json(&x)).argument("scale", json(&scale)).argument("bias", json(&bias));
  call.argument("axes", json(axes));
  return add<Normalization>(call, own(x), own(scale), own(bias), axes);
}

nvinfer1::ISelectLayer* Network::addSelect(ITensor& condition, ITensor& then, ITensor& otherwise) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addSelect", this);
  call.argument("condition", json(&condition)).argument("then", json(&then)).argument("else", json(&otherwise));
  return add<Select>(call, own(condition), own(then), own(otherwise));
}

nvinfer1::IQuantizeLayer* Network::addQuantizeV2(ITensor& x, ITensor& scale, DataType to) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addQuantizeV2", this);
  call.argument("input", json(&x)).argument("scale", json(&scale)).argument("to", json(to));
  return add<Quantize>(call, own(x), own(scale), to);
}

nvinfer1::IDequantizeLayer* Network::addDequantizeV2(ITensor& x, ITensor& scale, DataType to) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addDequantizeV2", this);
  call.argument("input", json(&x)).argument("scale", json(&scale)).argument("to", json(to));
  return add<Dequantize>(call, own(x), own(scale), to);
}

nvinfer1::IShapeLayer* Network::addShape(ITensor& x) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addShape", this);
  call.argument("input", json(&x));
  return add<Shape>(call, own(x));
}

nvinfer1::IFillLayer* Network::addFillV2(Dims const& dims, nvinfer1::FillOperation op, DataType to) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addFillV2", this);
  call.argument("dims", json(dims)).argument("op", json(op)).argument("to", json(to));
  return add<Fill>(call, dims, to);
}

nvinfer1::IPluginV2Layer* Network::addPluginV2(ITensor* const* inputs, int32_t number,
                                               nvinfer1::IPluginV2& plugin) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addPluginV2", this);
  call.argument("inputs", json(inputs, number)).argument("plugin", quoted(plugin.getPluginType()));
  call.argument("version", quoted(plugin.getPluginVersion()))
      .argument("namespace", quoted(plugin.getPluginNamespace()));
  if (call.fails(Answer::kObject)) return nullptr;
  if (plugin.getTensorRTVersion() >> 24 != static_cast<int32_t>(nvinfer1::PluginVersion::kV2_DYNAMICEXT)) {
    log_error("a plugin of another kind than IPluginV2DynamicExt");
    return nullptr;
  }
  auto* copy = static_cast<nvinfer1::IPluginV2DynamicExt*>(plugin.clone());
  auto layer =
      std::make_unique<PluginLayer>(own(inputs, number), *copy, static_cast<std::size_t>(copy->getNbOutputs()));
  PluginLayer* const raw = layer.get();
  call.result(object_json(raw));
  layers_.push_back(std::move(layer));
  plugins_.push_back(raw);
  return raw;
}

}  // namespace standin
