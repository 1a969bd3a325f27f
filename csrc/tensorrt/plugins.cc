// Layers of plugin libraries.
#include "layer.h"

namespace trtgo {
namespace tensorrt {

#if TRTGO_HAS_PLUGINS

namespace {

nvinfer1::PluginFieldType plugin_type(const trtgo_field& field) {
  using nvinfer1::PluginFieldType;
  switch (field.type) {
    case TRTGO_FIELD_INT8: return PluginFieldType::kINT8;
    case TRTGO_FIELD_INT32: return PluginFieldType::kINT32;
    case TRTGO_FIELD_INT64: return PluginFieldType::kINT64;
    case TRTGO_FIELD_FLOAT32: return PluginFieldType::kFLOAT32;
    case TRTGO_FIELD_TEXT: return PluginFieldType::kCHAR;
  }
  throw Failure(TRTGO_INVALID, "createPlugin",
                std::string("field ") + field.name + " has no type with number " + std::to_string(field.type));
}

struct PluginDestroyer {
  void operator()(nvinfer1::IPluginV2* plugin) const { plugin->destroy(); }
};

}  // namespace

void add_plugin(Layer& l) {
  const trtgo_layer& d = l.description();
  need(d.creator, "createPlugin", "the plugin's creator");
  need(d.version, "createPlugin", "the plugin's version");
  need(d.plugin_namespace, "createPlugin", "the plugin's namespace");
  l.attributes().take_all();  // which there have to be is the creator's affair
  std::vector<nvinfer1::PluginField> fields;
  for (int32_t i = 0; i < d.num_fields; i++) {
    const trtgo_field& field = d.fields[i];
    fields.emplace_back(field.name, field.data, plugin_type(field), field.length);
  }
  const nvinfer1::PluginFieldCollection collection{d.num_fields, fields.data()};
  std::vector<nvinfer1::ITensor*> inputs;
  for (int32_t i = 0; i < l.num_inputs(); i++) inputs.push_back(&l.input(i));

  nvinfer1::IPluginCreator& creator = l.network().library().creator(d.creator, d.version, d.plugin_namespace);
  // The network makes a copy; this one goes in any case.
  const std::unique_ptr<nvinfer1::IPluginV2, PluginDestroyer> plugin(creator.createPlugin(d.name, &collection));
  if (plugin == nullptr) {
    throw Failure(TRTGO_INVALID, "createPlugin",
                  std::string("the creator of ") + d.creator + " made no plugin of its fields");
  }
  l.finish(l.added("addPluginV2", l.definition().addPluginV2(inputs.data(), l.num_inputs(), *plugin)));
}

#else

void add_plugin(Layer& l) {
  need(l.description().creator, "addPluginV2", "the plugin's creator");
  throw Failure(TRTGO_INVALID, "addPluginV2",
                std::string(TRTGO_PRODUCT " takes no plugin layers: it cannot have ") + l.description().creator);
}

#endif

}  // namespace tensorrt
}  // namespace trtgo
