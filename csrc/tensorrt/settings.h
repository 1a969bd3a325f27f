// Settings: what a caller sets of an object of TensorRT-LLM's, by the name of its setter.
#ifndef TRTGO_TENSORRT_SETTINGS_H_
#define TRTGO_TENSORRT_SETTINGS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "attributes.h"
#include "guard.h"

namespace trtgo {
namespace tensorrt {

// Attributes with the types that TensorRT-LLM's setters take.
class Settings : public Attributes {
 public:
  // Keeps fields. Errors are of the function entry.
  Settings(const trtgo_field* fields, int32_t num_fields, const char* entry)
      : Attributes(fields, num_fields, entry, "setting") {}

  bool flag(const char* name);         // 0 or 1
  uint64_t natural(const char* name);  // an integer that is not negative
  uint64_t bits(const char* name);     // any integer, as its 64 bits
  std::chrono::milliseconds milliseconds(const char* name);
  std::vector<int32_t> smalls(const char* name);            // a list of integers of 32 bits
  std::list<std::vector<int32_t>> words(const char* name);  // a list that has each word after its length
};

// A setting and how it is made.
template <class Object>
struct Setting {
  const char* name;
  void (*apply)(Object& object, Settings& settings, const char* name);
};

// The type T of a parameter T, const T& or optional<T>.
template <class Parameter>
struct Plain {
  using type = Parameter;
};
template <class Value>
struct Plain<std::optional<Value>> {
  using type = Value;
};

// Calls a setter. Its parameter must have the type of the value: an optional<float> silently becomes an optional<int>.
template <class Object, class Parameter, class Value>
void set(Object& object, void (Object::*setter)(Parameter), const Value& value) {
  using Wanted = typename Plain<std::remove_cv_t<std::remove_reference_t<Parameter>>>::type;
  static_assert(std::is_same_v<Wanted, Value>, "the setter takes another type than the setting has");
  (object.*setter)(value);
}

// An entry of a table: the setting name is read as kind and given to Class::setter.
#define TRTGO_SETTING(name, Class, setter, kind)                                          \
  {                                                                                       \
    name, [](Class& object, ::trtgo::tensorrt::Settings& settings, const char* setting) { \
      ::trtgo::tensorrt::set(object, &Class::setter, settings.kind(setting));             \
    }                                                                                     \
  }

// Makes those settings of a table that were given, in the order of the table. Returns whether there were any.
template <class Object, size_t Length>
bool apply(Object& object, const Setting<Object> (&table)[Length], Settings& settings) {
  bool any = false;
  for (const Setting<Object>& setting : table) {
    if (!settings.has(setting.name)) continue;
    attempt(TRTGO_INVALID, setting.name, "TensorRT-LLM refuses the value of a setting",
            [&] { setting.apply(object, settings, setting.name); });
    any = true;
  }
  return any;
}

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_SETTINGS_H_
