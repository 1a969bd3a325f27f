// The other plugins, and the library's creators.
#include "plugin.h"

#include <cstring>
#include <iostream>
#include <memory>

#include "registry.h"

namespace standin {

namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginTensorDesc;
using Types = std::vector<DataType>;

constexpr PluginFieldType kI32 = PluginFieldType::kINT32;
constexpr PluginFieldType kI8 = PluginFieldType::kINT8;
constexpr PluginFieldType kF32 = PluginFieldType::kFLOAT32;

// One input of the plugin's type, and an output like it.
Types same_type(const Values& v) { return {type_of(v), type_of(v)}; }
Shape same_shape(const Values&, const Shape* inputs, Shapes&) { return inputs[0]; }

Types gemm_types(const Values& v) {
  const DataType in = value(v, "use_fp8") != 0 ? DataType::kFP8 : type_of(v);
  return {in, in, type_of(v)};
}

Shape gemm_shape(const Values& v, const Shape* inputs, Shapes&) {
  const Shape &x = inputs[0], &w = inputs[1];
  if (x.nbDims < 2 || w.nbDims != 2 || value(v, "transa") != 0) return {};
  const int transposed = value(v, "transb") != 0 ? 1 : 0;
  const auto *inner = x.d[x.nbDims - 1], *columns = w.d[transposed];
  if (inner->isConstant() && columns->isConstant() && inner->getConstantValue() != columns->getConstantValue())
    return {};
  Shape output = x;
  output.d[x.nbDims - 1] = w.d[1 - transposed];
  return output;
}

Types reduce_types(const Values& v) {
  // Other strategies than NCCL take a workspace.
  if (value(v, "strategy") != 0) return {type_of(v), DataType::kINT64, type_of(v)};
  return same_type(v);
}

Shape gathered_shape(const Values& v, const Shape* inputs, Shapes& builder) {
  Shape output = inputs[0];
  const auto ranks = static_cast<int64_t>(v.at("group").size());
  output.d[0] = builder.operation(nvinfer1::DimensionOperation::kPROD, *output.d[0], *builder.constant(ranks));
  return output;
}

Types mixed_types(const Values& v) { return {type_of(v), DataType::kINT8, type_of(v), type_of(v)}; }

// Two INT4 weights are one element of INT8.
Shape mixed_shape(const Values& v, const Shape* inputs, Shapes& builder) {
  Shape output = inputs[0];
  const auto* columns = inputs[1].nbDims == 2 ? inputs[1].d[1] : nullptr;
  if (columns == nullptr || !columns->isConstant()) return {};
  const int64_t packed = value(v, "weight_type_id") == 2 ? 2 : 1;
  output.d[output.nbDims - 1] = builder.constant(columns->getConstantValue() * packed);
  return output;
}

const Definition kGemm = {"Gemm",
                          {
                              {"transA", kI32, Known::kListed},
                              {"transB", kI32, Known::kListed},
                              {"padLda", kI32, Known::kListed},
                              {"padLdb", kI32, Known::kListed},
                              {"padLdc", kI32, Known::kListed},
                              {"type_id", kI32},
                              {"use_fp8", kI32},
                              {"transa", kI32, Known::kParsed},
                              {"transb", kI32, Known::kParsed},
                              {"pad_lda", kI32, Known::kParsed},
                              {"pad_ldb", kI32, Known::kParsed},
                              {"pad_ldc", kI32, Known::kParsed},
                              {"alpha", kF32, Known::kParsed},
                          },
                          gemm_types,
                          gemm_shape};

const Definition kAllReduce = {"AllReduce",
                               {
                                   {"group", kI32, Known::kBoth, true},
                                   {"type_id", kI32},
                                   {"strategy", kI8},
                                   {"config", kI8, Known::kOptional},
                                   {"fusion_op", kI8},
                                   {"counter", kI32, Known::kOptional},
                                   {"eps", kF32},
                                   {"affine", kI8},
                                   {"bias", kI8},
                                   {"scale", kI8},
                               },
                               reduce_types,
                               same_shape};

const Definition kAllGather = {
    "AllGather", {{"group", kI32, Known::kBoth, true}, {"type_id", kI32}}, same_type, gathered_shape};
const Definition kSend = {"Send", {{"tgt_rank", kI32}, {"type_id", kI32}}, same_type, same_shape};
const Definition kRecv = {"Recv", {{"src_rank", kI32}, {"type_id", kI32}}, same_type, same_shape};
const Definition kWeightOnly = {
    "WeightOnlyQuantMatmul", {{"type_id", kI32}, {"weight_type_id", kI32}}, mixed_types, mixed_shape};

class Plugin final : public nvinfer1::IPluginV2DynamicExt, public Object {
 public:
  Plugin(const Definition& definition, Values values, std::string space)
      : Object("plugin", true), definition_(definition), values_(std::move(values)), space_(std::move(space)) {}

