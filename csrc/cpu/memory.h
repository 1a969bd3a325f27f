// Mapping: anonymous memory that is zero, and used only where it is touched.
#ifndef TRTGO_CPU_MEMORY_H_
#define TRTGO_CPU_MEMORY_H_

#include <cstdint>
#include <string>

namespace trtgo {
namespace cpu {

class Mapping {
 public:
  Mapping() = default;
  // Maps size bytes, 2 MiB aligned and in huge pages when they are large.
  // Throws Failure when the system refuses; `what` ends the message: what they are
  // for and what to do.
  Mapping(int64_t size, const std::string& what);
  ~Mapping();
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;

  uint8_t* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  int64_t size_ = 0;
};

// The same for memory that outlives a scope; null when the system refuses.
uint8_t* map_memory(int64_t size);
void unmap_memory(uint8_t* data, int64_t size);

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_MEMORY_H_
