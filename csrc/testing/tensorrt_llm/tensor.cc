#include <cstring>

#include "access.h"
#include "exception.h"

namespace tensorrt_llm::runtime {
namespace {

std::size_t bytesOf(executor::DataType type) {
  switch (type) {
    case executor::DataType::kBOOL:
    case executor::DataType::kUINT8:
    case executor::DataType::kINT8:
    case executor::DataType::kFP8: return 1;
    case executor::DataType::kBF16:
    case executor::DataType::kFP16: return 2;
    case executor::DataType::kINT32:
    case executor::DataType::kFP32: return 4;
    case executor::DataType::kINT64: return 8;
    default: STANDIN_THROW("Unsupported data type");
  }
}

std::size_t volume(const std::vector<std::int64_t>& dims, std::size_t first = 0) {
  std::size_t size = 1;
  for (std::size_t i = first; i < dims.size(); i++) size *= static_cast<std::size_t>(dims[i]);
  return size;
}

std::uint32_t bitsOf(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float ofBits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// The nearest of 16 bits; ties go to the even one.
std::uint16_t toBfloat16(float value) {
  const std::uint32_t bits = bitsOf(value);
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

float fromBfloat16(std::uint16_t half) { return ofBits(static_cast<std::uint32_t>(half) << 16); }

// For numbers that are normal in binary16, or too small: those become 0.
std::uint16_t toBinary16(float value) {
  const std::uint32_t bits = bitsOf(value), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7FFFFFFF;
  if (magnitude < 0x38800000) return static_cast<std::uint16_t>(sign);
  const std::uint32_t rounded = magnitude + 0xFFF + ((magnitude >> 13) & 1);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

float fromBinary16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16, magnitude = half & 0x7FFF;
  if (magnitude >= 0x7C00) return ofBits(sign | 0x7F800000);  // infinity: that is how tokens are banned
  if (magnitude < 0x400) return ofBits(sign);
  return ofBits(sign | ((magnitude << 13) + 0x38000000));
}

}  // namespace

ITensor::ITensor(executor::DataType type, executor::MemoryType memory, std::vector<std::int64_t> dims)
    : type(type),
      memory(memory),
      dims(std::move(dims)),
      owner_(std::make_shared<std::vector<std::byte>>(volume(this->dims) * bytesOf(type))),
      data_(owner_->data()) {
  trtllm_standin::alive(1);
}

// Upstream checks the end alone, and that in unsigned numbers: a negative number of rows is taken.
ITensor::ITensor(const ITensor& whole, std::int64_t first, std::int64_t number)
    : type(whole.type), memory(whole.memory), dims(whole.dims), owner_(whole.owner_), data_(nullptr) {
  if (static_cast<std::size_t>(first) > static_cast<std::size_t>(whole.dims.at(0)) ||
      static_cast<std::size_t>(first) + static_cast<std::size_t>(number) > static_cast<std::size_t>(whole.dims[0])) {
    throw std::out_of_range("offset + size exceeds the first dimension");
  }
  dims[0] = number;
  data_ = whole.data_ + static_cast<std::size_t>(first) * volume(whole.dims, 1) * bytesOf(type);
  trtllm_standin::alive(1);
}

ITensor::ITensor(executor::DataType type, void* data, std::vector<std::int64_t> dims)
    : type(type), memory(executor::MemoryType::kCPU), dims(std::move(dims)), data_(static_cast<std::byte*>(data)) {
  trtllm_standin::alive(1);
}

ITensor::~ITensor() { trtllm_standin::alive(-1); }

void ITensor::setRow(std::int64_t row, const std::vector<float>& logits) {
  const auto width = static_cast<std::size_t>(dims.back());
  for (std::size_t i = 0; i < width; i++) {
    const float value = i < logits.size() ? logits[i] : 1e4f;
    std::byte* to = data_ + (static_cast<std::size_t>(row) * width + i) * bytesOf(type);
    if (type == executor::DataType::kFP32) {
      std::memcpy(to, &value, sizeof value);
    } else {
      const std::uint16_t half = type == executor::DataType::kBF16 ? toBfloat16(value) : toBinary16(value);
      std::memcpy(to, &half, sizeof half);
    }
  }
}

std::vector<float> ITensor::values() const {
  std::vector<float> list(size());
  for (std::size_t i = 0; i < list.size(); i++) {
    const std::byte* from = data_ + i * bytesOf(type);
    if (type == executor::DataType::kFP32) {
      std::memcpy(&list[i], from, sizeof list[i]);
      continue;
    }
    std::uint16_t half;
    std::memcpy(&half, from, sizeof half);
    list[i] = type == executor::DataType::kBF16 ? fromBfloat16(half) : fromBinary16(half);
  }
  return list;
}

std::size_t ITensor::size() const { return volume(dims); }

}  // namespace tensorrt_llm::runtime

namespace tensorrt_llm::executor {
namespace {

const runtime::ITensor& inner(const std::shared_ptr<runtime::ITensor>& tensor) {
  STANDIN_CHECK(tensor != nullptr, "Tensor is empty");
  return *tensor;
}

std::vector<std::int64_t> copied(const Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

Tensor::Tensor(std::shared_ptr<runtime::ITensor> tensor) : mTensor(std::move(tensor)) {}

Tensor Tensor::cpu(DataType dataType, Shape shape) {
  STANDIN_ENTRY("Tensor::cpu");
  return Tensor(std::make_shared<runtime::ITensor>(dataType, MemoryType::kCPU, copied(shape)));
}

Tensor Tensor::pinned(DataType dataType, Shape shape) {
  STANDIN_ENTRY("Tensor::pinned");
  return Tensor(std::make_shared<runtime::ITensor>(dataType, MemoryType::kCPU_PINNED, copied(shape)));
}

Tensor Tensor::of(DataType dataType, void* data, Shape shape) {
  STANDIN_ENTRY("Tensor::of");
  return Tensor(std::make_shared<runtime::ITensor>(dataType, data, copied(shape)));
}

Tensor Tensor::copyToCpu(CudaStreamPtr) const {
  STANDIN_ENTRY("Tensor::copyToCpu");
  auto copy = std::make_shared<runtime::ITensor>(mTensor->type, MemoryType::kCPU, mTensor->dims);
  std::memcpy(copy->data(), mTensor->data(), copy->size() * runtime::bytesOf(copy->type));
  return Tensor(std::move(copy));
}

void* Tensor::getData() {
  STANDIN_ENTRY("Tensor::getData");
  return mTensor == nullptr ? nullptr : mTensor->data();
}

void const* Tensor::getData() const {
  STANDIN_ENTRY("Tensor::getData const");
  return mTensor == nullptr ? nullptr : mTensor->data();
}

DataType Tensor::getDataType() const {
  STANDIN_ENTRY("Tensor::getDataType");
  return inner(mTensor).type;
}

MemoryType Tensor::getMemoryType() const {
  STANDIN_ENTRY("Tensor::getMemoryType");
  return inner(mTensor).memory;
}

Shape Tensor::getShape() const {
  STANDIN_ENTRY("Tensor::getShape");
  const runtime::ITensor& tensor = inner(mTensor);
  return Shape(tensor.dims.data(), tensor.dims.size());
}

std::size_t Tensor::getSize() const {
  STANDIN_ENTRY("Tensor::getSize");
  return mTensor == nullptr ? 0 : mTensor->size();
}

std::size_t Tensor::getSizeInBytes() const {
  STANDIN_ENTRY("Tensor::getSizeInBytes");
  return mTensor == nullptr ? 0 : mTensor->size() * runtime::bytesOf(mTensor->type);
}

}  // namespace tensorrt_llm::executor