  const char* getPluginType() const STANDIN_NOEXCEPT override { return definition_.name; }
  const char* getPluginVersion() const STANDIN_NOEXCEPT override { return "1"; }
  int32_t getNbOutputs() const STANDIN_NOEXCEPT override { return 1; }
  void destroy() STANDIN_NOEXCEPT override { delete this; }
  nvinfer1::IPluginV2DynamicExt* clone() const STANDIN_NOEXCEPT override {
    return new Plugin(definition_, values_, space_);
  }
  void setPluginNamespace(const char* space) STANDIN_NOEXCEPT override { space_ = space; }
  const char* getPluginNamespace() const STANDIN_NOEXCEPT override { return space_.c_str(); }

  Shape getOutputDimensions(int32_t, const Shape* inputs, int32_t number, Shapes& builder) STANDIN_NOEXCEPT override {
    if (static_cast<std::size_t>(number) + 1 != definition_.types(values_).size()) return {};
    return definition_.shape(values_, inputs, builder);
  }
  DataType getOutputDataType(int32_t, const DataType*, int32_t) const STANDIN_NOEXCEPT override {
    return definition_.types(values_).back();
  }
  bool supportsFormatCombination(int32_t position, const PluginTensorDesc* all, int32_t,
                                 int32_t) STANDIN_NOEXCEPT override {
    const Types types = definition_.types(values_);
    const auto at = static_cast<std::size_t>(position);
    return at < types.size() && all[at].type == types[at];
  }

  // Nothing is built or run with it.
  int32_t initialize() STANDIN_NOEXCEPT override { refuse("IPluginV2::initialize"); }
  void terminate() STANDIN_NOEXCEPT override { refuse("IPluginV2::terminate"); }
  std::size_t getSerializationSize() const STANDIN_NOEXCEPT override { refuse("IPluginV2::getSerializationSize"); }
  void serialize(void*) const STANDIN_NOEXCEPT override { refuse("IPluginV2::serialize"); }
  using Desc = nvinfer1::DynamicPluginTensorDesc;
  void configurePlugin(const Desc*, int32_t, const Desc*, int32_t) STANDIN_NOEXCEPT override {
    refuse("IPluginV2DynamicExt::configurePlugin");
  }
  std::size_t getWorkspaceSize(const PluginTensorDesc*, int32_t, const PluginTensorDesc*,
                               int32_t) const STANDIN_NOEXCEPT override {
    refuse("IPluginV2DynamicExt::getWorkspaceSize");
  }
  int32_t enqueue(const PluginTensorDesc*, const PluginTensorDesc*, const void* const*, void* const*, void*,
                  cudaStream_t) STANDIN_NOEXCEPT override {
    refuse("IPluginV2DynamicExt::enqueue");
  }

 private:
  const Definition& definition_;
  const Values values_;
  std::string space_;
};

// The values of a field, or nothing where its type has none.
std::vector<double> values_of(const PluginField& field) {
  std::vector<double> values;
  for (int32_t i = 0; i < field.length; i++) {
    switch (field.type) {
      case PluginFieldType::kINT8: values.push_back(static_cast<const int8_t*>(field.data)[i]); break;
      case PluginFieldType::kINT32: values.push_back(static_cast<const int32_t*>(field.data)[i]); break;
      case PluginFieldType::kFLOAT32:
        values.push_back(static_cast<double>(static_cast<const float*>(field.data)[i]));
        break;
      default: return {};
    }
  }
  return values;
}

std::string field_json(const PluginField& field) {
  std::string text = "{\"name\":" + json(field.name) + ",\"type\":" + quoted(enumerator(field.type));
  text += ",\"length\":" + json(field.length) + ",\"values\":[";
  const std::vector<double> values = values_of(field);
  for (std::size_t i = 0; i < values.size(); i++) text += (i > 0 ? "," : "") + json(static_cast<float>(values[i]));
  return text + "]}";
}

class Creator final : public nvinfer1::IPluginCreator {
 public:
  explicit Creator(const Definition& definition) : definition_(definition) {}

  const char* getPluginName() const STANDIN_NOEXCEPT override { return definition_.name; }
  const char* getPluginVersion() const STANDIN_NOEXCEPT override { return "1"; }
  void setPluginNamespace(const char* space) STANDIN_NOEXCEPT override { space_ = space; }
  const char* getPluginNamespace() const STANDIN_NOEXCEPT override { return space_.c_str(); }

