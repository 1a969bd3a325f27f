// The kinds of layers. Each has the setters that csrc/tensorrt uses and infers its outputs by simple rules.
#pragma once

#include "tensor.h"

namespace standin {

// A layer of the interface I, implemented by the virtual table V.
template <class I, class V>
class LayerOf : public I, public V, public Layer {
 public:
  LayerOf(const char* kind, std::vector<Tensor*> inputs, std::size_t outputs = 1)
      : Layer(kind, std::move(inputs), outputs) {
    this->mLayer = this;
    this->mImpl = this;
  }
};

class Constant final : public LayerOf<nvinfer1::IConstantLayer, refusing::VConstantLayer> {
 public:
  Constant(const Dims& dims, const nvinfer1::Weights& weights);

 private:
  std::vector<Inferred> infer() const override;
  Dims dims_;
  nvinfer1::Weights weights_;
  std::optional<std::vector<int64_t>> values_;
};

class Cast final : public LayerOf<nvinfer1::ICastLayer, refusing::VCastLayer> {
 public:
  Cast(Tensor& x, DataType to) : LayerOf("cast", {&x}), to_(to) {}
  void setToType(DataType to) STANDIN_NOEXCEPT override { set("ICastLayer::setToType", "to", to_, to); }

 private:
  std::vector<Inferred> infer() const override;
  DataType to_;
};

class ElementWise final : public LayerOf<nvinfer1::IElementWiseLayer, refusing::VElementWiseLayer> {
 public:
  ElementWise(Tensor& x, Tensor& y, nvinfer1::ElementWiseOperation op) : LayerOf("elementwise", {&x, &y}), op_(op) {}

 private:
  std::vector<Inferred> infer() const override;
  nvinfer1::ElementWiseOperation op_;
};

class Unary final : public LayerOf<nvinfer1::IUnaryLayer, refusing::VUnaryLayer> {
 public:
  Unary(Tensor& x, nvinfer1::UnaryOperation op) : LayerOf("unary", {&x}), op_(op) {}

 private:
  std::vector<Inferred> infer() const override;
  nvinfer1::UnaryOperation op_;
};

class Activation final : public LayerOf<nvinfer1::IActivationLayer, refusing::VActivationLayer> {
 public:
  explicit Activation(Tensor& x) : LayerOf("activation", {&x}) {}

 private:
  std::vector<Inferred> infer() const override;
};

class MatrixMultiply final : public LayerOf<nvinfer1::IMatrixMultiplyLayer, refusing::VMatrixMultiplyLayer> {
 public:
  using Operation = nvinfer1::MatrixOperation;
  MatrixMultiply(Tensor& x, Operation op0, Tensor& y, Operation op1)
      : LayerOf("matmul", {&x, &y}), op0_(op0), op1_(op1) {}

 private:
  std::vector<Inferred> infer() const override;
  Operation op0_, op1_;
};

class Gather final : public LayerOf<nvinfer1::IGatherLayer, refusing::VGatherLayer> {
 public:
  Gather(Tensor& x, Tensor& indices, int32_t axis) : LayerOf("gather", {&x, &indices}), axis_(axis) {}
  void setGatherAxis(int32_t axis) STANDIN_NOEXCEPT override {
    set("IGatherLayer::setGatherAxis", "axis", axis_, axis);
  }

 private:
  std::vector<Inferred> infer() const override;
  int32_t axis_;
};

class Concatenation final : public LayerOf<nvinfer1::IConcatenationLayer, refusing::VConcatenationLayer> {
 public:
  explicit Concatenation(std::vector<Tensor*> inputs) : LayerOf("concatenation", std::move(inputs)) {}
  void setAxis(int32_t axis) STANDIN_NOEXCEPT override { set("IConcatenationLayer::setAxis", "axis", axis_, axis); }

 private:
  std::vector<Inferred> infer() const override;
  int32_t axis_ = 0;
};

class Shuffle final : public LayerOf<nvinfer1::IShuffleLayer, refusing::VShuffleLayer> {
 public:
  using Permutation = nvinfer1::Permutation;
  explicit Shuffle(Tensor& x) : LayerOf("shuffle", {&x}) {}
  void setFirstTranspose(const Permutation& order) STANDIN_NOEXCEPT override;
  void setReshapeDimensions(const Dims& dims) STANDIN_NOEXCEPT override;
  void setSecondTranspose(const Permutation& order) STANDIN_NOEXCEPT override;
  void setZeroIsPlaceholder(bool placeholder) STANDIN_NOEXCEPT override {
    set("IShuffleLayer::setZeroIsPlaceholder", "placeholder", zero_is_placeholder_, placeholder);
  }

