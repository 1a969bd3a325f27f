// Plugins of TensorRT-LLM 1.2.1, as far as a network is made with them: which fields their creators list and
// parse, and what types and dimensions they take and give. They compute nothing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "record.h"
#include "refusals.h"

namespace standin {

using nvinfer1::DataType;
using nvinfer1::PluginFieldType;

// Whether a creator tells about a field in getFieldNames(), and whether it parses it. Upstream's lists and
// parsers do not quite agree.
enum class Known { kBoth, kListed, kParsed, kOptional };

struct Field {
  const char* name;
  PluginFieldType type;
  Known known = Known::kBoth;
  bool list = false;  // of any length, otherwise one value
};

// The values of a plugin's fields.
using Values = std::map<std::string, std::vector<double>>;
inline double value(const Values& values, const char* name) { return values.at(name).at(0); }
inline DataType type_of(const Values& values) {
  return static_cast<DataType>(static_cast<int32_t>(value(values, "type_id")));
}

using Shape = nvinfer1::DimsExprs;
using Shapes = nvinfer1::IExprBuilder;

// A plugin of one output.
struct Definition {
  const char* name;
  std::vector<Field> fields;
  // The types of the inputs and, at the end, of the output.
  std::vector<DataType> (*types)(const Values& values);
  // The output's shape; nbDims is 0 where the inputs do not fit.
  Shape (*shape)(const Values& values, const Shape* inputs, Shapes& builder);
};

// All of them. Those below are each defined in a file of its own.
std::vector<const Definition*> definitions();
extern const Definition kGPTAttention;

}  // namespace standin
