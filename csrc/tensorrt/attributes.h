// Attributes: the fields of a layer, or settings, by name and type.
#ifndef TRTGO_TENSORRT_ATTRIBUTES_H_
#define TRTGO_TENSORRT_ATTRIBUTES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "../native/trtgo.h"
#include "versions.h"

namespace trtgo {
namespace tensorrt {

// The functions throw Failure with TRTGO_INVALID where an attribute is missing, has another type or length, or was
// given but not asked for.
class Attributes {
 public:
  // Keeps fields. Errors are of the function entry, and call a field what.
  Attributes(const trtgo_field* fields, int32_t num_fields, const char* entry = "trtgo_network_add_layer",
             const char* what = "attribute");

  std::string text(const char* name);
  int64_t integer(const char* name);
  int32_t small(const char* name);  // an integer of 32 bits
  float number(const char* name);
  std::vector<int64_t> list(const char* name);
  nvinfer1::Dims dims(const char* name);
  nvinfer1::Permutation permutation(const char* name);
  uint32_t axes(const char* name);  // a bit for each axis

  bool has(const char* name) const;
  // Asks for all, for one who reads the fields itself.
  void take_all() { asked_.assign(asked_.size(), true); }
  // Ends the asking.
  void finish() const;

 protected:
  // Throws what is wrong with the attribute.
  [[noreturn]] void invalid(const char* name, const std::string& text) const;

 private:
  const trtgo_field& get(const char* name, int32_t type);

  const trtgo_field* fields_;
  const char* entry_;
  const char* what_;
  std::vector<bool> asked_;  // for each field
};

// Makes TensorRT's dimensions. Throws Failure with TRTGO_INVALID where there are too many.
nvinfer1::Dims make_dims(const int64_t* sizes, size_t rank, const char* what);

// Prints dimensions in brackets.
std::string describe(const nvinfer1::Dims& dims);

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_ATTRIBUTES_H_
