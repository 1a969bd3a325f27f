//go:build linux && (amd64 || arm64)

// The C boundary: exceptions become codes and a sentence.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "failure.h"
#include "memory.h"
#include "runner.h"
#include "sizes.h"
#include "trtgo_cpu.h"

struct trtgo_cpu_runner {
  trtgo::cpu::Runner runner;
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

namespace {

// Sums words so that the reads cannot be left out.
uint64_t read_words(const uint64_t* p, int64_t n) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i + 8 <= n; i += 8) {
    for (int64_t j = 0; j < 8; j++) sums[j] += p[i + j];
  }
  uint64_t sum = 0;
  for (uint64_t s : sums) sum += s;
  return sum;
}

struct StreamRead {
  trtgo::cpu::Team* team;
  const uint8_t* data;
  int64_t size;
  std::atomic<uint64_t> sum{0};
};

}  // namespace

double trtgo_cpu_stream_read(int threads, int64_t size, int passes) {
  constexpr int64_t kChunk = 1 << 20;
  if (size < kChunk) return 0;
  double median = 0;
  char message[1];
  guard(message, 0, [&] {
    trtgo::cpu::Mapping memory(size, "the stream");
    std::memset(memory.data(), 1, static_cast<size_t>(size));
    trtgo::cpu::Team team(std::max(threads, 1), std::max(threads, 1));
    StreamRead stream{&team, memory.data(), size};
    std::vector<double> rates;
    for (int pass = 0; pass < std::max(passes, 1); pass++) {
      const auto begin = std::chrono::steady_clock::now();
      team.run(
          [](void* context, int) {
            auto* s = static_cast<StreamRead*>(context);
            return s->team->for_each(s->size / kChunk, [s](int64_t chunk) {
              s->sum += read_words(reinterpret_cast<const uint64_t*>(s->data + chunk * kChunk), kChunk / 8);
            });
          },
          &stream);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      rates.push_back(static_cast<double>(size / kChunk * kChunk) / seconds.count());
    }
    std::sort(rates.begin(), rates.end());
    median = rates[rates.size() / 2];
    return TRTGO_CPU_OK;
  });
  return median;
}
