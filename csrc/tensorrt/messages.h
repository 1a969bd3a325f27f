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

// The messages of a library, for any thread. It gets those of its own calls, and those of threads of TensorRT's.
class MessageQueue {
 public:
  explicit MessageQueue(bool verbose);
  ~MessageQueue();
  MessageQueue(const MessageQueue&) = delete;
  MessageQueue& operator=(const MessageQueue&) = delete;

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

// A call of ours that is running, on the stack of its thread, one in a thread. It collects the errors that TensorRT
// logs meanwhile: in this thread, and in threads of its own, which may belong to any call.
class Call {
 public:
  explicit Call(MessageQueue& queue);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  friend class Logger;

  MessageQueue& queue_;
  std::string errors_;
};

// The errors of the call that this thread runs, in one line; empty if there was none.
std::string logged_errors();

// Adds them to a sentence about what failed.
std::string with_words(const std::string& text);

// The status of a failure that they are about: out of memory is told by a message only.
int32_t failed_status();

// The one logger of the process: TensorRT keeps the first that it gets while anything of its own is alive, and plugin
// libraries keep theirs for ever. It is never destroyed.
nvinfer1::ILogger& logger();

}  // namespace tensorrt
}  // namespace trtgo

#endif  // TRTGO_TENSORRT_MESSAGES_H_
