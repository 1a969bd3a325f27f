// Choosing tokens from logits, as TensorRT-LLM's decoder does.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <vector>

#include "tensorrt_llm/executor/executor.h"

namespace trtllm_standin {

namespace tle = tensorrt_llm::executor;

// What a request asks of the decoder, with defaults filled in.
struct Decoding {
  Decoding(const tle::Request& request, int32_t vocabSize, tle::DataType logitsType);

  int32_t vocabSize, beamWidth, topK, minTokens, promptIgnoreLength, noRepeatNgramSize, earlyStopping, endId;
  float topP, topPMin, topPDecay, minP, temperature, repetitionPenalty, presencePenalty, frequencyPenalty;
  float diversityRate, lengthPenalty;
  int32_t topPResetId;
  uint64_t seed;
  std::vector<float> bias;  // empty, or one for each of the vocabulary
  std::list<std::vector<int32_t>> badWords, stopWords;
};

// A row of logits after bias, temperature, penalties and bans.
struct Processed {
  std::vector<float> logits;
  double logSumExp;

  float logProb(int32_t token) const { return static_cast<float>(logits[static_cast<size_t>(token)] - logSumExp); }
};

// Processes the row that follows tokens, of which the first are the prompt.
Processed process(const Decoding& decoding, const float* row, const std::vector<int32_t>& tokens, int32_t promptLen);

// A token and the probability of all that could have been chosen.
struct Choice {
  int32_t token;
  double mass;
};

// Draws the n-th token of a sequence with the present top-p.
Choice choose(const Decoding& decoding, const Processed& row, float topP, uint64_t n);
// The top-p after a token.
float topPAfter(const Decoding& decoding, float topP, int32_t token);
// Whether tokens, the last of which was generated, end with a stop word.
bool stops(const Decoding& decoding, const std::vector<int32_t>& tokens);

}  // namespace trtllm_standin
