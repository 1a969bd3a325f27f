// What the rules about layers share.
#pragma once

#include <utility>

#include "tensor.h"

namespace standin {

inline bool floating(DataType type) {
  return type == DataType::kFLOAT || type == DataType::kHALF || type == DataType::kBF16;
}
inline bool integer(DataType type) { return type == DataType::kINT32 || type == DataType::kINT64; }

inline void check(bool holds, const std::string& refusal) {
  if (!holds) throw Refusal(refusal);
}

inline bool agree(int64_t a, int64_t b) { return a == b || a < 0 || b < 0; }

inline std::vector<Inferred> one(DataType type, const Dims& dims,
                                 std::optional<std::vector<int64_t>> values = std::nullopt) {
  return {Inferred{dims, type, std::move(values)}};
}

}  // namespace standin
