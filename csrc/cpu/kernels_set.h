// What every kernel set begins with: included first, before the intrinsics.
#ifndef TRTGO_CPU_KERNELS_SET_H_
#define TRTGO_CPU_KERNELS_SET_H_

// Multiply and add are fused only where the code says so, on every compiler and processor.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#if defined(__aarch64__)
// Scheduled before registers are allocated, the weights of a tile crowd out its sums. Not
// later in the file: GCC inlines nothing into functions that are optimised otherwise.
#pragma GCC optimize("no-schedule-insns")
#endif
#endif

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels.h"
#include "kernels_bf16.h"
#include "kernels_tables.h"

#endif  // TRTGO_CPU_KERNELS_SET_H_
