// Tensors and layers of the stand-in's network, and what it infers about them.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "record.h"
#include "refusals.h"

namespace standin {

using nvinfer1::DataType;
using nvinfer1::Dims;
using nvinfer1::ITensor;

// What a tensor is. A small tensor of integers has values too, where they are known: shapes are
// computed with them. kUnknown stands for those that the runtime says.
struct Inferred {
  Dims dims{};
  DataType type{};
  std::optional<std::vector<int64_t>> values;
};
constexpr int64_t kUnknown = INT64_MIN;

// What a layer is refused for.
class Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Values of JSON for what is TensorRT's.
std::string json(const Dims& dims);
std::string json(const ITensor* tensor);
std::string json(ITensor* const* tensors, int32_t number);
std::string object_json(const Object* object);
template <class E>
std::enable_if_t<std::is_enum_v<E>, std::string> json(E value) {
  return quoted(enumerator(value));
}

// How a dimension list reads in a message, e.g. "BF16[-1,64]".
std::string text(const Inferred& tensor);

class Layer;

class Tensor final : public ITensor, public refusing::VTensor, public Object {
 public:
  Tensor(const char* name, DataType type, const Dims& dims);  // an input
  Tensor(Layer& layer, std::size_t index);                    // an output of a layer

  // What it is; throws Refusal where its layer is wrong.
  const Inferred& inferred() const;
  bool is_input() const { return layer_ == nullptr; }
  const std::string& label() const { return label_; }
  void mark() { marked_ = true; }

  void setName(char const* name) STANDIN_NOEXCEPT override;
  char const* getName() const STANDIN_NOEXCEPT override;
  Dims getDimensions() const STANDIN_NOEXCEPT override;
  DataType getType() const STANDIN_NOEXCEPT override;
  bool isNetworkInput() const STANDIN_NOEXCEPT override;
  bool isNetworkOutput() const STANDIN_NOEXCEPT override;
  void setDimensionName(int32_t index, char const* name) STANDIN_NOEXCEPT override;
  char const* getDimensionName(int32_t index) const STANDIN_NOEXCEPT override;

 private:
  Layer* layer_ = nullptr;
  std::size_t index_ = 0;
  Inferred input_;
  std::string label_;
  std::vector<std::string> names_;
  bool marked_ = false;
};

Tensor& own(ITensor& tensor);
const Tensor* own(const ITensor* tensor);

class Layer : public refusing::VLayer, public Object {
 public:
  Layer(const char* kind, std::vector<Tensor*> inputs, std::size_t outputs);

  // What its outputs are; throws Refusal.
  const std::vector<Inferred>& inferred();
  Tensor* output(std::size_t index) const { return outputs_[index].get(); }
  const std::vector<Tensor*>& inputs() const { return inputs_; }
  const std::string& label() const { return label_; }

  void setName(char const* name) STANDIN_NOEXCEPT override;
  char const* getName() const STANDIN_NOEXCEPT override;
  int32_t getNbInputs() const STANDIN_NOEXCEPT override;
  ITensor* getInput(int32_t index) const STANDIN_NOEXCEPT override;
  int32_t getNbOutputs() const STANDIN_NOEXCEPT override;
  ITensor* getOutput(int32_t index) const STANDIN_NOEXCEPT override;
  void setInput(int32_t index, ITensor& tensor) STANDIN_NOEXCEPT override;
  void setMetadata(char const* text) STANDIN_NOEXCEPT override;

 protected:
  virtual std::vector<Inferred> infer() const = 0;
  // An input; throws Refusal where it is missing.
  const Inferred& in(std::size_t index) const;
  bool has(std::size_t index) const { return index < inputs_.size() && inputs_[index] != nullptr; }

  // A setter that is written down and takes effect unless a fault was asked for.
  template <class T>
  void set(const char* function, const char* argument, T& field, T value) {
    Call call(function, this);
    call.argument(argument, json(value));
    if (call.fails(Answer::kNothing)) return;
    field = value;
    changed();
  }
  // The same for setters that tell whether they worked.
  template <class T>
  bool try_set(const char* function, const char* argument, T& field, T value) {
    Call call(function, this);
    call.argument(argument, json(value));
    if (call.fails(Answer::kBool)) return false;
    field = value;
    changed();
    return true;
  }
  void put(std::size_t index, Tensor* tensor);
  void changed() { inferred_.reset(); }

 private:
  std::vector<Tensor*> inputs_;
  std::vector<std::unique_ptr<Tensor>> outputs_;
  std::string label_;
  std::optional<std::vector<Inferred>> inferred_;
};

}  // namespace standin
