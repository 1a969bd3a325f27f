#include "memory.h"

#include <cstdlib>
#include <new>

namespace {

int32_t (*inside_standin)() = nullptr;
int64_t left = -1;  // allocations of the shim that still succeed
bool failed = false;
thread_local bool in_shim = false;

bool fails() {
  if (!in_shim || left < 0 || inside_standin() != 0) return false;
  if (left > 0) {
    left--;
    return false;
  }
  failed = true;
  return true;
}

}  // namespace

namespace trtgo {
namespace testing {

bool fail_allocation(int64_t n, int32_t (*inside)()) {
  const bool happened = failed;
  failed = false;
  inside_standin = inside;
  left = n;
  return happened;
}

InShim::InShim() { in_shim = true; }
InShim::~InShim() {
  in_shim = false;
  if (failed) left = -1;
}

}  // namespace testing
}  // namespace trtgo

void* operator new(std::size_t size) {
  void* memory = fails() ? nullptr : std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return fails() ? nullptr : std::malloc(size > 0 ? size : 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
