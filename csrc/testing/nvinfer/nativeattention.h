// The layers of attention without plugins, which TensorRT has from 11 on.
#pragma once

#include "layers.h"

#define STANDIN_HAS_ATTENTION (NV_TENSORRT_MAJOR >= 11)

#if STANDIN_HAS_ATTENTION

namespace standin {

class RotaryEmbedding final : public LayerOf<nvinfer1::IRotaryEmbeddingLayer, refusing::VRotaryEmbeddingLayer> {
 public:
  RotaryEmbedding(Tensor& x, Tensor& cos, Tensor& sin, int32_t dim) : LayerOf("rotary", {&x, &cos, &sin}), dim_(dim) {}
  void setInput(int32_t index, ITensor& tensor) STANDIN_NOEXCEPT override { Layer::setInput(index, tensor); }

 private:
  std::vector<Inferred> infer() const override;
  int32_t dim_;
};

class KVCacheUpdate final : public LayerOf<nvinfer1::IKVCacheUpdateLayer, refusing::VKVCacheUpdateLayer> {
 public:
  KVCacheUpdate(Tensor& cache, Tensor& update, Tensor& indices) : LayerOf("kvupdate", {&cache, &update, &indices}) {}

 private:
  std::vector<Inferred> infer() const override;
};

// What computes the output of an Attention.
class AttentionCore final : public Layer {
 public:
  AttentionCore(Tensor& q, Tensor& k, Tensor& v) : Layer("attentioncore", {&q, &k, &v}, 1) {}
  void mask(Tensor& mask) { put(3, &mask); }

 private:
  std::vector<Inferred> infer() const override;
};

// TensorRT's attention is no layer, it stands for several.
class Attention final : public nvinfer1::IAttention, public refusing::VAttention, public Object {
 public:
  Attention(Tensor& q, Tensor& k, Tensor& v) : Object("attention"), core_(q, k, v) { mImpl = this; }
  Layer& core() { return core_; }
  bool setName(char const* name) STANDIN_NOEXCEPT override;
  bool setMetadata(char const* text) STANDIN_NOEXCEPT override;
  bool setMask(ITensor& mask) STANDIN_NOEXCEPT override;
  bool setDecomposable(bool decomposable) STANDIN_NOEXCEPT override;
  int32_t getNbOutputs() const STANDIN_NOEXCEPT override;
  ITensor* getOutput(int32_t index) const STANDIN_NOEXCEPT override;

 private:
  AttentionCore core_;
};

}  // namespace standin

#endif
