// Candidates: what a row of logits becomes before it leaves for Go.
#ifndef TRTGO_CPU_CANDIDATES_H_
#define TRTGO_CPU_CANDIDATES_H_

#include <cstdint>

#include "kernels.h"
#include "trtgo_cpu.h"

namespace trtgo {
namespace cpu {

// 64-bit keys that select_candidates wants as scratch.
constexpr int kCandidateKeys = 2 * TRTGO_CPU_MAX_CANDIDATES;

// Writes the k <= n largest of logits[n]*inv_temperature to out, descending, equal
// ones (0 and -0 too) by ascending index; NaN is below everything. `raw` is left
// alone. k is at most TRTGO_CPU_MAX_CANDIDATES.
void select_candidates(const float* logits, int n, float inv_temperature, int k, uint64_t* keys,
                       trtgo_cpu_candidate* out);

// Answers a row from its logits[n]: takes the targets', edits them in order, takes
// statistics and candidates, and puts the raw ones back. edits and targets point to
// the row's own, out to its candidates.
void answer_row(const Kernels& kernels, float* logits, int n, trtgo_cpu_row* row, trtgo_cpu_edit* edits,
                trtgo_cpu_target* targets, uint64_t* keys, trtgo_cpu_candidate* out);

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_CANDIDATES_H_
