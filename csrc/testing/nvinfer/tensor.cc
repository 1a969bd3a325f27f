#include "tensor.h"

namespace standin {

std::string object_json(const Object* object) { return object == nullptr ? "null" : quoted(object->name()); }
std::string json(const ITensor* tensor) { return object_json(own(tensor)); }

std::string json(ITensor* const* tensors, int32_t number) {
  std::string list = "[";
  for (int32_t i = 0; i < number; i++) list += (i > 0 ? "," : "") + json(tensors[i]);
  return list + "]";
}

std::string json(const Dims& dims) {
  std::string list = "[";
  for (int32_t i = 0; i < dims.nbDims; i++) list += (i > 0 ? "," : "") + std::to_string(dims.d[i]);
  return list + "]";
}

std::string text(const Inferred& tensor) { return enumerator(tensor.type) + json(tensor.dims); }

Tensor& own(ITensor& tensor) { return static_cast<Tensor&>(tensor); }
const Tensor* own(const ITensor* tensor) { return static_cast<const Tensor*>(tensor); }

Tensor::Tensor(const char* name, DataType type, const Dims& dims) : Object("tensor"), label_(name), names_(8) {
  mImpl = this;
  input_.dims = dims;
  input_.type = type;
}

Tensor::Tensor(Layer& layer, std::size_t index) : Object("tensor"), layer_(&layer), index_(index), names_(8) {
  mImpl = this;
}

const Inferred& Tensor::inferred() const { return layer_ == nullptr ? input_ : layer_->inferred()[index_]; }

void Tensor::setName(char const* name) STANDIN_NOEXCEPT {
  Call call("ITensor::setName", this);
  call.argument("name", json(name));
  if (!call.fails(Answer::kNothing)) label_ = name;
}

char const* Tensor::getName() const STANDIN_NOEXCEPT { return label_.c_str(); }

Dims Tensor::getDimensions() const STANDIN_NOEXCEPT {
  Call call("ITensor::getDimensions", this);
  Dims dims{};
  dims.nbDims = -1;
  if (call.fails(Answer::kDims)) return dims;
  try {
    dims = inferred().dims;
    call.result(json(dims));
  } catch (const Refusal& refusal) {
    call.result("null");
    log_error(refusal.what());
  }
  return dims;
}

DataType Tensor::getType() const STANDIN_NOEXCEPT {
  Call call("ITensor::getType", this);
  if (call.fails(Answer::kType)) return static_cast<DataType>(99);
  try {
    const DataType type = inferred().type;
    call.result(json(type));
    return type;
  } catch (const Refusal&) {  // getDimensions tells
    return DataType::kFLOAT;
  }
}

bool Tensor::isNetworkInput() const STANDIN_NOEXCEPT { return is_input(); }
bool Tensor::isNetworkOutput() const STANDIN_NOEXCEPT { return marked_; }

void Tensor::setDimensionName(int32_t index, char const* name) STANDIN_NOEXCEPT {
  Call call("ITensor::setDimensionName", this);
  call.argument("index", json(index)).argument("name", json(name));
  if (call.fails(Answer::kNothing)) return;
  if (index < 0 || index >= 8) return log_error("a tensor has no dimension " + std::to_string(index));
  names_[static_cast<std::size_t>(index)] = name;
}

char const* Tensor::getDimensionName(int32_t index) const STANDIN_NOEXCEPT {
  return names_[static_cast<std::size_t>(index)].c_str();
}

Layer::Layer(const char* kind, std::vector<Tensor*> inputs, std::size_t outputs)
    : Object(kind), inputs_(std::move(inputs)), label_("(unnamed " + name() + ")") {
  for (std::size_t i = 0; i < outputs; i++) outputs_.push_back(std::make_unique<Tensor>(*this, i));
}

const std::vector<Inferred>& Layer::inferred() {
  if (!inferred_) {
    try {
      inferred_ = infer();
    } catch (const Refusal& refusal) {
      throw Refusal(label_ + ": " + refusal.what());
    }
  }
  return *inferred_;
}

const Inferred& Layer::in(std::size_t index) const {
  if (!has(index)) throw Refusal("input " + std::to_string(index) + " is missing");
  return inputs_[index]->inferred();
}

void Layer::put(std::size_t index, Tensor* tensor) {
  if (index >= inputs_.size()) inputs_.resize(index + 1);
  inputs_[index] = tensor;
  changed();
}

void Layer::setName(char const* name) STANDIN_NOEXCEPT { set("ILayer::setName", "name", label_, std::string(name)); }
char const* Layer::getName() const STANDIN_NOEXCEPT { return label_.c_str(); }
int32_t Layer::getNbInputs() const STANDIN_NOEXCEPT { return static_cast<int32_t>(inputs_.size()); }
ITensor* Layer::getInput(int32_t index) const STANDIN_NOEXCEPT { return inputs_[static_cast<std::size_t>(index)]; }

int32_t Layer::getNbOutputs() const STANDIN_NOEXCEPT {
  Call call("ILayer::getNbOutputs", this);
  if (call.fails(Answer::kCount)) return 0;
  const auto number = static_cast<int32_t>(outputs_.size());
  call.result(json(number));
  return number;
}

ITensor* Layer::getOutput(int32_t index) const STANDIN_NOEXCEPT {
  Call call("ILayer::getOutput", this);
  call.argument("index", json(index));
  if (call.fails(Answer::kObject)) return nullptr;
  if (index < 0 || static_cast<std::size_t>(index) >= outputs_.size()) return nullptr;
  Tensor* tensor = output(static_cast<std::size_t>(index));
  call.result(object_json(tensor));
  return tensor;
}

void Layer::setInput(int32_t index, ITensor& tensor) STANDIN_NOEXCEPT {
  Call call("ILayer::setInput", this);
  call.argument("index", json(index)).argument("tensor", json(&tensor));
  if (!call.fails(Answer::kNothing)) put(static_cast<std::size_t>(index), &own(tensor));
}

void Layer::setMetadata(char const* text) STANDIN_NOEXCEPT {
  Call call("ILayer::setMetadata", this);
  call.argument("text", json(text));
  call.fails(Answer::kNothing);
}

}  // namespace standin
