// Declarations, of release 1.2.1, of only what csrc/tensorrt uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "tensorrt_llm/executor/types.h"

namespace tensorrt_llm::runtime {
class ITensor;
}

namespace tensorrt_llm::executor {

class Serialization;

// A view of dimensions that lie elsewhere.
class Shape {
 public:
  using DimType64 = std::int64_t;
  using value_type = DimType64 const;
  using size_type = std::size_t;

  Shape() = default;
  Shape(DimType64 const* data, size_type size) : data_{data}, size_{size} {}
  Shape(std::initializer_list<DimType64> dims) : data_{dims.begin()}, size_{dims.size()} {}

  DimType64 const* begin() const { return data_; }
  DimType64 const* end() const { return data_ + size_; }
  DimType64 const* data() const { return data_; }
  size_type size() const { return size_; }
  bool empty() const { return size_ == 0; }
  DimType64 const& operator[](size_type index) const { return data_[index]; }

 private:
  DimType64 const* data_ = nullptr;
  size_type size_ = 0;
};

class Tensor {
 public:
  using CudaStreamPtr = std::shared_ptr<runtime::CudaStream>;

  static Tensor cpu(DataType dataType, Shape shape = {});
  static Tensor pinned(DataType dataType, Shape shape = {});
  static Tensor of(DataType dataType, void* data, Shape shape);
  [[nodiscard]] Tensor copyToCpu(CudaStreamPtr stream = nullptr) const;

  Tensor() noexcept = default;
  ~Tensor() = default;
  Tensor(Tensor const& other) noexcept = default;
  Tensor(Tensor&& other) noexcept = default;
  Tensor& operator=(Tensor const& other) noexcept = default;
  Tensor& operator=(Tensor&& other) noexcept = default;

  [[nodiscard]] void* getData();
  [[nodiscard]] void const* getData() const;
  [[nodiscard]] DataType getDataType() const;
  [[nodiscard]] MemoryType getMemoryType() const;
  [[nodiscard]] Shape getShape() const;
  [[nodiscard]] std::size_t getSize() const;
  [[nodiscard]] std::size_t getSizeInBytes() const;
  explicit operator bool() const { return static_cast<bool>(mTensor); }

 private:
  friend class Serialization;
  explicit Tensor(std::shared_ptr<runtime::ITensor> tensor);

  std::shared_ptr<runtime::ITensor> mTensor;
};

}  // namespace tensorrt_llm::executor
