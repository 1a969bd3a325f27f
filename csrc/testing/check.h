// What the drivers share: values, memory that a sanitizer can guard, and a tally of
// comparisons that ends the program with an error when one of them failed.
#ifndef TRTGO_TESTING_CHECK_H_
#define TRTGO_TESTING_CHECK_H_

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace trtgo {
namespace testing {

// Exactly n values, on a 64-byte boundary; a read or write beyond them is seen by
// AddressSanitizer.
template <class T>
class Array {
 public:
  explicit Array(int64_t n) : size_(n) {
    void* p = nullptr;
    if (posix_memalign(&p, 64, static_cast<size_t>(n > 0 ? n : 1) * sizeof(T)) != 0) std::abort();
    data_ = static_cast<T*>(p);
    for (int64_t i = 0; i < n; i++) data_[i] = T{};
  }
  Array(const Array& other) : Array(other.size_) { std::memcpy(data_, other.data_, bytes()); }
  Array& operator=(const Array&) = delete;
  ~Array() { std::free(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return size_; }
  size_t bytes() const { return static_cast<size_t>(size_) * sizeof(T); }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  int64_t size_;
};

class Values {
 public:
  explicit Values(unsigned seed) : engine_(seed) {}
  float normal(float spread) { return std::normal_distribution<float>(0, spread)(engine_); }
  Array<float> normals(int64_t n, float spread) {
    Array<float> x(n);
    for (int64_t i = 0; i < n; i++) x[i] = normal(spread);
    return x;
  }

 private:
  std::mt19937 engine_;
};

inline float widen(uint16_t b) {
  const uint32_t bits = uint32_t{b} << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// The bf16 nearest to a finite x, by the definition: of the two neighbours the nearer
// one, of equally near ones the even one.
inline uint16_t nearest_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const auto down = static_cast<uint16_t>(bits >> 16);
  const auto up = static_cast<uint16_t>(down + 1);
  const double below = std::fabs(double{x} - widen(down)), above = std::fabs(widen(up) - double{x});
  return above < below || (above == below && (down & 1) != 0) ? up : down;
}

class Tally {
 public:
  // `fault` spoils the first comparison, to show that the driver can fail.
  explicit Tally(bool fault) : fault_(fault) {}

  void within(double want, double got, double bound, const std::string& what) {
    if (fault_) got += 2 * bound + 1;
    fault_ = false;
    const double off = std::fabs(got - want);
    if (bound > 0 && off / bound > worst_) worst_ = off / bound;
    require(off <= bound,
            what + ": " + std::to_string(got) + ", want " + std::to_string(want) + " within " + std::to_string(bound));
  }

  void require(bool ok, const std::string& what) {
    count_++;
    if (ok) return;
    if (failures_++ < 20) std::printf("FAIL: %s\n", what.c_str());
  }

  // Prints what was compared since the last report, and the largest difference as a
  // part of its bound.
  void report(const std::string& what) {
    std::printf("%-48s %9lld comparisons, largest difference %.2f of its bound\n", what.c_str(),
                static_cast<long long>(count_ - reported_), worst_);
    if (count_ == reported_) require(false, what + ": nothing was compared");
    reported_ = count_;
    worst_ = 0;
  }

  int exit_status() const {
    std::printf("%lld comparisons, %lld failures\n", static_cast<long long>(count_), static_cast<long long>(failures_));
    return failures_ == 0 && count_ > 0 ? 0 : 1;
  }

 private:
  bool fault_;
  int64_t count_ = 0, reported_ = 0, failures_ = 0;
  double worst_ = 0;
};

// Reads one value behind an array, to show that a sanitizer watches. Returns normally
// only when none does.
inline int overrun() {
  Array<float> x(16);
  volatile int64_t beyond = 16;
  std::printf("read %g beyond an array, and nothing happened\n", static_cast<double>(x.data()[beyond]));
  return 0;
}

}  // namespace testing
}  // namespace trtgo

#endif  // TRTGO_TESTING_CHECK_H_
