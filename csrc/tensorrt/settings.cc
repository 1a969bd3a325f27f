#include "settings.h"

#include <limits>

namespace trtgo {
namespace tensorrt {

bool Settings::flag(const char* name) {
  const int64_t value = integer(name);
  if (value != 0 && value != 1) invalid(name, "is " + std::to_string(value) + ", want 0 or 1");
  return value == 1;
}

uint64_t Settings::natural(const char* name) {
  const int64_t value = integer(name);
  if (value < 0) invalid(name, "is " + std::to_string(value) + ", want 0 or more");
  return static_cast<uint64_t>(value);
}

uint64_t Settings::bits(const char* name) { return static_cast<uint64_t>(integer(name)); }

std::chrono::milliseconds Settings::milliseconds(const char* name) {
  return std::chrono::milliseconds(static_cast<int64_t>(natural(name)));
}

std::vector<int32_t> Settings::smalls(const char* name) {
  std::vector<int32_t> values;
  for (const int64_t value : list(name)) {
    if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max()) {
      invalid(name, "has " + std::to_string(value) + ", beyond 32 bits");
    }
    values.push_back(static_cast<int32_t>(value));
  }
  return values;
}

std::list<std::vector<int32_t>> Settings::words(const char* name) {
  const std::vector<int32_t> values = smalls(name);
  std::list<std::vector<int32_t>> words;
  for (size_t i = 0; i < values.size();) {
    const int32_t length = values[i++];
    if (length < 1 || static_cast<size_t>(length) > values.size() - i) {
      invalid(name, "has a word of " + std::to_string(length) + " tokens where " + std::to_string(values.size() - i) +
                        " follow");
    }
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(i);
    words.emplace_back(first, first + length);
    i += static_cast<size_t>(length);
  }
  return words;
}

}  // namespace tensorrt
}  // namespace trtgo
