#include "nativeattention.h"

#include "inference.h"
#include "network.h"

#if STANDIN_HAS_ATTENTION

namespace standin {

std::vector<Inferred> RotaryEmbedding::infer() const {
  const Inferred &x = in(0), &cos = in(1), &sin = in(2);
  check(x.dims.nbDims == 4 && floating(x.type) && cos.type == x.type && sin.type == x.type,
        "turns " + text(x) + " by " + text(cos) + " and " + text(sin));
  const int64_t half = (dim_ == 0 ? x.dims.d[3] : dim_) / 2;
  const int32_t rank = has(3) ? 2 : 3;
  for (const Inferred& table : {cos, sin}) {
    check(table.dims.nbDims == rank && table.dims.d[rank - 1] == half, "turns " + text(x) + " by " + text(table));
  }
  check(!has(3) || (integer(in(3).type) && in(3).dims.nbDims == 2), "turns by positions that are not [B, S]");
  return one(x.type, x.dims);
}

std::vector<Inferred> KVCacheUpdate::infer() const {
  const Inferred &cache = in(0), &update = in(1), &indices = in(2);
  check(inputs()[0]->is_input(), "the cache is no input of the network");
  bool fits = cache.dims.nbDims == 4 && update.dims.nbDims == 4 && cache.type == update.type && floating(cache.type) &&
              cache.dims.d[2] > 0;
  for (const int d : {0, 1, 3}) fits = fits && agree(cache.dims.d[d], update.dims.d[d]);
  check(fits, "writes " + text(update) + " into " + text(cache));
  check(indices.type == DataType::kINT32 && indices.dims.nbDims == 1, "writes at " + text(indices));
  return one(cache.type, cache.dims);
}

std::vector<Inferred> AttentionCore::infer() const {
  const Inferred &q = in(0), &k = in(1), &v = in(2);
  bool fits = q.dims.nbDims == 4 && k.dims.nbDims == 4 && v.dims.nbDims == 4 && q.type == k.type && q.type == v.type &&
              floating(q.type) && k.dims.d[1] > 0 && q.dims.d[1] % k.dims.d[1] == 0 && q.dims.d[3] == k.dims.d[3];
  for (int d = 0; fits && d < 4; d++) fits = agree(k.dims.d[d], v.dims.d[d]);
  check(fits, "attends from " + text(q) + " to " + text(k) + " and " + text(v));
  if (has(3)) {
    const Inferred& mask = in(3);
    check((mask.type == DataType::kBOOL || mask.type == q.type) && mask.dims.nbDims == 4,
          "masks " + text(q) + " with " + text(mask));
  }
  return one(q.type, q.dims);
}

bool Attention::setName(char const* name) STANDIN_NOEXCEPT {
  Call call("IAttention::setName", this);
  call.argument("name", json(name));
  return !call.fails(Answer::kBool);
}

bool Attention::setMetadata(char const* text) STANDIN_NOEXCEPT {
  Call call("IAttention::setMetadata", this);
  call.argument("text", json(text));
  return !call.fails(Answer::kBool);
}

bool Attention::setMask(ITensor& mask) STANDIN_NOEXCEPT {
  Call call("IAttention::setMask", this);
  call.argument("mask", json(&mask));
  if (call.fails(Answer::kBool)) return false;
  core_.mask(own(mask));
  return true;
}

bool Attention::setDecomposable(bool decomposable) STANDIN_NOEXCEPT {
  Call call("IAttention::setDecomposable", this);
  call.argument("decomposable", json(decomposable));
  return !call.fails(Answer::kBool);
}

int32_t Attention::getNbOutputs() const STANDIN_NOEXCEPT {
  Call call("IAttention::getNbOutputs", this);
  return call.fails(Answer::kCount) ? 0 : 1;
}

ITensor* Attention::getOutput(int32_t index) const STANDIN_NOEXCEPT {
  Call call("IAttention::getOutput", this);
  call.argument("index", json(index));
  if (call.fails(Answer::kObject) || index != 0) return nullptr;
  call.result(object_json(core_.output(0)));
  return core_.output(0);
}

nvinfer1::IRotaryEmbeddingLayer* Network::addRotaryEmbedding(ITensor& x, ITensor& cos, ITensor& sin, bool interleaved,
                                                             int32_t dim) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addRotaryEmbedding", this);
  call.argument("input", json(&x)).argument("cos", json(&cos)).argument("sin", json(&sin));
  call.argument("interleaved", json(interleaved)).argument("dim", json(dim));
  return add<RotaryEmbedding>(call, own(x), own(cos), own(sin), dim);
}

nvinfer1::IKVCacheUpdateLayer* Network::addKVCacheUpdate(ITensor& cache, ITensor& update, ITensor& indices,
                                                         nvinfer1::KVCacheMode mode) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addKVCacheUpdate", this);
  call.argument("cache", json(&cache)).argument("update", json(&update)).argument("indices", json(&indices));
  call.argument("mode", json(mode));
  return add<KVCacheUpdate>(call, own(cache), own(update), own(indices));
}

nvinfer1::IAttention* Network::addAttentionV2(ITensor& q, ITensor& k, ITensor& v, nvinfer1::AttentionNormalizationOp op,
                                              nvinfer1::CausalMaskKind kind) STANDIN_NOEXCEPT {
  Call call("INetworkDefinition::addAttentionV2", this);
  call.argument("query", json(&q)).argument("key", json(&k)).argument("value", json(&v));
  call.argument("op", json(op)).argument("kind", json(kind));
  if (call.fails(Answer::kObject)) return nullptr;
  attentions_.push_back(std::make_unique<Attention>(own(q), own(k), own(v)));
  call.result(object_json(attentions_.back().get()));
  return attentions_.back().get();
}

}  // namespace standin

#endif
