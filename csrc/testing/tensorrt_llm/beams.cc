#include "beams.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace trtllm_standin {
namespace {

struct Extension {
  size_t parent;
  int32_t token;
  double cum, rank;
  float logProb;
};

}  // namespace

BeamSearch::BeamSearch(const Decoding& decoding, const std::vector<int32_t>& prompt, int32_t maxTokens, bool keepRows)
    : decoding_(decoding),
      promptLen_(static_cast<int32_t>(prompt.size())),
      maxTokens_(maxTokens),
      keepRows_(keepRows),
      live_(1) {
  live_[0].tokens = prompt;
  for (const int32_t token : prompt) live_[0].history.append(token);
}

void BeamSearch::advance() {
  std::vector<std::vector<float>> rows;
  std::vector<Extension> extensions;
  for (size_t parent = 0; parent < live_.size(); parent++) {
    const Beam& beam = live_[parent];
    rows.emplace_back(static_cast<size_t>(decoding_.vocabSize));
    beam.history.logits(rows.back().data(), decoding_.vocabSize);
    const Processed row = process(decoding_, rows.back().data(), beam.tokens, promptLen_);
    for (int32_t token = 0; token < decoding_.vocabSize; token++) {
      const float logProb = row.logProb(token);
      if (std::isinf(logProb)) continue;
      const double cum = beam.cumLogProb + static_cast<double>(logProb);
      extensions.push_back({parent, token, cum,
                            cum + static_cast<double>(decoding_.diversityRate) * static_cast<double>(parent), logProb});
    }
  }
  std::stable_sort(extensions.begin(), extensions.end(),
                   [](const Extension& a, const Extension& b) { return a.rank > b.rank; });
  const auto width = static_cast<size_t>(decoding_.beamWidth);
  const int32_t length = live_[0].length + 1;
  std::vector<Beam> next;
  for (size_t i = 0; i < extensions.size() && next.size() < width; i++) {
    const Extension& x = extensions[i];
    Beam beam = live_[x.parent];
    beam.cumLogProb = x.cum;
    beam.length++;
    if (x.token == decoding_.endId) {
      beam.reason = tle::FinishReason::kEND_ID;  // it counts, but is not in the output
    } else {
      beam.tokens.push_back(x.token);
      beam.history.append(x.token);
      beam.logProbs.push_back(x.logProb);
      if (keepRows_) beam.rows.push_back(rows[x.parent]);
      if (stops(decoding_, beam.tokens)) beam.reason = tle::FinishReason::kSTOP_WORDS;
    }
    if (beam.reason == tle::FinishReason::kNOT_FINISHED) {
      next.push_back(std::move(beam));
    } else if (i < width) {  // a worse one that ends is dropped
      keep(std::move(beam));
    }
  }
  live_ = std::move(next);
  done_ = live_.empty() || isDone(extensions.empty() ? 0 : extensions[0].rank, length) || length >= maxTokens_;
}

void BeamSearch::keep(Beam beam) {
  beam.score = scoreOf(beam.cumLogProb, beam.length);
  const auto width = static_cast<size_t>(decoding_.beamWidth);
  if (ended_.size() < width) {
    ended_.push_back(std::move(beam));
    return;
  }
  const auto worst =
      std::min_element(ended_.begin(), ended_.end(), [](const Beam& a, const Beam& b) { return a.score < b.score; });
  if (beam.score >= worst->score) *worst = std::move(beam);
}

bool BeamSearch::isDone(double bestRank, int32_t length) const {
  if (ended_.size() < static_cast<size_t>(decoding_.beamWidth)) return false;
  if (decoding_.earlyStopping == 1) return true;
  if (decoding_.earlyStopping != 0 && decoding_.lengthPenalty > 0) length = maxTokens_;
  double worst = std::numeric_limits<double>::infinity();
  for (const Beam& beam : ended_) worst = std::min(worst, beam.score);
  return worst >= scoreOf(bestRank, length);
}

double BeamSearch::scoreOf(double cumLogProb, int32_t length) const {
  if (decoding_.lengthPenalty == 0 || length <= 1) return cumLogProb;
  return cumLogProb / std::pow(static_cast<double>(length), static_cast<double>(decoding_.lengthPenalty));
}

std::vector<Beam> BeamSearch::best(size_t n, tle::FinishReason reason) const {
  std::vector<Beam> list = ended_;
  const bool full = ended_.size() == static_cast<size_t>(decoding_.beamWidth) && !live_.empty() &&
                    live_[0].length < maxTokens_ && done_;
  if (!full) {
    for (Beam beam : live_) {
      beam.score = scoreOf(beam.cumLogProb, beam.length);
      beam.reason = reason;
      list.push_back(std::move(beam));
    }
  }
  std::stable_sort(list.begin(), list.end(), [](const Beam& a, const Beam& b) { return a.score > b.score; });
  if (list.size() > n) list.resize(n);
  return list;
}

}  // namespace trtllm_standin
