// Messages: what TensorRT says through its logger.
#ifndef TRTGO_TENSORRT_MESSAGES_H_
#define TRTGO_TENSORRT_MESSAGES_H_

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

#include "versions.h"

namespace trtgo {
namespace tensorrt {

struct Message {
  int32_t severity = 0;  // as trtgo_library_message
  std::string text;
};

// Messages of a library, for any thread.
class MessageQueue {
 public:
  explicit MessageQueue(bool verbose) : verbose_(verbose) {}

  // Appends a message; the oldest one goes when there are too many.
  void push(int32_t severity, const char* text);
  // Takes the oldest message into *message; false if there is none.
  bool pop(Message* message);

 private:
  static constexpr size_t kMost = 4096;

  const bool verbose_;
  std::mutex mutex_;
  std::deque<Message> messages_;
};

// A logger hands messages to a library and keeps the errors of the call that is running. TensorRT and plugin
// libraries may hold on to one until the process ends, so loggers are never destroyed: they come from take and go
// to give_back, or are the one of the plugins.
class Logger : public nvinfer1::ILogger {
 public:
  static Logger* take(MessageQueue* queue);
  static void give_back(Logger* logger) noexcept;
  // The one that plugin libraries got. It serves the library that was opened last.
  static Logger& plugins();

  // Sends messages to queue from now on.
  void attach(MessageQueue* queue);
  // Stops sending them to queue, which is going away.
  void detach(MessageQueue* queue) noexcept;

  // Any thread of TensorRT's.
  void log(Severity severity, const char* text) noexcept override;

  // Forgets the errors: a call begins.
  void begin();
  // The errors since begin in one line; empty if there was none.
  std::string errors();

 private:
  Logger() = default;

  static Logger* pool_;  // those that were given back
  Logger* next_ = nullptr;
  std::mutex mutex_;
  MessageQueue* queue_ = nullptr;
  std::string errors_;
};

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_MESSAGES_H_
