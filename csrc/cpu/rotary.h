// Rotary position embedding: the table of a step and the rotation of a head.
#ifndef TRTGO_CPU_ROTARY_H_
#define TRTGO_CPU_ROTARY_H_

#include <cstdint>

namespace trtgo {
namespace cpu {

// Fills row[0, half) with the cosines and row[half, 2*half) with the sines of
// position*inv_freq[j]. As transformers does in float32: the angle is rounded to
// float, and so is each result; between them the arithmetic is double.
void rotary_row(int position, const float* inv_freq, int half, float* row);

// out[head_size] = head[head_size] with its first 2*half values rotated by a row of
// the table, value j paired with value j+half. out may be head.
void rotate_half(const float* head, const float* row, int half, int head_size, float* out);

}  // namespace cpu
}  // namespace trtgo

#endif  // TRTGO_CPU_ROTARY_H_
