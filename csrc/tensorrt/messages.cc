#include "messages.h"

#include <cstring>
#include <utility>

namespace trtgo {
namespace tensorrt {
namespace {

constexpr int32_t kError = static_cast<int32_t>(nvinfer1::ILogger::Severity::kERROR);
constexpr int32_t kVerbose = static_cast<int32_t>(nvinfer1::ILogger::Severity::kVERBOSE);

// On a machine without a driver each error is followed by one about that, which says nothing new.
bool about_driver(const char* text) { return std::strstr(text, "cudaError 35") != nullptr; }

std::mutex& pool_mutex() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}

}  // namespace

Logger* Logger::pool_ = nullptr;

void MessageQueue::push(int32_t severity, const char* text) {
  if (severity >= kVerbose && !verbose_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  if (messages_.size() == kMost) messages_.pop_front();
  messages_.push_back(Message{severity, text});
}

bool MessageQueue::pop(Message* message) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (messages_.empty()) return false;
  *message = std::move(messages_.front());
  messages_.pop_front();
  return true;
}

Logger* Logger::take(MessageQueue* queue) {
  Logger* logger = nullptr;
  {
    std::lock_guard<std::mutex> lock(pool_mutex());
    logger = pool_;
    if (logger != nullptr) pool_ = logger->next_;
  }
  if (logger == nullptr) logger = new Logger;
  logger->attach(queue);
  return logger;
}

void Logger::give_back(Logger* logger) noexcept {
  if (logger == nullptr) return;
  {
    std::lock_guard<std::mutex> lock(logger->mutex_);
    logger->queue_ = nullptr;
    logger->errors_.clear();
  }
  std::lock_guard<std::mutex> lock(pool_mutex());
  logger->next_ = pool_;
  pool_ = logger;
}

Logger& Logger::plugins() {
  static auto* const logger = new Logger;
  return *logger;
}

void Logger::attach(MessageQueue* queue) {
  std::lock_guard<std::mutex> lock(mutex_);
  queue_ = queue;
  errors_.clear();
}

void Logger::detach(MessageQueue* queue) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (queue_ == queue) queue_ = nullptr;
}

void Logger::log(Severity severity, const char* text) noexcept try {
  const auto level = static_cast<int32_t>(severity);
  if (text == nullptr) return;
  std::lock_guard<std::mutex> lock(mutex_);
  if (level <= kError) {
    if (!errors_.empty() && about_driver(text)) return;
    if (!errors_.empty()) errors_ += "; ";
    errors_ += text;
  }
  if (queue_ != nullptr) queue_->push(level, text);
} catch (...) {
  // A message is lost: TensorRT could do nothing about it.
}

void Logger::begin() {
  std::lock_guard<std::mutex> lock(mutex_);
  errors_.clear();
}

std::string Logger::errors() {
  std::lock_guard<std::mutex> lock(mutex_);
  return errors_;
}

}  // namespace tensorrt
}  // namespace trtgo
