#include "layers.h"

#include <algorithm>
#include <cstring>

namespace standin {

Constant::Constant(const Dims& dims, const nvinfer1::Weights& weights)
    : LayerOf("constant", {}), dims_(dims), weights_(weights) {
  // Shapes are computed with small constants of integers.
  if (weights.count > 64 || weights.values == nullptr) return;
  const auto count = static_cast<std::size_t>(weights.count);
  if (weights.type == DataType::kINT64) {
    values_.emplace(count);
    if (count > 0) std::memcpy(values_->data(), weights.values, count * sizeof(int64_t));
  } else if (weights.type == DataType::kINT32) {
    std::vector<int32_t> narrow(count);
    if (count > 0) std::memcpy(narrow.data(), weights.values, count * sizeof(int32_t));
    values_.emplace(narrow.begin(), narrow.end());
  }
}

namespace {

std::string order_json(const nvinfer1::Permutation& order, int32_t rank) {
  std::string list = "[";
  for (int32_t i = 0; i < rank; i++) list += (i > 0 ? "," : "") + std::to_string(order.order[i]);
  return list + "]";
}

// The rank of a tensor, 0 where it has none because a layer before is wrong.
int32_t rank_of(const Tensor* tensor) {
  try {
    return tensor->inferred().dims.nbDims;
  } catch (const Refusal&) {
    return 0;
  }
}

}  // namespace

void Shuffle::setFirstTranspose(const Permutation& order) STANDIN_NOEXCEPT {
  Call call("IShuffleLayer::setFirstTranspose", this);
  call.argument("order", order_json(order, rank_of(inputs()[0])));
  if (call.fails(Answer::kNothing)) return;
  first_ = order;
  changed();
}

void Shuffle::setReshapeDimensions(const Dims& dims) STANDIN_NOEXCEPT {
  Call call("IShuffleLayer::setReshapeDimensions", this);
  call.argument("dims", json(dims));
  if (call.fails(Answer::kNothing)) return;
  reshape_ = dims;
  changed();
}

void Shuffle::setSecondTranspose(const Permutation& order) STANDIN_NOEXCEPT {
  Call call("IShuffleLayer::setSecondTranspose", this);
  call.argument("order", order_json(order, reshape_ ? reshape_->nbDims : rank_of(inputs()[0])));
  if (call.fails(Answer::kNothing)) return;
  second_ = order;
  changed();
}

}  // namespace standin
