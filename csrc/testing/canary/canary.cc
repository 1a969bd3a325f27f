// Planted faults for the sanitizer runs; see canary.go.
#include <thread>
#include <vector>

extern "C" int trtgo_canary_overflow(int n) {
  std::vector<int> values(static_cast<size_t>(n), 1);
  const volatile int* p = values.data();
  return p[n];
}

extern "C" int trtgo_canary_race(void) {
  int value = 0;
  int* shared = &value;
  auto increment = [shared] {
    for (int i = 0; i < 100000; i++) *const_cast<volatile int*>(shared) = *shared + 1;
  };
  std::thread a(increment);
  std::thread b(increment);
  a.join();
  b.join();
  return value;
}
