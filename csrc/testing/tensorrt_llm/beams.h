// Beam search, by the rules of upstream's kernels for up to 8 beams: see internal/inflight/beam.go, which has their
// names.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "decoder.h"
#include "model.h"

namespace trtllm_standin {

// A hypothesis: one that lives, or has ended.
struct Beam {
  std::vector<int32_t> tokens;  // prompt and output
  History history;
  std::vector<float> logProbs;           // of the output
  std::vector<std::vector<float>> rows;  // the model's logits of the output, when they are wanted
  double cumLogProb = 0;
  int32_t length = 0;  // of the output, an end id counted
  double score = 0;    // once it has ended
  tle::FinishReason reason = tle::FinishReason::kNOT_FINISHED;
};

class BeamSearch {
 public:
  BeamSearch(const Decoding& decoding, const std::vector<int32_t>& prompt, int32_t maxTokens, bool keepRows);

  // One step of all beams that live.
  void advance();
  bool done() const { return done_; }
  // The best n beams, descending; those that live end with reason.
  std::vector<Beam> best(size_t n, tle::FinishReason reason) const;
  size_t live() const { return live_.size(); }

 private:
  double scoreOf(double cumLogProb, int32_t length) const;
  void keep(Beam beam);
  bool isDone(double bestRank, int32_t length) const;

  const Decoding& decoding_;
  const int32_t promptLen_, maxTokens_;
  const bool keepRows_;
  std::vector<Beam> live_, ended_;
  bool done_ = false;
};

}  // namespace trtllm_standin
