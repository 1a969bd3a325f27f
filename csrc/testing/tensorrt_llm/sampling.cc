// Sampling settings, with the limits that upstream checks.
#include <algorithm>

#include "access.h"
#include "exception.h"

namespace tensorrt_llm::executor {
namespace {

template <class T>
void atLeast(const std::optional<T>& value, T least, const char* name) {
  STANDIN_CHECK(!value || *value >= least, std::string(name) + " is out of range");
}

void above(const std::optional<FloatType>& value, FloatType least, const char* name) {
  STANDIN_CHECK(!value || *value > least, std::string(name) + " is out of range");
}

void upTo1(const std::optional<FloatType>& value, const char* name) {
  STANDIN_CHECK(!value || *value <= 1.f, std::string(name) + " is out of range");
}

// In beam search no more sequences can be returned than there are beams.
void checkReturned(const std::optional<SizeType32>& number, SizeType32 beamWidth) {
  STANDIN_CHECK(!number || *number > 0, "numReturnSequences is out of range");
  STANDIN_CHECK(!number || beamWidth == 1 || *number <= beamWidth, "numReturnSequences exceeds beamWidth");
}

}  // namespace

SamplingConfig::SamplingConfig(
    SizeType32 beamWidth, std::optional<SizeType32> const& topK, std::optional<FloatType> const& topP,
    std::optional<FloatType> const& topPMin, std::optional<TokenIdType> const& topPResetIds,
    std::optional<FloatType> const& topPDecay, std::optional<RandomSeedType> const& seed,
    std::optional<FloatType> const& temperature, std::optional<SizeType32> const& minTokens,
    std::optional<FloatType> const& beamSearchDiversityRate, std::optional<FloatType> const& repetitionPenalty,
    std::optional<FloatType> const& presencePenalty, std::optional<FloatType> const& frequencyPenalty,
    std::optional<SizeType32> const& promptIgnoreLength, std::optional<FloatType> const& lengthPenalty,
    std::optional<SizeType32> const& earlyStopping, std::optional<SizeType32> const& noRepeatNgramSize,
    std::optional<SizeType32> const& numReturnSequences, std::optional<FloatType> const& minP,
    std::optional<std::vector<SizeType32>> const& beamWidthArray)
    : mBeamWidth{beamWidth},
      mTopK{topK},
      mTopP{topP},
      mTopPMin{topPMin},
      mTopPResetIds{topPResetIds},
      mTopPDecay{topPDecay},
      mSeed{seed},
      mTemperature{temperature},
      mMinTokens{minTokens},
      mBeamSearchDiversityRate{beamSearchDiversityRate},
      mRepetitionPenalty{repetitionPenalty},
      mPresencePenalty{presencePenalty},
      mFrequencyPenalty{frequencyPenalty},
      mPromptIgnoreLength{promptIgnoreLength},
      mLengthPenalty{lengthPenalty},
      mEarlyStopping{earlyStopping},
      mNoRepeatNgramSize{noRepeatNgramSize},
      mNumReturnSequences{numReturnSequences},
      mMinP{minP} {
  STANDIN_ENTRY("SamplingConfig::SamplingConfig");
  STANDIN_CHECK(beamWidth > 0, "beamWidth is out of range");
  STANDIN_CHECK(!beamWidthArray, "beamWidthArray is not supported by the stand-in");
  atLeast(topK, 0, "topK");
  above(topP, 0.f, "topP");
  upTo1(topP, "topP");
  atLeast(topPMin, 0.f, "topPMin");
  upTo1(topPMin, "topPMin");
  atLeast(topPResetIds, 0, "topPResetIds");
  above(topPDecay, 0.f, "topPDecay");
  upTo1(topPDecay, "topPDecay");
  atLeast(temperature, 0.f, "temperature");
  atLeast(minTokens, 0, "minTokens");
  atLeast(beamSearchDiversityRate, 0.f, "beamSearchDiversityRate");
  above(repetitionPenalty, 0.f, "repetitionPenalty");
  atLeast(promptIgnoreLength, 0, "promptIgnoreLength");
  atLeast(noRepeatNgramSize, 0, "noRepeatNgramSize");
  checkReturned(numReturnSequences, mBeamWidth);
  atLeast(minP, 0.f, "minP");
  upTo1(minP, "minP");
}

SizeType32 SamplingConfig::getBeamWidth() const {
  STANDIN_ENTRY("SamplingConfig::getBeamWidth");
  return mBeamWidth;
}

SizeType32 SamplingConfig::getNumReturnBeams() const {
  STANDIN_ENTRY("SamplingConfig::getNumReturnBeams");
  return mBeamWidth > 1 ? std::min(mNumReturnSequences.value_or(mBeamWidth), mBeamWidth) : 1;
}

std::optional<SizeType32> SamplingConfig::getTopK() const {
  STANDIN_ENTRY("SamplingConfig::getTopK");
  return mTopK;
}

std::optional<FloatType> SamplingConfig::getTopP() const {
  STANDIN_ENTRY("SamplingConfig::getTopP");
  return mTopP;
}

std::optional<FloatType> SamplingConfig::getTopPMin() const {
  STANDIN_ENTRY("SamplingConfig::getTopPMin");
  return mTopPMin;
}

std::optional<SizeType32> SamplingConfig::getTopPResetIds() const {
  STANDIN_ENTRY("SamplingConfig::getTopPResetIds");
  return mTopPResetIds;
}

std::optional<FloatType> SamplingConfig::getTopPDecay() const {
  STANDIN_ENTRY("SamplingConfig::getTopPDecay");
  return mTopPDecay;
}

std::optional<RandomSeedType> SamplingConfig::getSeed() const {
  STANDIN_ENTRY("SamplingConfig::getSeed");
  return mSeed;
}

std::optional<FloatType> SamplingConfig::getTemperature() const {
  STANDIN_ENTRY("SamplingConfig::getTemperature");
  return mTemperature;
}

std::optional<SizeType32> SamplingConfig::getMinTokens() const {
  STANDIN_ENTRY("SamplingConfig::getMinTokens");
  return mMinTokens;
}

std::optional<FloatType> SamplingConfig::getBeamSearchDiversityRate() const {
  STANDIN_ENTRY("SamplingConfig::getBeamSearchDiversityRate");
  return mBeamSearchDiversityRate;
}

std::optional<FloatType> SamplingConfig::getRepetitionPenalty() const {
  STANDIN_ENTRY("SamplingConfig::getRepetitionPenalty");
  return mRepetitionPenalty;
}

std::optional<FloatType> SamplingConfig::getPresencePenalty() const {
  STANDIN_ENTRY("SamplingConfig::getPresencePenalty");
  return mPresencePenalty;
}

std::optional<FloatType> SamplingConfig::getFrequencyPenalty() const {
  STANDIN_ENTRY("SamplingConfig::getFrequencyPenalty");
  return mFrequencyPenalty;
}

std::optional<SizeType32> SamplingConfig::getPromptIgnoreLength() const {
  STANDIN_ENTRY("SamplingConfig::getPromptIgnoreLength");
  return mPromptIgnoreLength;
}

std::optional<FloatType> SamplingConfig::getLengthPenalty() const {
  STANDIN_ENTRY("SamplingConfig::getLengthPenalty");
  return mLengthPenalty;
}

std::optional<SizeType32> SamplingConfig::getEarlyStopping() const {
  STANDIN_ENTRY("SamplingConfig::getEarlyStopping");
  return mEarlyStopping;
}

std::optional<SizeType32> SamplingConfig::getNoRepeatNgramSize() const {
  STANDIN_ENTRY("SamplingConfig::getNoRepeatNgramSize");
  return mNoRepeatNgramSize;
}

std::optional<SizeType32> SamplingConfig::getNumReturnSequences() const {
  STANDIN_ENTRY("SamplingConfig::getNumReturnSequences");
  return mNumReturnSequences;
}

std::optional<FloatType> SamplingConfig::getMinP() const {
  STANDIN_ENTRY("SamplingConfig::getMinP");
  return mMinP;
}

void SamplingConfig::setBeamWidth(SizeType32 beamWidth) {
  STANDIN_ENTRY("SamplingConfig::setBeamWidth");
  STANDIN_CHECK(beamWidth > 0, "beamWidth is out of range");
  mBeamWidth = beamWidth;
}

void SamplingConfig::setTopK(std::optional<SizeType32> const& topK) {
  STANDIN_ENTRY("SamplingConfig::setTopK");
  atLeast(topK, 0, "topK");
  mTopK = topK;
}

void SamplingConfig::setTopP(std::optional<FloatType> const& topP) {
  STANDIN_ENTRY("SamplingConfig::setTopP");
  above(topP, 0.f, "topP");
  upTo1(topP, "topP");
  mTopP = topP;
}

void SamplingConfig::setTopPMin(std::optional<FloatType> const& topPMin) {
  STANDIN_ENTRY("SamplingConfig::setTopPMin");
  atLeast(topPMin, 0.f, "topPMin");
  upTo1(topPMin, "topPMin");
  mTopPMin = topPMin;
}

void SamplingConfig::setTopPResetIds(std::optional<TokenIdType> const& topPResetIds) {
  STANDIN_ENTRY("SamplingConfig::setTopPResetIds");
  atLeast(topPResetIds, 0, "topPResetIds");
  mTopPResetIds = topPResetIds;
}

void SamplingConfig::setTopPDecay(std::optional<FloatType> const& topPDecay) {
  STANDIN_ENTRY("SamplingConfig::setTopPDecay");
  above(topPDecay, 0.f, "topPDecay");
  upTo1(topPDecay, "topPDecay");
  mTopPDecay = topPDecay;
}

void SamplingConfig::setSeed(std::optional<RandomSeedType> const& seed) {
  STANDIN_ENTRY("SamplingConfig::setSeed");
  mSeed = seed;
}

void SamplingConfig::setTemperature(std::optional<FloatType> const& temperature) {
  STANDIN_ENTRY("SamplingConfig::setTemperature");
  atLeast(temperature, 0.f, "temperature");
  mTemperature = temperature;
}

void SamplingConfig::setMinTokens(std::optional<SizeType32> const& minTokens) {
  STANDIN_ENTRY("SamplingConfig::setMinTokens");
  atLeast(minTokens, 0, "minTokens");
  mMinTokens = minTokens;
}

void SamplingConfig::setBeamSearchDiversityRate(std::optional<FloatType> const& beamSearchDiversityRate) {
  STANDIN_ENTRY("SamplingConfig::setBeamSearchDiversityRate");
  atLeast(beamSearchDiversityRate, 0.f, "beamSearchDiversityRate");
  mBeamSearchDiversityRate = beamSearchDiversityRate;
}

void SamplingConfig::setRepetitionPenalty(std::optional<FloatType> const& repetitionPenalty) {
  STANDIN_ENTRY("SamplingConfig::setRepetitionPenalty");
  above(repetitionPenalty, 0.f, "repetitionPenalty");
  mRepetitionPenalty = repetitionPenalty;
}

void SamplingConfig::setPresencePenalty(std::optional<FloatType> const& presencePenalty) {
  STANDIN_ENTRY("SamplingConfig::setPresencePenalty");
  mPresencePenalty = presencePenalty;
}

void SamplingConfig::setFrequencyPenalty(std::optional<FloatType> const& frequencyPenalty) {
  STANDIN_ENTRY("SamplingConfig::setFrequencyPenalty");
  mFrequencyPenalty = frequencyPenalty;
}

void SamplingConfig::setPromptIgnoreLength(std::optional<SizeType32> const& promptIgnoreLength) {
  STANDIN_ENTRY("SamplingConfig::setPromptIgnoreLength");
  atLeast(promptIgnoreLength, 0, "promptIgnoreLength");
  mPromptIgnoreLength = promptIgnoreLength;
}

void SamplingConfig::setLengthPenalty(std::optional<FloatType> const& lengthPenalty) {
  STANDIN_ENTRY("SamplingConfig::setLengthPenalty");
  mLengthPenalty = lengthPenalty;
}

void SamplingConfig::setEarlyStopping(std::optional<SizeType32> const& earlyStopping) {
  STANDIN_ENTRY("SamplingConfig::setEarlyStopping");
  mEarlyStopping = earlyStopping;
}

void SamplingConfig::setNoRepeatNgramSize(std::optional<SizeType32> const& noRepeatNgramSize) {
  STANDIN_ENTRY("SamplingConfig::setNoRepeatNgramSize");
  atLeast(noRepeatNgramSize, 0, "noRepeatNgramSize");
  mNoRepeatNgramSize = noRepeatNgramSize;
}

void SamplingConfig::setNumReturnSequences(std::optional<SizeType32> const& numReturnSequences) {
  STANDIN_ENTRY("SamplingConfig::setNumReturnSequences");
  checkReturned(numReturnSequences, mBeamWidth);
  mNumReturnSequences = numReturnSequences;
}

void SamplingConfig::setMinP(std::optional<FloatType> const& minP) {
  STANDIN_ENTRY("SamplingConfig::setMinP");
  atLeast(minP, 0.f, "minP");
  upTo1(minP, "minP");
  mMinP = minP;
}

}  // namespace tensorrt_llm::executor