 private:
  std::vector<Inferred> infer() const override;
  Inferred reshaped(const Inferred& from) const;
  std::optional<Permutation> first_, second_;
  std::optional<Dims> reshape_;
  bool zero_is_placeholder_ = true;
};

class Slice final : public LayerOf<nvinfer1::ISliceLayer, refusing::VSliceLayer> {
 public:
  Slice(Tensor& x, const Dims& start, const Dims& size, const Dims& stride)
      : LayerOf("slice", {&x}), start_(start), size_(size), stride_(stride) {}
  void setMode(nvinfer1::SampleMode mode) STANDIN_NOEXCEPT override {
    set("ISliceLayer::setMode", "mode", mode_, mode);
  }

 private:
  std::vector<Inferred> infer() const override;
  std::vector<int64_t> parameter(std::size_t input, const Dims& fixed) const;
  Dims start_, size_, stride_;
  nvinfer1::SampleMode mode_ = nvinfer1::SampleMode::kSTRICT_BOUNDS;
};

class Reduce final : public LayerOf<nvinfer1::IReduceLayer, refusing::VReduceLayer> {
 public:
  Reduce(Tensor& x, nvinfer1::ReduceOperation op, uint32_t axes, bool keep)
      : LayerOf("reduce", {&x}), op_(op), axes_(axes), keep_(keep) {}

 private:
  std::vector<Inferred> infer() const override;
  nvinfer1::ReduceOperation op_;
  uint32_t axes_;
  bool keep_;
};

class Normalization final : public LayerOf<nvinfer1::INormalizationLayer, refusing::VNormalizationLayer> {
 public:
  Normalization(Tensor& x, Tensor& scale, Tensor& bias, uint32_t axes)
      : LayerOf("normalization", {&x, &scale, &bias}), axes_(axes) {}
  void setEpsilon(float epsilon) STANDIN_NOEXCEPT override {
    set("INormalizationLayer::setEpsilon", "epsilon", epsilon_, epsilon);
  }

 private:
  std::vector<Inferred> infer() const override;
  uint32_t axes_;
  float epsilon_ = 1e-5F;
};

class Select final : public LayerOf<nvinfer1::ISelectLayer, refusing::VSelectLayer> {
 public:
  Select(Tensor& condition, Tensor& then, Tensor& otherwise) : LayerOf("select", {&condition, &then, &otherwise}) {}

 private:
  std::vector<Inferred> infer() const override;
};

class Quantize final : public LayerOf<nvinfer1::IQuantizeLayer, refusing::VQuantizeLayer> {
 public:
  Quantize(Tensor& x, Tensor& scale, DataType to) : LayerOf("quantize", {&x, &scale}), to_(to) {}
  void setAxis(int32_t axis) STANDIN_NOEXCEPT override { set("IQuantizeLayer::setAxis", "axis", axis_, axis); }

 private:
  std::vector<Inferred> infer() const override;
  DataType to_;
  int32_t axis_ = -1;
};

class Dequantize final : public LayerOf<nvinfer1::IDequantizeLayer, refusing::VDequantizeLayer> {
 public:
  Dequantize(Tensor& x, Tensor& scale, DataType to) : LayerOf("dequantize", {&x, &scale}), to_(to) {}
  void setAxis(int32_t axis) STANDIN_NOEXCEPT override { set("IDequantizeLayer::setAxis", "axis", axis_, axis); }

 private:
  std::vector<Inferred> infer() const override;
  DataType to_;
  int32_t axis_ = -1;
};

class Shape final : public LayerOf<nvinfer1::IShapeLayer, refusing::VShapeLayer> {
 public:
  explicit Shape(Tensor& x) : LayerOf("shape", {&x}) {}

 private:
  std::vector<Inferred> infer() const override;
};

class Fill final : public LayerOf<nvinfer1::IFillLayer, refusing::VFillLayer> {
 public:
  Fill(const Dims& dims, DataType to) : LayerOf("fill", {}), dims_(dims), to_(to) {}

 private:
  std::vector<Inferred> infer() const override;
  Dims dims_;
  DataType to_;
};

}  // namespace standin
