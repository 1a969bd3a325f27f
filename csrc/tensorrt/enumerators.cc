#include "enumerators.h"

#include "guard.h"

namespace trtgo {
namespace tensorrt {
namespace {

template <class Enum>
struct Entry {
  const char* name;
  Enum value;
};

// Each enumeration has its table and what an error calls it.
template <class Enum>
struct Table;

#define ENTRY(name) {#name, E::k##name},
#define TABLE(Enum, what, ...)                                         \
  template <>                                                          \
  struct Table<nvinfer1::Enum> {                                       \
    using E = nvinfer1::Enum;                                          \
    static constexpr const char* kEnum = #Enum;                        \
    static constexpr const char* kWhat = what;                         \
    static constexpr Entry<nvinfer1::Enum> kEntries[] = {__VA_ARGS__}; \
  };

// clang-format off
TABLE(DataType, "data type",
      ENTRY(FLOAT) ENTRY(HALF) ENTRY(INT8) ENTRY(INT32) ENTRY(BOOL) ENTRY(UINT8) ENTRY(FP8) ENTRY(BF16) ENTRY(INT64)
      ENTRY(INT4) ENTRY(FP4) ENTRY(E8M0))
TABLE(PluginFieldType, "type of a plugin's field",
      ENTRY(FLOAT16) ENTRY(FLOAT32) ENTRY(FLOAT64) ENTRY(INT8) ENTRY(INT16) ENTRY(INT32) ENTRY(CHAR) ENTRY(DIMS)
      ENTRY(UNKNOWN) ENTRY(BF16) ENTRY(INT64) ENTRY(FP8) ENTRY(INT4) ENTRY(FP4))
TABLE(ElementWiseOperation, "elementwise operation",
      ENTRY(SUM) ENTRY(PROD) ENTRY(MAX) ENTRY(MIN) ENTRY(SUB) ENTRY(DIV) ENTRY(POW) ENTRY(FLOOR_DIV) ENTRY(AND)
      ENTRY(OR) ENTRY(XOR) ENTRY(EQUAL) ENTRY(GREATER) ENTRY(LESS))
TABLE(UnaryOperation, "unary operation",
      ENTRY(EXP) ENTRY(LOG) ENTRY(SQRT) ENTRY(RECIP) ENTRY(ABS) ENTRY(NEG) ENTRY(SIN) ENTRY(COS) ENTRY(TAN)
      ENTRY(SINH) ENTRY(COSH) ENTRY(ASIN) ENTRY(ACOS) ENTRY(ATAN) ENTRY(ASINH) ENTRY(ACOSH) ENTRY(ATANH) ENTRY(CEIL)
      ENTRY(FLOOR) ENTRY(ERF) ENTRY(NOT) ENTRY(SIGN) ENTRY(ROUND) ENTRY(ISINF) ENTRY(ISNAN))
TABLE(ActivationType, "activation",
      ENTRY(RELU) ENTRY(SIGMOID) ENTRY(TANH) ENTRY(ELU) ENTRY(SELU) ENTRY(SOFTSIGN) ENTRY(SOFTPLUS) ENTRY(GELU_ERF)
      ENTRY(GELU_TANH))
TABLE(MatrixOperation, "matrix operation", ENTRY(NONE) ENTRY(TRANSPOSE) ENTRY(VECTOR))
TABLE(ReduceOperation, "reduction", ENTRY(SUM) ENTRY(PROD) ENTRY(MAX) ENTRY(MIN) ENTRY(AVG))
TABLE(SampleMode, "mode of a slice", ENTRY(STRICT_BOUNDS) ENTRY(WRAP) ENTRY(CLAMP) ENTRY(FILL) ENTRY(REFLECT))
TABLE(ProfilingVerbosity, "profiling verbosity", ENTRY(LAYER_NAMES_ONLY) ENTRY(NONE) ENTRY(DETAILED))
TABLE(BuilderFlag, "builder flag", TRTGO_BUILDER_FLAGS(ENTRY))
// clang-format on

template <class Enum>
const char* find_name(Enum value) {
  for (const auto& entry : Table<Enum>::kEntries) {
    if (entry.value == value) return entry.name;
  }
  return "UNKNOWN";
}

std::string number(int64_t n) { return std::to_string(n); }

}  // namespace

template <class Enum>
Enum enumerator(const std::string& name) {
  std::string known;
  for (const auto& entry : Table<Enum>::kEntries) {
    if (name == entry.name) return entry.value;
    known += std::string(known.empty() ? "" : ", ") + entry.name;
  }
  throw Failure(TRTGO_INVALID, Table<Enum>::kEnum,
                std::string(TRTGO_PRODUCT " ") + TRTGO_TEXT(NV_TENSORRT_MAJOR) + "." + TRTGO_TEXT(NV_TENSORRT_MINOR) +
                    " has no " + Table<Enum>::kWhat + " \"" + name + "\" here; it has " + known);
}

template nvinfer1::DataType enumerator(const std::string&);
template nvinfer1::ElementWiseOperation enumerator(const std::string&);
template nvinfer1::UnaryOperation enumerator(const std::string&);
template nvinfer1::ActivationType enumerator(const std::string&);
template nvinfer1::MatrixOperation enumerator(const std::string&);
template nvinfer1::ReduceOperation enumerator(const std::string&);
template nvinfer1::SampleMode enumerator(const std::string&);
template nvinfer1::ProfilingVerbosity enumerator(const std::string&);
template nvinfer1::BuilderFlag enumerator(const std::string&);

const char* name_of(nvinfer1::DataType type) { return find_name(type); }
const char* name_of(nvinfer1::PluginFieldType type) { return find_name(type); }

int64_t bits_of(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kINT64: return 64;
    case nvinfer1::DataType::kFLOAT:
    case nvinfer1::DataType::kINT32: return 32;
    case nvinfer1::DataType::kHALF:
    case nvinfer1::DataType::kBF16: return 16;
    case nvinfer1::DataType::kINT8:
    case nvinfer1::DataType::kUINT8:
    case nvinfer1::DataType::kBOOL:
    case nvinfer1::DataType::kE8M0:
    case nvinfer1::DataType::kFP8: return 8;
    case nvinfer1::DataType::kINT4:
    case nvinfer1::DataType::kFP4: return 4;
  }
  throw Failure(TRTGO_INVALID, "DataType", "there is no data type " + number(static_cast<int64_t>(type)));
}

#if TRTGO_HAS_CAPABILITIES
nvinfer1::ComputeCapability capability(int32_t number) {
  using nvinfer1::ComputeCapability;
  static constexpr ComputeCapability kKnown[] = {ComputeCapability::kSM75,  ComputeCapability::kSM80,
                                                 ComputeCapability::kSM86,  ComputeCapability::kSM89,
                                                 ComputeCapability::kSM120, ComputeCapability::kSM121};
  std::string known;
  for (const ComputeCapability c : kKnown) {
    // The enumerators are the capabilities times ten.
    const auto n = static_cast<int32_t>(c);
    if (n == number) return c;
    known += (known.empty() ? "" : ", ") + std::to_string(n / 10) + "." + std::to_string(n % 10);
  }
  throw Failure(TRTGO_INVALID, "setComputeCapability",
                TRTGO_PRODUCT " does not build for compute capability " + std::to_string(number / 10) + "." +
                    std::to_string(number % 10) + ", only for " + known);
}
#endif

}  // namespace tensorrt
}  // namespace trtgo
