// The kinds of layers, in a table at the end.
#include <limits>

#include "enumerators.h"
#include "layer.h"

namespace trtgo {
namespace tensorrt {
namespace {

nvinfer1::DataType data_type(Layer& l, const char* attribute) {
  return enumerator<nvinfer1::DataType>(l.attributes().text(attribute));
}

void add_constant(Layer& l) {
  l.want_inputs(0, 0);
  const nvinfer1::DataType type = data_type(l, "type");
  const nvinfer1::Dims dims = l.attributes().dims("dims");
  int64_t count = 1;
  for (int32_t i = 0; i < dims.nbDims; i++) {
    // Room is left for the width of an element.
    if (dims.d[i] < 0 || (dims.d[i] > 0 && count > std::numeric_limits<int64_t>::max() / 128 / dims.d[i])) {
      throw Failure(TRTGO_INVALID, "addConstant", "a constant cannot have dimensions " + describe(dims));
    }
    count *= dims.d[i];
  }
  const int64_t bytes = (count * bits_of(type) + 7) / 8;
  if (l.description().weights_bytes != bytes) {
    throw Failure(TRTGO_INVALID, "addConstant",
                  "the weights have " + std::to_string(l.description().weights_bytes) + " bytes, " + name_of(type) +
                      describe(dims) + " has " + std::to_string(bytes));
  }
  if (bytes > 0 && l.description().weights == nullptr) {
    throw Failure(TRTGO_INVALID, "addConstant", "the weights are null");
  }
  const nvinfer1::Weights weights{type, l.description().weights, count};
  auto& layer = l.added("addConstant", l.definition().addConstant(dims, weights));
  if (const char* name = l.description().weights_name) {
    l.require(l.definition().setWeightsName(weights, name), "setWeightsName");
    l.network().add_weights_name(name);
  }
  l.finish(layer);
}

void add_cast(Layer& l) {
  l.want_inputs(1, 1);
  l.finish(l.added("addCast", l.definition().addCast(l.input(0), data_type(l, "to_type"))));
}

void add_elementwise(Layer& l) {
  l.want_inputs(2, 2);
  const auto operation = enumerator<nvinfer1::ElementWiseOperation>(l.attributes().text("operation"));
  l.finish(l.added("addElementWise", l.definition().addElementWise(l.input(0), l.input(1), operation)));
}

void add_unary(Layer& l) {
  l.want_inputs(1, 1);
  const auto operation = enumerator<nvinfer1::UnaryOperation>(l.attributes().text("operation"));
  l.finish(l.added("addUnary", l.definition().addUnary(l.input(0), operation)));
}

void add_activation(Layer& l) {
  l.want_inputs(1, 1);
  const auto type = enumerator<nvinfer1::ActivationType>(l.attributes().text("type"));
  l.finish(l.added("addActivation", l.definition().addActivation(l.input(0), type)));
}

void add_matrix_multiply(Layer& l) {
  l.want_inputs(2, 2);
  const auto op0 = enumerator<nvinfer1::MatrixOperation>(l.attributes().text("op0"));
  const auto op1 = enumerator<nvinfer1::MatrixOperation>(l.attributes().text("op1"));
  l.finish(l.added("addMatrixMultiply", l.definition().addMatrixMultiply(l.input(0), op0, l.input(1), op1)));
}

void add_gather(Layer& l) {
  l.want_inputs(2, 2);
  l.finish(l.added("addGather", l.definition().addGather(l.input(0), l.input(1), l.attributes().small("axis"))));
}

void add_concatenation(Layer& l) {
  l.want_inputs(1, std::numeric_limits<int32_t>::max());
  std::vector<nvinfer1::ITensor*> inputs;
  for (int32_t i = 0; i < l.num_inputs(); i++) inputs.push_back(&l.input(i));
  auto& layer = l.added("addConcatenation", l.definition().addConcatenation(inputs.data(), l.num_inputs()));
  layer.setAxis(l.attributes().small("axis"));
  l.finish(layer);
}

void add_shuffle(Layer& l) {
  l.want_inputs(1, 2);
  auto& layer = l.added("addShuffle", l.definition().addShuffle(l.input(0)));
  layer.setZeroIsPlaceholder(false);
  if (l.attributes().has("first_transpose")) {
    layer.setFirstTranspose(l.attributes().permutation("first_transpose"));
  }
  if (l.attributes().has("reshape")) layer.setReshapeDimensions(l.attributes().dims("reshape"));
  if (nvinfer1::ITensor* shape = l.optional(1)) layer.setInput(1, *shape);
  if (l.attributes().has("second_transpose")) {
    layer.setSecondTranspose(l.attributes().permutation("second_transpose"));
  }
  l.finish(layer);
}

void add_slice(Layer& l) {
  l.want_inputs(1, 4);
  Attributes& a = l.attributes();
  auto& layer =
      l.added("addSlice", l.definition().addSlice(l.input(0), a.dims("start"), a.dims("size"), a.dims("stride")));
  layer.setMode(enumerator<nvinfer1::SampleMode>(a.text("mode")));
  for (int32_t i = 1; i < 4; i++) {
    if (nvinfer1::ITensor* tensor = l.optional(i)) layer.setInput(i, *tensor);
  }
  l.finish(layer);
}

void add_reduce(Layer& l) {
  l.want_inputs(1, 1);
  const auto operation = enumerator<nvinfer1::ReduceOperation>(l.attributes().text("operation"));
  l.finish(l.added("addReduce", l.definition().addReduce(l.input(0), operation, l.attributes().axes("axes"), true)));
}

void add_normalization(Layer& l) {
  l.want_inputs(3, 3);
  // Not V2, which 10.14 has not: they differ in the shapes of scale and bias.
  auto& layer = l.added("addNormalization", l.definition().addNormalization(l.input(0), l.input(1), l.input(2),
                                                                            l.attributes().axes("axes")));
  layer.setEpsilon(l.attributes().number("epsilon"));
  l.finish(layer);
}

void add_select(Layer& l) {
  l.want_inputs(3, 3);
  l.finish(l.added("addSelect", l.definition().addSelect(l.input(0), l.input(1), l.input(2))));
}

template <class Added>
void finish_scaled(Layer& l, Added& layer) {
  const int32_t axis = l.attributes().small("axis");
  if (axis >= 0) layer.setAxis(axis);
  l.finish(layer);
}

void add_quantize(Layer& l) {
  l.want_inputs(2, 2);
  finish_scaled(l, l.added("addQuantize", l.definition().addQuantize(l.input(0), l.input(1), data_type(l, "to_type"))));
}

void add_dequantize(Layer& l) {
  l.want_inputs(2, 2);
  finish_scaled(
      l, l.added("addDequantize", l.definition().addDequantize(l.input(0), l.input(1), data_type(l, "to_type"))));
}

void add_shape(Layer& l) {
  l.want_inputs(1, 1);
  l.finish(l.added("addShape", l.definition().addShape(l.input(0))));
}

void add_fill(Layer& l) {
  l.want_inputs(3, 3);
  const int64_t rank = l.attributes().integer("rank");
  if (rank < 0 || rank > nvinfer1::Dims::MAX_DIMS) {
    throw Failure(TRTGO_INVALID, "addFill", "attribute rank is " + std::to_string(rank));
  }
  nvinfer1::Dims dims{};  // input 0 says them
  dims.nbDims = static_cast<int32_t>(rank);
  auto& layer =
      l.added("addFill", l.definition().addFill(dims, nvinfer1::FillOperation::kLINSPACE, data_type(l, "type")));
  for (int32_t i = 0; i < 3; i++) layer.setInput(i, l.input(i));
  l.finish(layer);
}

#if TRTGO_HAS_CACHE_LAYERS
void add_rotary_embedding(Layer& l) {
  l.want_inputs(3, 4);
  const bool interleaved = l.attributes().integer("interleaved") != 0;
  const int32_t dim = l.attributes().small("dim");
  auto& layer = l.added("addRotaryEmbedding",
                        l.definition().addRotaryEmbedding(l.input(0), l.input(1), l.input(2), interleaved, dim));
  if (nvinfer1::ITensor* positions = l.optional(3)) layer.setInput(3, *positions);
  l.finish(layer);
}

void add_kv_cache_update(Layer& l) {
  l.want_inputs(3, 3);
  l.finish(l.added("addKVCacheUpdate", l.definition().addKVCacheUpdate(l.input(0), l.input(1), l.input(2),
                                                                       nvinfer1::KVCacheMode::kLINEAR)));
}
#endif

#if TRTGO_HAS_ATTENTION
void add_attention(Layer& l) {
  l.want_inputs(3, 4);
  auto& layer = l.added("addAttentionV2", l.definition().addAttentionV2(l.input(0), l.input(1), l.input(2),
                                                                        nvinfer1::AttentionNormalizationOp::kSOFTMAX,
                                                                        nvinfer1::CausalMaskKind::kNONE));
  l.require(layer.setDecomposable(l.attributes().integer("decomposable") != 0), "setDecomposable");
  if (nvinfer1::ITensor* mask = l.optional(3)) l.require(layer.setMask(*mask), "setMask");
  l.finish(layer);
}
#endif

struct Kind {
  const char* name;
  void (*add)(Layer& layer);
};

constexpr Kind kKinds[] = {
    {"Constant", add_constant},
    {"Cast", add_cast},
    {"ElementWise", add_elementwise},
    {"Unary", add_unary},
    {"Activation", add_activation},
    {"MatrixMultiply", add_matrix_multiply},
    {"Gather", add_gather},
    {"Concatenation", add_concatenation},
    {"Shuffle", add_shuffle},
    {"Slice", add_slice},
    {"Reduce", add_reduce},
    {"Normalization", add_normalization},
    {"Select", add_select},
    {"Quantize", add_quantize},
    {"Dequantize", add_dequantize},
    {"Shape", add_shape},
    {"Fill", add_fill},
#if TRTGO_HAS_CACHE_LAYERS
    {"RotaryEmbedding", add_rotary_embedding},
    {"KVCacheUpdate", add_kv_cache_update},
#endif
#if TRTGO_HAS_ATTENTION
    {"Attention", add_attention},
#endif
    {"Plugin", add_plugin},
};

}  // namespace

void Layer::want_inputs(int32_t least, int32_t most) const {
  if (layer_.num_inputs >= least && layer_.num_inputs <= most) return;
  throw Failure(TRTGO_INVALID, "trtgo_network_add_layer",
                "it has " + std::to_string(layer_.num_inputs) + " inputs, want " + std::to_string(least) +
                    (least == most ? "" : " to " + std::to_string(most)));
}

nvinfer1::ITensor& Layer::input(int32_t i) const {
  nvinfer1::ITensor* tensor = optional(i);
  if (tensor == nullptr) {
    throw Failure(TRTGO_INVALID, "trtgo_network_add_layer", "input " + std::to_string(i) + " is missing");
  }
  return *tensor;
}

nvinfer1::ITensor* Layer::optional(int32_t i) const {
  if (i >= layer_.num_inputs || layer_.inputs[i] == -1) return nullptr;
  return &network_.tensor(layer_.inputs[i]);
}

void add(Layer& layer) {
  const std::string kind = layer.description().kind;
  for (const Kind& k : kKinds) {
    if (kind == k.name) return k.add(layer);
  }
  throw Failure(
      TRTGO_INVALID, "trtgo_network_add_layer",
      TRTGO_PRODUCT " " TRTGO_TEXT(NV_TENSORRT_MAJOR) "." TRTGO_TEXT(NV_TENSORRT_MINOR) " has no layer " + kind);
}

}  // namespace tensorrt
}  // namespace trtgo
