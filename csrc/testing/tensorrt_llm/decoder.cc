#include "decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "access.h"
#include "exception.h"
#include "model.h"

namespace trtllm_standin {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();
constexpr int32_t kTopKMax = 1024;  // of upstream's kernels

bool endsWith(const std::vector<int32_t>& tokens, const int32_t* tail, size_t length) {
  return tokens.size() >= length && std::equal(tail, tail + length, tokens.end() - static_cast<ptrdiff_t>(length));
}

// Bias, temperature and penalties, in the order of upstream's batchApplyPenalty.
void applyPenalties(const Decoding& d, std::vector<float>& logits, const std::vector<int32_t>& tokens,
                    int32_t promptLen) {
  const auto most = std::numeric_limits<float>::max();
  std::map<int32_t, int32_t> counts;  // 0: only in the ignored part of the prompt
  const int32_t ignored = std::min(d.promptIgnoreLength, promptLen);
  for (size_t i = 0; i < tokens.size(); i++) counts[tokens[i]] += static_cast<int32_t>(i) >= ignored ? 1 : 0;
  const double scale = 1 / (static_cast<double>(d.temperature) + 1e-6);
  for (size_t i = 0; i < logits.size(); i++) {
    double logit = logits[i];
    if (!d.bias.empty()) logit += d.bias[i];
    if (d.temperature != 1) logit *= scale;
    const auto seen = counts.find(static_cast<int32_t>(i));
    if (seen != counts.end()) {
      if (d.repetitionPenalty != 1) logit = logit > 0 ? logit / d.repetitionPenalty : logit * d.repetitionPenalty;
      if (seen->second > 0) logit -= d.presencePenalty + static_cast<double>(d.frequencyPenalty) * seen->second;
    }
    logits[i] = std::isinf(logit) ? static_cast<float>(logit)
                                  : static_cast<float>(std::clamp<double>(logit, -static_cast<double>(most), most));
  }
}

void banWords(const Decoding& d, std::vector<float>& logits, const std::vector<int32_t>& tokens) {
  for (const auto& word : d.badWords) {
    const int32_t last = word.back();
    if (last < d.vocabSize && endsWith(tokens, word.data(), word.size() - 1))
      logits[static_cast<size_t>(last)] = kBanned;
  }
}

void banNgrams(const Decoding& d, std::vector<float>& logits, const std::vector<int32_t>& tokens) {
  const auto n = static_cast<size_t>(d.noRepeatNgramSize);
  if (n == 0 || n > tokens.size()) return;
  const int32_t* tail = tokens.data() + tokens.size() - (n - 1);
  for (size_t at = 0; at + n <= tokens.size(); at++) {
    if (std::equal(tail, tail + (n - 1), tokens.data() + at)) logits[static_cast<size_t>(tokens[at + n - 1])] = kBanned;
  }
}

double logSumExp(const std::vector<float>& logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  return top + std::log(sum);
}

}  // namespace