  const PluginFieldCollection* getFieldNames() STANDIN_NOEXCEPT override {
    Call call("IPluginCreator::getFieldNames", nullptr);
    call.argument("creator", quoted(definition_.name));
    if (call.fails(Answer::kObject, Source::kNobody)) return nullptr;
    listed_.clear();
    for (const Field& field : fields()) {
      if (field.known != Known::kParsed) listed_.emplace_back(field.name, nullptr, field.type, field.list ? 0 : 1);
    }
    collection_ = {static_cast<int32_t>(listed_.size()), listed_.data()};
    call.result(json(collection_.nbFields));
    return &collection_;
  }

  nvinfer1::IPluginV2* createPlugin(const char* name, const PluginFieldCollection* given) STANDIN_NOEXCEPT override {
    Call call("IPluginCreator::createPlugin", nullptr);
    call.argument("creator", quoted(definition_.name)).argument("name", json(name));
    std::string list = "[";
    for (int32_t i = 0; i < given->nbFields; i++) list += (i > 0 ? "," : "") + field_json(given->fields[i]);
    call.argument("fields", list + "]");
    if (call.fails(Answer::kObject, Source::kPlugins)) return nullptr;
    Values values;
    if (!parse(*given, &values)) return nullptr;
    auto* plugin = new Plugin(definition_, std::move(values), space_);
    call.result(quoted(plugin->name()));
    return plugin;
  }

  nvinfer1::IPluginV2* deserializePlugin(const char*, const void*, std::size_t) STANDIN_NOEXCEPT override {
    refuse("IPluginCreator::deserializePlugin");
  }

 private:
  // The fields with the faults that were asked for.
  std::vector<Field> fields() {
    std::vector<Field> all;
    const std::string prefix = std::string(definition_.name) + ".";
    for (const Field& field : definition_.fields) {
      if (!has_scenario("without", prefix + field.name)) all.push_back(field);
    }
    const std::string with = scenario("with");
    if (with.rfind(prefix, 0) == 0) {
      extra_ = with.substr(prefix.size());
      all.push_back({extra_.c_str(), kI32});
    }
    return all;
  }

  // Upstream's parser takes fields by name, insists on the type and on one value, and wants all.
  bool parse(const PluginFieldCollection& given, Values* values) {
    const std::vector<Field> known = fields();
    for (const Field& field : known) {
      if (field.known == Known::kListed) continue;
      const PluginField* found = nullptr;
      for (int32_t i = 0; i < given.nbFields; i++) {
        if (std::strcmp(given.fields[i].name, field.name) == 0) found = &given.fields[i];
      }
      const std::string full = std::string(definition_.name) + "'s field " + field.name;
      if (found == nullptr && field.known == Known::kOptional) continue;
      if (found == nullptr) return fail(full + " is missing");
      if (found->type != field.type)
        return fail(full + " is " + enumerator(found->type) + ", not " + enumerator(field.type));
      if (!field.list && found->length != 1) return fail(full + " has " + json(found->length) + " values");
      (*values)[field.name] = values_of(*found);
    }
    return true;
  }

  static bool fail(const std::string& text) {
    log_error(text, Source::kPlugins);
    return false;
  }

  const Definition& definition_;
  std::string space_;
  std::string extra_;
  std::vector<PluginField> listed_;
  PluginFieldCollection collection_{};
};

}  // namespace

std::vector<const Definition*> definitions() {
  return {&kGPTAttention, &kGemm, &kAllReduce, &kAllGather, &kSend, &kRecv, &kWeightOnly};
}

}  // namespace standin

// Registers the creators, once a process, as upstream's does.
extern "C" STANDIN_API bool initTrtLlmPlugins(void* logger, const char* space) {
  standin::set_logger(standin::Source::kPlugins, logger);
  if (standin::has_scenario("plugins", "print")) {
    std::cout << "[TensorRT-LLM][INFO] the stand-in registers its plugins" << std::endl;
  }
  standin::Call call("initTrtLlmPlugins", nullptr);
  call.argument("namespace", standin::json(space));
  if (call.fails(standin::Answer::kBool, standin::Source::kPlugins, true)) return false;
  if (standin::has_scenario("plugins", "refuse")) {
    standin::log_error("the stand-in was told to refuse its plugins", standin::Source::kPlugins);
    return false;
  }
  static std::vector<std::unique_ptr<standin::Creator>>& creators = *new std::vector<std::unique_ptr<standin::Creator>>;
  if (creators.empty()) {
    for (const standin::Definition* definition : standin::definitions()) {
      creators.push_back(std::make_unique<standin::Creator>(*definition));
      creators.back()->setPluginNamespace(space);
      standin::registry().registerCreator(*creators.back(), space);
    }
  }
  return true;
}
