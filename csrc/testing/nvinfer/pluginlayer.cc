// Asks a plugin about its outputs, as TensorRT does.
#include "network.h"

namespace standin {
namespace {

using nvinfer1::DimensionOperation;
using nvinfer1::IDimensionExpr;

class Dimension final : public IDimensionExpr, public refusing::VDimensionExpr {
 public:
  explicit Dimension(int64_t size) : size_(size) { mImpl = this; }
  int64_t size() const { return size_; }
  bool isConstant() const override { return size_ >= 0; }
  int64_t getConstantValue() const override { return size_; }

 private:
  int64_t size_;
};

int64_t size_of(const IDimensionExpr& dimension) { return static_cast<const Dimension&>(dimension).size(); }

class Dimensions final : public nvinfer1::IExprBuilder, public refusing::VExprBuilder {
 public:
  Dimensions() { mImpl = this; }
  const IDimensionExpr* constant(int64_t size) override { return &made_.emplace_back(size); }
  const IDimensionExpr* operation(DimensionOperation op, const IDimensionExpr& first,
                                  const IDimensionExpr& second) override {
    const int64_t a = size_of(first), b = size_of(second);
    if (a < 0 || b < 0) return constant(-1);
    switch (op) {
      case DimensionOperation::kSUM: return constant(a + b);
      case DimensionOperation::kPROD: return constant(a * b);
      case DimensionOperation::kSUB: return constant(a - b);
      case DimensionOperation::kFLOOR_DIV: return constant(a / b);
      case DimensionOperation::kCEIL_DIV: return constant((a + b - 1) / b);
      default: refuse("IExprBuilder::operation of this kind");
    }
  }

 private:
  std::deque<Dimension> made_;
};

}  // namespace

std::vector<Inferred> PluginLayer::infer() const {
  Dimensions dimensions;
  std::vector<nvinfer1::DimsExprs> shapes;
  std::vector<DataType> types;
  for (std::size_t i = 0; i < inputs().size(); i++) {
    const Inferred& x = in(i);
    nvinfer1::DimsExprs shape{};
    shape.nbDims = x.dims.nbDims;
    for (int32_t d = 0; d < x.dims.nbDims; d++) shape.d[d] = dimensions.constant(x.dims.d[d]);
    shapes.push_back(shape);
    types.push_back(x.type);
  }
  const auto number = static_cast<int32_t>(types.size());
  std::vector<Inferred> all;
  for (int32_t i = 0; i < plugin_.getNbOutputs(); i++) {
    const nvinfer1::DimsExprs shape = plugin_.getOutputDimensions(i, shapes.data(), number, dimensions);
    if (shape.nbDims < 1) throw Refusal(std::string("plugin ") + plugin_.getPluginType() + " does not take its inputs");
    Inferred output;
    output.dims.nbDims = shape.nbDims;
    for (int32_t d = 0; d < shape.nbDims; d++) output.dims.d[d] = size_of(*shape.d[d]);
    output.type = plugin_.getOutputDataType(i, types.data(), number);
    all.push_back(output);
  }
  return all;
}

void PluginLayer::check_formats() {
  std::vector<nvinfer1::PluginTensorDesc> all;
  for (std::size_t i = 0; i < inputs().size(); i++) {
    all.push_back({in(i).dims, in(i).type, nvinfer1::TensorFormat::kLINEAR, 0});
  }
  const auto number = static_cast<int32_t>(all.size());
  for (const Inferred& output : inferred()) {
    all.push_back({output.dims, output.type, nvinfer1::TensorFormat::kLINEAR, 0});
  }
  for (std::size_t i = 0; i < all.size(); i++) {
    if (!plugin_.supportsFormatCombination(static_cast<int32_t>(i), all.data(), number,
                                           static_cast<int32_t>(all.size()) - number)) {
      throw Refusal(label() + ": plugin " + plugin_.getPluginType() + " does not take " + enumerator(all[i].type) +
                    " as tensor " + std::to_string(i));
    }
  }
}

}  // namespace standin
