// TensorRT's enumerators by name.
#ifndef TRTGO_TENSORRT_ENUMERATORS_H_
#define TRTGO_TENSORRT_ENUMERATORS_H_

#include <cstdint>
#include <string>

#include "versions.h"

namespace trtgo {
namespace tensorrt {

// Finds the enumerator that TensorRT calls k and name. Throws Failure with TRTGO_INVALID, which lists what there is.
template <class Enum>
Enum enumerator(const std::string& name);

// TensorRT's name of a type, without k; "UNKNOWN" for one that the headers do not have. A constant.
const char* name_of(nvinfer1::DataType type);
const char* name_of(nvinfer1::PluginFieldType type);

// The width of an element in bits.
int64_t bits_of(nvinfer1::DataType type);

#if TRTGO_HAS_CAPABILITIES
// The compute capability with this number, e.g. 86. Throws Failure with TRTGO_INVALID.
nvinfer1::ComputeCapability capability(int32_t number);
#endif

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_ENUMERATORS_H_
