#include "exception.h"

namespace tensorrt_llm::common {
inline namespace _v1 {

TllmException::TllmException(const std::string& message, const char* file, int line)
    : std::runtime_error(message + " (" + file + ":" + std::to_string(line) + ")\n" +
                         "1       0x7f30c0de1000 /app/tensorrt_llm/lib/libtensorrt_llm.so(+0x1000) [0x7f30c0de1000]\n"
                         "2       0x7f30c0de2000 /app/tensorrt_llm/lib/libtensorrt_llm.so(+0x2000) [0x7f30c0de2000]\n"
                         "3       0x7f30c0de3000 /lib/x86_64-linux-gnu/libc.so.6(clone+0x44) [0x7f30c0de3000]") {}

TllmException::~TllmException() noexcept = default;

}  // namespace _v1
}  // namespace tensorrt_llm::common
