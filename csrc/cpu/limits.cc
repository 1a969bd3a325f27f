//go:build linux && (amd64 || arm64)

// What memory and arithmetic give: loops that do nothing else.
#include "machinelimits.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "failure.h"
#include "kernels_tables.h"
#include "runner.h"

#if TRTGO_CPU_X86
#include <immintrin.h>
#elif TRTGO_CPU_ARM
#include <arm_neon.h>
#endif

namespace trtgo {
namespace cpu {

namespace {

constexpr int kChains = 12;  // enough to hide the latency of an instruction

// A float that the compiler must compute.
void keep(float x) { asm volatile("" : : "g"(x) : "memory"); }
void keep(int32_t x) { asm volatile("" : : "g"(x) : "memory"); }

#if TRTGO_CPU_X86

__attribute__((target("avx2"))) uint64_t sum_avx2(const uint8_t* p, int64_t n) {
  __m256i sum[8] = {};
  for (int64_t i = 0; i < n; i += 256) {
    for (int j = 0; j < 8; j++) {
      sum[j] = _mm256_add_epi64(sum[j], _mm256_load_si256(reinterpret_cast<const __m256i*>(p + i + 32 * j)));
    }
  }
  for (int j = 1; j < 8; j++) sum[0] = _mm256_add_epi64(sum[0], sum[j]);
  uint64_t words[4];
  std::memcpy(words, &sum[0], sizeof words);
  return words[0] + words[1] + words[2] + words[3];
}

__attribute__((target("avx2,fma"))) double floats_avx2(int64_t rounds) {
  __m256 sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 x = _mm256_set1_ps(0.999f);
  for (int64_t n = 0; n < rounds; n++) {
    for (int i = 0; i < kChains; i++) sum[i] = _mm256_fmadd_ps(sum[i], x, x);
  }
  for (int i = 1; i < kChains; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
  keep(_mm256_cvtss_f32(sum[0]));
  return 8.0 * kChains * static_cast<double>(rounds);
}

__attribute__((target("avx2"))) double integers_avx2(int64_t rounds) {
  __m256i sum[kChains] = {};
  __m256i x = _mm256_set1_epi16(3);
  for (int64_t n = 0; n < rounds; n++) {
    for (int i = 0; i < kChains; i++) {
      asm volatile("" : "+x"(x));  // the product is computed each time
      sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(x, x));
    }
  }
  for (int i = 1; i < kChains; i++) sum[0] = _mm256_add_epi32(sum[0], sum[i]);
  keep(_mm256_cvtsi256_si32(sum[0]));
  return 16.0 * kChains * static_cast<double>(rounds);
}

__attribute__((target("avx512f"))) double floats_avx512(int64_t rounds) {
  __m512 sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 x = _mm512_set1_ps(0.999f);
  for (int64_t n = 0; n < rounds; n++) {
    for (int i = 0; i < kChains; i++) sum[i] = _mm512_fmadd_ps(sum[i], x, x);
  }
  for (int i = 1; i < kChains; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  keep(_mm512_cvtss_f32(sum[0]));
  return 16.0 * kChains * static_cast<double>(rounds);
}

__attribute__((target("avx512f,avx512bf16"))) double pairs_avx512(int64_t rounds) {
  __m512 sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512i ones = _mm512_set1_epi32(0x3f803f80);
  __m512bh x;
  std::memcpy(&x, &ones, sizeof x);
  for (int64_t n = 0; n < rounds; n++) {
    for (int i = 0; i < kChains; i++) sum[i] = _mm512_dpbf16_ps(sum[i], x, x);
  }
  for (int i = 1; i < kChains; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  keep(_mm512_cvtss_f32(sum[0]));
  return 32.0 * kChains * static_cast<double>(rounds);
}

__attribute__((target("avx512f,avx512vnni"))) double integers_vnni(int64_t rounds) {
  __m512i sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = _mm512_set1_epi32(i);
  const __m512i x = _mm512_set1_epi32(0x30003);
  for (int64_t n = 0; n < rounds; n++) {
    for (int i = 0; i < kChains; i++) sum[i] = _mm512_dpwssd_epi32(sum[i], x, x);
  }
  for (int i = 1; i < kChains; i++) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
  keep(_mm512_cvtsi512_si32(sum[0]));
  return 32.0 * kChains * static_cast<double>(rounds);
}

#elif TRTGO_CPU_ARM

double floats_neon(int64_t rounds) {
  float32x4_t sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = vdupq_n_f32(static_cast<float>(i));
  const float32x4_t x = vdupq_n_f32(0.999f);
  for (int64_t n = 0; n < rounds; n++) {
    for (int i = 0; i < kChains; i++) sum[i] = vfmaq_f32(x, sum[i], x);
  }
  for (int i = 1; i < kChains; i++) sum[0] = vaddq_f32(sum[0], sum[i]);
  keep(vgetq_lane_f32(sum[0], 0));
  return 4.0 * kChains * static_cast<double>(rounds);
}

// The intrinsic needs a compiler that was told of the instruction; the assembler does not.
double pairs_neon(int64_t rounds) {
  float32x4_t sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = vdupq_n_f32(static_cast<float>(i));
  const uint16x8_t x = vdupq_n_u16(0x3f80);
  for (int64_t n = 0; n < rounds; n++) {
    for (int i = 0; i < kChains; i++) {
      asm(".arch_extension bf16\n\tbfdot %0.4s, %1.8h, %1.8h" : "+w"(sum[i]) : "w"(x));
    }
  }
  for (int i = 1; i < kChains; i++) sum[0] = vaddq_f32(sum[0], sum[i]);
  keep(vgetq_lane_f32(sum[0], 0));
  return 8.0 * kChains * static_cast<double>(rounds);
}

double integers_neon(int64_t rounds) {
  int32x4_t sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = vdupq_n_s32(i);
  int16x8_t x = vdupq_n_s16(3);
  for (int64_t n = 0; n < rounds; n++) {
    asm volatile("" : "+w"(x));
    for (int i = 0; i < kChains; i += 2) {
      sum[i] = vmlal_s16(sum[i], vget_low_s16(x), vget_low_s16(x));
      sum[i + 1] = vmlal_high_s16(sum[i + 1], x, x);
    }
  }
  for (int i = 1; i < kChains; i++) sum[0] = vaddq_s32(sum[0], sum[i]);
  keep(vgetq_lane_s32(sum[0], 0));
  return 4.0 * kChains * static_cast<double>(rounds);
}

// A product of 16 bits is one of a low and one of a high byte.
__attribute__((target("arch=armv8.2-a+dotprod"))) double bytes_neon(int64_t rounds) {
  int32x4_t sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = vdupq_n_s32(i);
  int8x16_t x = vdupq_n_s8(3);
  for (int64_t n = 0; n < rounds; n++) {
    asm volatile("" : "+w"(x));
    for (int i = 0; i < kChains; i++) sum[i] = vdotq_s32(sum[i], x, x);
  }
  for (int i = 1; i < kChains; i++) sum[0] = vaddq_s32(sum[0], sum[i]);
  keep(vgetq_lane_s32(sum[0], 0));
  return 8.0 * kChains * static_cast<double>(rounds);
}

#endif

// What the compiler makes of it for every processor of the architecture.
double floats_scalar(int64_t rounds) {
  float sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = static_cast<float>(i);
  for (int64_t n = 0; n < rounds; n++) {
    for (float& s : sum) s = std::fma(s, 0.999f, 0.999f);
  }
  for (int i = 1; i < kChains; i++) sum[0] += sum[i];
  keep(sum[0]);
  return 1.0 * kChains * static_cast<double>(rounds);
}

double integers_scalar(int64_t rounds) {
  uint32_t sum[kChains];
  for (int i = 0; i < kChains; i++) sum[i] = static_cast<uint32_t>(i);
  for (int64_t n = 0; n < rounds; n++) {
    for (uint32_t& s : sum) s = s * 3 + 1;
  }
  for (int i = 1; i < kChains; i++) sum[0] += sum[i];
  keep(static_cast<int32_t>(sum[0]));
  return 1.0 * kChains * static_cast<double>(rounds);
}

uint64_t sum_words(const uint8_t* p, int64_t n) {
  uint64_t sum[8] = {};
  for (int64_t i = 0; i < n; i += 64) {
    uint64_t words[8];
    std::memcpy(words, p + i, sizeof words);
    for (int j = 0; j < 8; j++) sum[j] += words[j];
  }
  for (int j = 1; j < 8; j++) sum[0] += sum[j];
  return sum[0];
}

uint64_t sum_bytes(const uint8_t* p, int64_t n) {
#if TRTGO_CPU_X86
  if (kernels_supported(&kAvx2Kernels)) return sum_avx2(p, n);
#endif
  return sum_words(p, n);
}

}  // namespace

Limits::Limits(const char* isa, int threads, int cpus, int64_t size)
    : kernels_(find_kernels(isa)),
      memory_(std::max(size, kChunk) / kChunk * kChunk, "reading memory at full speed; free some"),
      chunks_(memory_.size() / kChunk),
      team_(std::max(threads, 1), cpus) {
  team_.run(
      [](void* context, int) {
        auto* limits = static_cast<Limits*>(context);
        return limits->team_.for_each(limits->chunks_, [limits](int64_t chunk) {
          std::memset(limits->memory_.data() + chunk * kChunk, static_cast<int>(chunk & 0x7f) + 1, kChunk);
        });
      },
      this);
}

int64_t Limits::read(int64_t bytes) {
  struct Job {
    Limits* limits;
    int64_t chunks;
  } job = {this, std::max<int64_t>(bytes / kChunk, 1)};
  team_.run(
      [](void* context, int) {
        const auto* j = static_cast<const Job*>(context);
        Limits* limits = j->limits;
        return limits->team_.for_each(j->chunks, [limits](int64_t chunk) {
          const int64_t at = (limits->next_ + chunk) % limits->chunks_;
          limits->result_.fetch_add(sum_bytes(limits->memory_.data() + at * kChunk, kChunk), std::memory_order_relaxed);
        });
      },
      &job);
  next_ = (next_ + job.chunks) % chunks_;
  return job.chunks * kChunk;
}

Limits::Multiply Limits::multiplication(int arithmetic) const {
  const char* name = kernels_->name;
  const bool integers = arithmetic == TRTGO_CPU_ARITHMETIC_INTEGERS;
  [[maybe_unused]] const bool pairs = arithmetic == TRTGO_CPU_ARITHMETIC_PAIRS;
#if TRTGO_CPU_X86
  if (std::strncmp(name, "avx512", 6) == 0) {
    if (integers) return __builtin_cpu_supports("avx512vnni") ? integers_vnni : integers_avx2;
    return pairs && std::strcmp(name, "avx512bf16") == 0 ? pairs_avx512 : floats_avx512;
  }
  if (std::strcmp(name, "avx2") == 0) return integers ? integers_avx2 : floats_avx2;
#elif TRTGO_CPU_ARM
  if (std::strncmp(name, "neon", 4) == 0) {
    if (integers) return std::strcmp(name, "neon") == 0 ? integers_neon : bytes_neon;
    return pairs && std::strcmp(name, "neonbf16") == 0 ? pairs_neon : floats_neon;
  }
#endif
  static_cast<void>(name);
  return integers ? integers_scalar : floats_scalar;
}

double Limits::multiply(int arithmetic, double count) {
  struct Job {
    Limits* limits;
    Multiply multiply;
    int64_t chunks;
    int64_t rounds;
    double done;  // by a chunk
  } job = {this, multiplication(arithmetic), 0, 2000, 0};
  job.done = job.multiply(1) * static_cast<double>(job.rounds);
  // As many for each thread, so that none of them is done long before the others.
  const int64_t threads = team_.size();
  job.chunks = std::max<int64_t>(static_cast<int64_t>(count / job.done), 1);
  job.chunks = (job.chunks + threads - 1) / threads * threads;
  team_.run(
      [](void* context, int) {
        const auto* j = static_cast<const Job*>(context);
        return j->limits->team_.for_each(j->chunks, [j](int64_t) { j->multiply(j->rounds); });
      },
      &job);
  return 2 * job.done * static_cast<double>(job.chunks);
}

}  // namespace cpu
}  // namespace trtgo
