//go:build linux && (amd64 || arm64)

// The C boundary: exceptions become codes and a sentence.
#include <algorithm>
#include <cstring>
#include <new>

#include "failure.h"
#include "machinelimits.h"
#include "memory.h"
#include "runner.h"
#include "sizes.h"
#include "trtgo_cpu.h"

struct trtgo_cpu_runner {
  trtgo::cpu::Runner runner;
};

struct trtgo_cpu_limits {
  trtgo_cpu_limits(const char* isa, int threads, int cpus, int64_t size) : limits(isa, threads, cpus, size) {}

  trtgo::cpu::Limits limits;
};

namespace {

int fail(int code, const char* text, char* message, size_t size) {
  if (size > 0) {
    const size_t n = std::min(std::strlen(text), size - 1);
    std::memcpy(message, text, n);
    message[n] = 0;
  }
  return code;
}

template <class Body>
int guard(char* message, size_t size, Body&& body) {
  try {
    return body();
  } catch (const trtgo::cpu::Failure& e) {
    return fail(e.code(), e.what(), message, size);
  } catch (const std::bad_alloc&) {
    return fail(TRTGO_CPU_NO_MEMORY, "the system refused memory", message, size);
  } catch (...) {
    return fail(TRTGO_CPU_INVALID, "unexpected exception", message, size);
  }
}

}  // namespace

int trtgo_cpu_activation_bytes(const trtgo_cpu_program* program, const trtgo_cpu_options* options, int64_t* bytes,
                               char* message, size_t message_size) {
  return guard(message, message_size, [&] {
    if (options->threads < 1 || options->max_num_tokens < 1) {
      throw trtgo::cpu::Failure(TRTGO_CPU_INVALID, "threads and max_num_tokens must be at least 1");
    }
    *bytes = trtgo::cpu::activation_bytes(*program, *trtgo::cpu::find_kernels(options->isa), *options);
    return TRTGO_CPU_OK;
  });
}

int trtgo_cpu_open(const trtgo_cpu_program* program, const trtgo_cpu_options* options, trtgo_cpu_runner** runner,
                   char* message, size_t message_size) {
  *runner = nullptr;
  return guard(message, message_size, [&] {
    *runner = new trtgo_cpu_runner{trtgo::cpu::Runner(*program, *options)};
    return TRTGO_CPU_OK;
  });
}

int trtgo_cpu_run_step(trtgo_cpu_runner* runner, const trtgo_cpu_step* step, char* message, size_t message_size) {
  return guard(message, message_size, [&] { return runner->runner.step(*step) ? TRTGO_CPU_OK : TRTGO_CPU_ABORTED; });
}

void trtgo_cpu_abort(trtgo_cpu_runner* runner, int on) { runner->runner.abort(on != 0); }

int trtgo_cpu_copy_block(trtgo_cpu_runner* runner, int32_t src, int32_t dst, int32_t n, char* message,
                         size_t message_size) {
  return guard(message, message_size, [&] {
    runner->runner.copy_block(src, dst, n);
    return TRTGO_CPU_OK;
  });
}

void trtgo_cpu_describe(const trtgo_cpu_runner* runner, trtgo_cpu_description* description) {
  runner->runner.describe(description);
}

void trtgo_cpu_close(trtgo_cpu_runner* runner) { delete runner; }

void* trtgo_cpu_alloc(int64_t size) { return trtgo::cpu::map_memory(size); }

void trtgo_cpu_free(void* memory, int64_t size) { trtgo::cpu::unmap_memory(static_cast<uint8_t*>(memory), size); }

int trtgo_cpu_limits_open(const char* isa, int32_t threads, int32_t cpus, int64_t size, trtgo_cpu_limits** limits,
                          char* message, size_t message_size) {
  *limits = nullptr;
  return guard(message, message_size, [&] {
    *limits = new trtgo_cpu_limits(isa, threads, cpus, size);
    return TRTGO_CPU_OK;
  });
}

int64_t trtgo_cpu_limits_read(trtgo_cpu_limits* limits, int64_t bytes) { return limits->limits.read(bytes); }

double trtgo_cpu_limits_multiply(trtgo_cpu_limits* limits, int32_t arithmetic, double count) {
  return limits->limits.multiply(arithmetic, count);
}

void trtgo_cpu_limits_close(trtgo_cpu_limits* limits) { delete limits; }
