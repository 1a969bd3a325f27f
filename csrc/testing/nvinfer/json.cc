#include "json.h"

#include <cstdio>

namespace standin {

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      json += escape;
    } else {
      json += c;
    }
  }
  return json + '"';
}

std::string json(bool value) { return value ? "true" : "false"; }
std::string json(int32_t value) { return std::to_string(value); }
std::string json(uint32_t value) { return std::to_string(value); }
std::string json(int64_t value) { return std::to_string(value); }
std::string json(std::size_t value) { return std::to_string(value); }
std::string json(float value) {
  char number[32];
  std::snprintf(number, sizeof number, "%.9g", static_cast<double>(value));
  return number;
}
std::string json(const char* value) { return value == nullptr ? "null" : quoted(value); }
std::string json(const std::string& value) { return quoted(value); }

}  // namespace standin
