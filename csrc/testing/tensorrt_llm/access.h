// What is inside of the classes of executor.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "script.h"
#include "tensorrt_llm/executor/executor.h"

namespace tensorrt_llm::runtime {

// Memory on the host with a shape. A slice shares the memory of another.
class ITensor {
 public:
  ITensor(executor::DataType type, executor::MemoryType memory, std::vector<std::int64_t> dims);
  ITensor(const ITensor& whole, std::int64_t first, std::int64_t number);  // of the first dimension
  ITensor(executor::DataType type, void* data, std::vector<std::int64_t> dims);
  ~ITensor();
  ITensor(const ITensor&) = delete;
  ITensor& operator=(const ITensor&) = delete;

  std::byte* data() const { return data_; }
  std::vector<float> values() const;
  // Writes a row of logits in the tensor's type, and to columns that are for no token what must never be chosen.
  void setRow(std::int64_t row, const std::vector<float>& logits);
  std::size_t size() const;  // as upstream's, a shape with a negative dimension has a size without sense

  const executor::DataType type;
  const executor::MemoryType memory;
  std::vector<std::int64_t> dims;

 private:
  std::shared_ptr<std::vector<std::byte>> owner_;
  std::byte* data_;
};

}  // namespace tensorrt_llm::runtime

namespace tensorrt_llm::executor {

// Counts a live object; see trtllm_standin_alive.
struct Counted {
  Counted() { trtllm_standin::alive(1); }
  Counted(const Counted&) { trtllm_standin::alive(1); }
  Counted& operator=(const Counted&) = default;
  ~Counted() { trtllm_standin::alive(-1); }
};

class Request::Impl : Counted {
 public:
  VecTokens inputTokenIds;
  SizeType32 maxTokens = 0;
  bool streaming = false;
  SamplingConfig sampling;
  OutputConfig output;
  std::optional<SizeType32> endId, padId;
  std::optional<std::list<VecTokens>> badWords, stopWords;
  std::optional<Tensor> embeddingBias;
  std::optional<IdType> clientId;
  bool returnAllGeneratedTokens = false;
  PriorityType priority = kDefaultPriority;
  std::optional<MillisecondsType> allottedTimeMs;
  std::optional<CacheSaltIDType> cacheSaltID;
};

// The friend of the classes, by whom the stand-in sees what is private.
class Serialization {
 public:
  using RequestImpl = Request::Impl;
  static const RequestImpl& of(const Request& request) { return *request.mImpl; }
  static Tensor tensor(std::shared_ptr<runtime::ITensor> tensor) { return Tensor(std::move(tensor)); }
  static const runtime::ITensor* of(const Tensor& tensor) { return tensor.mTensor.get(); }
};

}  // namespace tensorrt_llm::executor
