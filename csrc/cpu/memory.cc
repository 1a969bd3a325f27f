//go:build linux && (amd64 || arm64)

#include "memory.h"

#include <sys/mman.h>

#include <utility>

#include "failure.h"

namespace trtgo {
namespace cpu {

namespace {

constexpr int64_t kHugePage = 2 << 20;
constexpr int64_t kPage = 4096;
constexpr int64_t kMost = int64_t{1} << 60;  // no address space has it; sizes below round up safely

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

uint8_t* map_memory(int64_t size) {
  if (size <= 0 || size > kMost) return nullptr;
  const bool huge = size >= kHugePage;
  const int64_t length = round_up(size, kPage);
  // Huge pages want an aligned beginning: map more, give the ends back.
  const int64_t mapped = huge ? length + kHugePage : length;
  void* p = mmap(nullptr, static_cast<size_t>(mapped), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  if (!huge) return static_cast<uint8_t*>(p);
  const auto begin = reinterpret_cast<uintptr_t>(p);
  const auto aligned = (begin + kHugePage - 1) & ~static_cast<uintptr_t>(kHugePage - 1);
  const size_t before = aligned - begin;
  const size_t after = static_cast<size_t>(kHugePage) - before;
  if (before > 0) munmap(p, before);
  if (after > 0) munmap(reinterpret_cast<void*>(aligned + static_cast<size_t>(length)), after);
  madvise(reinterpret_cast<void*>(aligned), static_cast<size_t>(length), MADV_HUGEPAGE);
  return reinterpret_cast<uint8_t*>(aligned);
}

void unmap_memory(uint8_t* data, int64_t size) {
  if (data != nullptr) munmap(data, static_cast<size_t>(round_up(size, kPage)));
}

Mapping::Mapping(int64_t size, const std::string& what) {
  if (size <= 0) return;
  data_ = map_memory(size);
  if (data_ == nullptr) {
    throw Failure(TRTGO_CPU_NO_MEMORY, "the system refused " + std::to_string(size) + " bytes for " + what);
  }
  size_ = size;
}

Mapping::~Mapping() { unmap_memory(data_, size_); }

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace cpu
}  // namespace trtgo
