// Values of JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "standin.h"

namespace standin {

STANDIN_API std::string quoted(const std::string& text);
STANDIN_API std::string json(bool value);
STANDIN_API std::string json(int32_t value);
STANDIN_API std::string json(uint32_t value);
STANDIN_API std::string json(int64_t value);
STANDIN_API std::string json(std::size_t value);
STANDIN_API std::string json(float value);
STANDIN_API std::string json(const char* value);  // null is null
STANDIN_API std::string json(const std::string& value);

}  // namespace standin
