// A language model whose logits are a hash of all tokens before: the toy of internal/executor/executortest, to the bit.
#pragma once

#include <cstdint>
#include <vector>

namespace trtllm_standin {

// The state of one sequence.
class History {
 public:
  void append(int32_t token);
  // Writes the logits of the next token, one for each of the vocabulary.
  void logits(float* row, int32_t vocabSize) const;

 private:
  std::vector<uint64_t> cells_;  // the keys and values, so to speak, of each token
};

// The n-th number of a seed's stream, uniform in [0, 1). SplitMix64 as a counter.
double uniform(uint64_t seed, uint64_t n);

}  // namespace trtllm_standin
