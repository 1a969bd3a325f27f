#include "attributes.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "guard.h"

namespace trtgo {
namespace tensorrt {
namespace {

const char* type_name(int32_t type) {
  static constexpr const char* kNames[] = {"INT8", "INT32", "INT64", "FLOAT32", "TEXT"};
  return type >= 0 && type < 5 ? kNames[type] : "unknown";
}

}  // namespace

void Attributes::invalid(const char* name, const std::string& text) const {
  throw Failure(TRTGO_INVALID, entry_, std::string(what_) + " " + name + " " + text);
}

Attributes::Attributes(const trtgo_field* fields, int32_t num_fields, const char* entry, const char* what)
    : fields_(fields), entry_(entry), what_(what) {
  if (num_fields < 0 || (num_fields > 0 && fields == nullptr)) {
    throw Failure(TRTGO_INVALID, entry, "there are " + std::to_string(num_fields) + " " + what + "s");
  }
  asked_.resize(static_cast<size_t>(num_fields));
  for (int32_t i = 0; i < num_fields; i++) {
    const trtgo_field& field = fields[i];
    if (field.name == nullptr) invalid(std::to_string(i).c_str(), "has no name");
    if (field.length < 0 || (field.length > 0 && field.data == nullptr)) invalid(field.name, "has no values");
    for (int32_t j = 0; j < i; j++) {
      if (std::strcmp(field.name, fields[j].name) == 0) invalid(field.name, "comes twice");
    }
  }
}

bool Attributes::has(const char* name) const {
  return std::any_of(fields_, fields_ + asked_.size(),
                     [name](const trtgo_field& field) { return std::strcmp(field.name, name) == 0; });
}

const trtgo_field& Attributes::get(const char* name, int32_t type) {
  for (size_t i = 0; i < asked_.size(); i++) {
    const trtgo_field& field = fields_[i];
    if (std::strcmp(field.name, name) != 0) continue;
    asked_[i] = true;
    if (field.type != type) {
      invalid(name, std::string("has type ") + type_name(field.type) + ", want " + type_name(type));
    }
    return field;
  }
  invalid(name, "is missing");
}

std::string Attributes::text(const char* name) {
  const trtgo_field& field = get(name, TRTGO_FIELD_TEXT);
  return std::string(static_cast<const char*>(field.data), static_cast<size_t>(field.length));
}

std::vector<int64_t> Attributes::list(const char* name) {
  const trtgo_field& field = get(name, TRTGO_FIELD_INT64);
  std::vector<int64_t> values(static_cast<size_t>(field.length));
  if (!values.empty()) std::memcpy(values.data(), field.data, values.size() * sizeof(int64_t));
  return values;
}

int64_t Attributes::integer(const char* name) {
  const std::vector<int64_t> values = list(name);
  if (values.size() != 1) {
    invalid(name, "has " + std::to_string(values.size()) + " values, want 1");
  }
  return values[0];
}

int32_t Attributes::small(const char* name) {
  const int64_t value = integer(name);
  if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max()) {
    invalid(name, "is " + std::to_string(value) + ", beyond 32 bits");
  }
  return static_cast<int32_t>(value);
}

float Attributes::number(const char* name) {
  const trtgo_field& field = get(name, TRTGO_FIELD_FLOAT32);
  if (field.length != 1) {
    invalid(name, "has " + std::to_string(field.length) + " values, want 1");
  }
  float value = 0;
  std::memcpy(&value, field.data, sizeof(value));
  return value;
}

nvinfer1::Dims Attributes::dims(const char* name) {
  const std::vector<int64_t> values = list(name);
  return make_dims(values.data(), values.size(), name);
}

nvinfer1::Permutation Attributes::permutation(const char* name) {
  const std::vector<int64_t> values = list(name);
  nvinfer1::Permutation permutation{};
  if (values.size() > nvinfer1::Dims::MAX_DIMS) {
    invalid(name, "has " + std::to_string(values.size()) + " values, at most " +
                      std::to_string(nvinfer1::Dims::MAX_DIMS) + " dimensions are possible");
  }
  for (size_t i = 0; i < values.size(); i++) {
    if (values[i] < 0 || values[i] >= static_cast<int64_t>(values.size())) {
      invalid(name, "has " + std::to_string(values[i]) + " among " + std::to_string(values.size()) + " dimensions");
    }
    permutation.order[i] = static_cast<int32_t>(values[i]);
  }
  return permutation;
}

uint32_t Attributes::axes(const char* name) {
  uint32_t bits = 0;
  for (const int64_t axis : list(name)) {
    if (axis < 0 || axis >= nvinfer1::Dims::MAX_DIMS) {
      invalid(name, "has axis " + std::to_string(axis));
    }
    bits |= 1U << static_cast<uint32_t>(axis);
  }
  return bits;
}

void Attributes::finish() const {
  for (size_t i = 0; i < asked_.size(); i++) {
    if (!asked_[i]) throw Failure(TRTGO_INVALID, entry_, std::string("there is no ") + what_ + " " + fields_[i].name);
  }
}

nvinfer1::Dims make_dims(const int64_t* sizes, size_t rank, const char* what) {
  if (rank > nvinfer1::Dims::MAX_DIMS) {
    throw Failure(TRTGO_INVALID, "Dims",
                  std::string(what) + " has " + std::to_string(rank) + " dimensions, at most " +
                      std::to_string(nvinfer1::Dims::MAX_DIMS) + " are possible");
  }
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<int32_t>(rank);
  std::copy(sizes, sizes + rank, dims.d);
  return dims;
}

std::string describe(const nvinfer1::Dims& dims) {
  std::string text = "[";
  for (int32_t i = 0; i < dims.nbDims; i++) text += (i == 0 ? "" : ", ") + std::to_string(dims.d[i]);
  return text + "]";
}

}  // namespace tensorrt
}  // namespace trtgo
