#include "messages.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "../native/trtgo.h"

namespace trtgo {
namespace tensorrt {

class Logger : public nvinfer1::ILogger {
 public:
  static Logger& get() {
    static auto* const logger = new Logger;
    return *logger;
  }

  void log(Severity severity, const char* text) noexcept override try {
    if (text == nullptr) return;
    const auto level = static_cast<int32_t>(severity);
    std::lock_guard<std::mutex> lock(mutex_);
    if (current_ != nullptr) {
      if (collect(*current_, level, text)) current_->queue_.push(level, text);
      return;
    }
    bool news = calls_.empty();
    for (Call* call : calls_) news = collect(*call, level, text) || news;
    if (!news) return;
    for (MessageQueue* queue : queues_) queue->push(level, text);
  } catch (...) {
    // No memory for a message, which TensorRT could do nothing about: it is lost.
  }

  void add(MessageQueue* queue) {
    std::lock_guard<std::mutex> lock(mutex_);
    queues_.push_back(queue);
  }
  void remove(MessageQueue* queue) {
    std::lock_guard<std::mutex> lock(mutex_);
    queues_.erase(std::find(queues_.begin(), queues_.end(), queue));
  }
  void begin(Call* call) {
    std::lock_guard<std::mutex> lock(mutex_);
    calls_.push_back(call);
    current_ = call;
  }
  void end(Call* call) {
    std::lock_guard<std::mutex> lock(mutex_);
    calls_.erase(std::find(calls_.begin(), calls_.end(), call));
    current_ = nullptr;
  }
  std::string errors() {
    std::lock_guard<std::mutex> lock(mutex_);
    return current_ == nullptr ? std::string() : current_->errors_;
  }

 private:
  // Keeps an error. False for one that says nothing new: on a machine without a driver each error is followed by one
  // about that.
  static bool collect(Call& call, int32_t level, const char* text) {
    if (level > static_cast<int32_t>(Severity::kERROR)) return true;
    if (!call.errors_.empty() && std::strstr(text, "cudaError 35") != nullptr) return false;
    if (!call.errors_.empty()) call.errors_ += "; ";
    call.errors_ += text;
    return true;
  }

  static thread_local Call* current_;

  std::mutex mutex_;
  std::vector<MessageQueue*> queues_;  // of the open libraries
  std::vector<Call*> calls_;           // that are running
};

thread_local Call* Logger::current_ = nullptr;

MessageQueue::MessageQueue(bool verbose) : verbose_(verbose) { Logger::get().add(this); }

MessageQueue::~MessageQueue() { Logger::get().remove(this); }

void MessageQueue::push(int32_t severity, const char* text) {
  if (severity >= static_cast<int32_t>(nvinfer1::ILogger::Severity::kVERBOSE) && !verbose_) return;
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

Call::Call(MessageQueue& queue) : queue_(queue) { Logger::get().begin(this); }

Call::~Call() { Logger::get().end(this); }

std::string logged_errors() { return Logger::get().errors(); }

std::string with_words(const std::string& text) {
  const std::string words = logged_errors();
  return words.empty() ? text : text + ": " + words;
}

int32_t failed_status() {
  return logged_errors().find("OutOfMemory") == std::string::npos ? TRTGO_INVALID : TRTGO_MEMORY;
}

nvinfer1::ILogger& logger() { return Logger::get(); }

}  // namespace tensorrt
}  // namespace trtgo