Decoding::Decoding(const tle::Request& request, int32_t vocabSize, tle::DataType logitsType) : vocabSize(vocabSize) {
  const auto& r = tle::Serialization::of(request);
  const tle::SamplingConfig& s = r.sampling;
  beamWidth = s.getBeamWidth();
  topK = std::min(s.getTopK().value_or(0), kTopKMax);
  if (topK == 0 && !s.getTopP()) topK = 1;  // neither: greedy, as upstream's kernels do without top-p
  topP = s.getTopP().value_or(1);
  topPMin = s.getTopPMin().value_or(1e-6f);
  topPDecay = s.getTopPDecay().value_or(1);
  topPResetId = s.getTopPResetIds().value_or(-1);
  minP = s.getMinP().value_or(0);
  seed = s.getSeed().value_or(0);
  temperature = s.getTemperature().value_or(1);
  minTokens = s.getMinTokens().value_or(1);
  repetitionPenalty = s.getRepetitionPenalty().value_or(1);
  presencePenalty = s.getPresencePenalty().value_or(0);
  frequencyPenalty = s.getFrequencyPenalty().value_or(0);
  promptIgnoreLength = s.getPromptIgnoreLength().value_or(0);
  noRepeatNgramSize = s.getNoRepeatNgramSize().value_or(0);
  diversityRate = s.getBeamSearchDiversityRate().value_or(0);
  lengthPenalty = s.getLengthPenalty().value_or(0);
  earlyStopping = s.getEarlyStopping().value_or(1);
  endId = r.endId.value_or(-1);
  if (r.badWords) badWords = *r.badWords;
  if (r.stopWords) stopWords = *r.stopWords;
  for (const auto* words : {&badWords, &stopWords}) {
    for (const auto& word : *words) STANDIN_CHECK(!word.empty(), "a word without tokens");
  }
  if (r.embeddingBias) {
    const auto* tensor = tle::Serialization::of(*r.embeddingBias);
    STANDIN_CHECK(tensor->dims == std::vector<int64_t>{vocabSize}, "The shape of embedding bias must be [vocabSize]");
    STANDIN_CHECK(tensor->type == logitsType, "The type of embedding bias must be that of the logits");
    bias = tensor->values();
  }
}

Processed process(const Decoding& d, const float* row, const std::vector<int32_t>& tokens, int32_t promptLen) {
  Processed result{std::vector<float>(row, row + d.vocabSize), 0};
  const bool penalised = d.repetitionPenalty != 1 || d.presencePenalty != 0 || d.frequencyPenalty != 0;
  if (penalised || d.temperature != 1 || !d.bias.empty()) applyPenalties(d, result.logits, tokens, promptLen);
  const auto generated = static_cast<int32_t>(tokens.size()) - promptLen;
  if (d.endId >= 0 && d.endId < d.vocabSize && generated < d.minTokens - (d.minTokens == 1 ? 1 : 0)) {
    result.logits[static_cast<size_t>(d.endId)] = kBanned;
  }
  banWords(d, result.logits, tokens);
  banNgrams(d, result.logits, tokens);
  result.logSumExp = logSumExp(result.logits);
  return result;
}

Choice choose(const Decoding& d, const Processed& row, float topP, uint64_t n) {
  std::vector<int32_t> order;
  const auto& logits = row.logits;
  if (d.topK == 1) {
    return {static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()), 1};
  }
  for (int32_t i = 0; i < d.vocabSize; i++) {
    if (logits[static_cast<size_t>(i)] > kBanned) order.push_back(i);
  }
  if (order.empty()) return {0, 1};  // all are banned: upstream's kernels take anything
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  if (d.topK > 0 && static_cast<size_t>(d.topK) < order.size()) order.resize(static_cast<size_t>(d.topK));
  if (d.minP > 0) {
    const double least = logits[static_cast<size_t>(order[0])] + std::log(static_cast<double>(d.minP));
    while (logits[static_cast<size_t>(order.back())] < least) order.pop_back();
  }
  double mass = 0;
  for (const int32_t token : order) mass += std::exp(row.logits[static_cast<size_t>(token)] - row.logSumExp);
  const double target = uniform(d.seed, n) * static_cast<double>(topP) * mass;
  double sum = 0;
  for (const int32_t token : order) {
    sum += std::exp(row.logits[static_cast<size_t>(token)] - row.logSumExp);
    if (sum > target) return {token, mass * static_cast<double>(topP)};
  }
  return {order.back(), mass * static_cast<double>(topP)};
}

float topPAfter(const Decoding& d, float topP, int32_t token) {
  if (token == d.topPResetId) return d.topP;
  return std::max(topP * d.topPDecay, d.topPMin);
}

bool stops(const Decoding& d, const std::vector<int32_t>& tokens) {
  for (const auto& word : d.stopWords) {
    if (endsWith(tokens, word.data(), word.size())) return true;
  }
  return false;
}

}  // namespace trtllm_standin
