#include "engine.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

#include "exception.h"

namespace trtllm_standin {
namespace {

using tensorrt_llm::runtime::ITensor;

// The number behind a key, wherever in the text it is.
int32_t numberOf(const std::string& json, const char* key, int32_t otherwise) {
  size_t at = json.find('"' + std::string(key) + '"');
  if (at == std::string::npos) return otherwise;
  at = json.find_first_not_of(" \t\r\n:", json.find(':', at));
  if (json.compare(at, 4, "true") == 0) return 1;
  const char first = json[at];
  return (first >= '0' && first <= '9') ? std::atoi(json.c_str() + at) : otherwise;
}

// The text behind a key, wherever it is.
std::string textOf(const std::string& json, const char* key) {
  size_t at = json.find('"' + std::string(key) + '"');
  if (at == std::string::npos) return "";
  at = json.find('"', json.find(':', at));
  return json.substr(at + 1, json.find('"', at + 1) - at - 1);
}

int32_t blocksOf(const EngineConfig& engine, const tle::ExecutorConfig& config, const Script& script) {
  const auto maxTokens = config.getKvCacheConfig().getMaxTokens();
  if (maxTokens) return (*maxTokens + engine.tokensPerBlock - 1) / engine.tokensPerBlock;
  return static_cast<int32_t>(script.number("kv_blocks", 64));
}

}  // namespace

EngineConfig EngineConfig::read(const std::filesystem::path& directory, int32_t rank) {
  const auto path = directory / "config.json";
  STANDIN_CHECK(std::filesystem::exists(path), "File does not exist: " + path.string());
  std::ifstream file(path);
  const std::string json{std::istreambuf_iterator<char>(file), {}};
  const auto plan = directory / ("rank" + std::to_string(rank) + ".engine");
  STANDIN_CHECK(std::filesystem::exists(plan), "Error opening engine file: " + plan.string());
  EngineConfig c;
  c.vocabSize = numberOf(json, "vocab_size", c.vocabSize);
  c.maxSeqLen = numberOf(json, "max_seq_len", c.maxSeqLen);
  c.maxBatchSize = numberOf(json, "max_batch_size", c.maxBatchSize);
  c.maxNumTokens = numberOf(json, "max_num_tokens", c.maxNumTokens);
  c.maxBeamWidth = numberOf(json, "max_beam_width", c.maxBeamWidth);
  c.tokensPerBlock = numberOf(json, "tokens_per_block", c.tokensPerBlock);
  c.worldSize = numberOf(json, "world_size", c.worldSize);
  const std::string type = textOf(json, "logits_dtype");
  if (type == "float16") c.logitsType = tle::DataType::kFP16;
  if (type == "bfloat16") c.logitsType = tle::DataType::kBF16;
  c.gatherContextLogits = numberOf(json, "gather_context_logits", 0) != 0;
  return c;
}

Engine::Engine(const EngineConfig& engine, const tle::ExecutorConfig& config, std::shared_ptr<const Script> script)
    : engine_(engine),
      script_(std::move(script)),
      normalizeLogProbs_(config.getNormalizeLogProbs()),
      gatherGenerationLogits_(config.getGatherGenerationLogits()),
      chunked_(config.getEnableChunkedContext()),
      maxBatchSize_(std::min(config.getMaxBatchSize().value_or(engine.maxBatchSize), engine.maxBatchSize)),
      maxNumTokens_(std::min(config.getMaxNumTokens().value_or(engine.maxNumTokens), engine.maxNumTokens)),
      maxBeamWidth_(config.getMaxBeamWidth()),
      cache_(blocksOf(engine, config, *script_), engine.tokensPerBlock,
             config.getKvCacheConfig().getEnableBlockReuse()) {
  STANDIN_CHECK(config.getBatchingType() == tle::BatchingType::kINFLIGHT, "Static batching type is deprecated");
  STANDIN_CHECK(maxBeamWidth_ <= engine.maxBeamWidth,
                "Requested maxBeamWidth is larger than the engine's max_beam_width");
  maxSeqLen_ = std::min(engine.maxSeqLen, cache_.size() * cache_.tokensPerBlock());
  maxInputLen_ = chunked_ ? maxSeqLen_ - 1 : std::min(maxSeqLen_ - 1, maxNumTokens_);
}

std::shared_ptr<ActiveRequest> Engine::admit(tle::IdType id, const tle::Request& request) {
  auto r = std::make_shared<ActiveRequest>(id, request, engine_.vocabSize, engine_.logitsType);
  const auto& impl = r->request();
  requests_++;
  if (script_->at("error_request", requests_)) STANDIN_THROW("the script refuses this request");
  const int64_t token = script_->number("error_token", -1);
  if (std::find(impl.inputTokenIds.begin(), impl.inputTokenIds.end(), token) != impl.inputTokenIds.end()) {
    STANDIN_THROW("the script refuses this token");
  }
  const int32_t padded = engine_.vocabSizePadded();
  if (impl.endId) {
    STANDIN_CHECK(*impl.endId >= -1 && *impl.endId < padded, "EndId (" + std::to_string(*impl.endId) +
                                                                 ") is not within acceptable range [-1, " +
                                                                 std::to_string(padded) + ").");
  }
  if (r->promptLen > maxInputLen_) {
    STANDIN_THROW("[TensorRT-LLM][ERROR] Prompt length (" + std::to_string(r->promptLen) +
                  ") exceeds maximum input length (" + std::to_string(maxInputLen_) +
                  "). Set log level to info and check TRTGptModel logs for how maximum input length is set");
  }
  r->maxNewTokens = std::min(r->maxNewTokens, maxSeqLen_ - r->promptLen);
  const auto sequences =
      r->decoding.beamWidth > 1 ? 1 : static_cast<size_t>(impl.sampling.getNumReturnSequences().value_or(1));
  r->sequencesFinal = std::make_shared<std::vector<bool>>(sequences, false);
  r->perf.timingMetrics.arrivalTime = Clock::now();  // the time in the queue is not a part of it
  admitLogits(*r);
  return r;
}

TensorPtr Engine::newLogits(std::vector<int64_t> dims) const {
  return std::make_shared<ITensor>(engine_.logitsType, tle::MemoryType::kCPU_PINNEDPOOL, std::move(dims));
}

void Engine::admitLogits(ActiveRequest& r) const {
  const auto& output = r.request().output;
  if (output.returnContextLogits) {
    STANDIN_CHECK(engine_.gatherContextLogits, "Return context logit need to build engine with gather_context_logits");
  }
  if (output.returnGenerationLogits) {
    STANDIN_CHECK(gatherGenerationLogits_,
                  "To return generation logits, gather_generation_logits must be enabled in ExecutorConfig");
    const int64_t beams = r.decoding.beamWidth, tokens = r.maxNewTokens, padded = engine_.vocabSizePadded();
    if (!r.request().streaming) {
      r.generationLogits = newLogits({beams, tokens, padded});
    } else if (beams == 1) {  // with beams upstream turns them off
      r.generationLogits = newLogits({tokens, beams, padded});
    }
  }
}

void Engine::terminate(ActiveRequest& r) { cache_.release(r.share); }

// Takes the blocks that a request needs to its end.
bool Engine::begin(ActiveRequest& r) {
  // Upstream's decoder looks at this one only now, when all that run fail with it.
  STANDIN_CHECK(r.decoding.earlyStopping >= 0, "early stopping param (" + std::to_string(r.decoding.earlyStopping) +
                                                   ") is out of limits (-0.000000, 2147483648.000000]");
  const int32_t all = cache_.blocksFor(r.promptLen + r.maxNewTokens) * r.decoding.beamWidth;
  if (!cache_.fits(all)) return false;
  r.reusedTokens = cache_.start(r.share, r.request().inputTokenIds, r.salt(), all);
  r.contextPosition = r.reusedTokens;
  r.started = true;
  r.perf.timingMetrics.firstScheduledTime = Clock::now();
  r.perf.firstIter = iteration_;
  auto& metrics = r.perf.kvCacheMetrics;
  metrics.numReusedBlocks = r.share.reused;
  metrics.numMissedBlocks = r.share.missed;
  // The rows of what is reused are not computed, and not there.
  if (r.request().output.returnContextLogits) {
    r.contextLogits = newLogits({r.promptLen - r.reusedTokens, engine_.vocabSizePadded()});
  }
  return true;
}

// Computes as much of a prompt as the budget of tokens allows.
void Engine::prefill(ActiveRequest& r, int32_t& budget) {
  const int32_t left = r.promptLen - r.contextPosition;
  const int32_t chunk = std::min(left, budget);
  if (chunk < left && !chunked_) return;
  budget -= chunk;
  r.scheduled = true;
  flight_.numScheduledRequests++;
  flight_.numContextRequests++;
  flight_.numCtxTokens += chunk;
  const auto& prompt = r.request().inputTokenIds;
  if (r.contextPosition == r.reusedTokens) {
    for (int32_t i = 0; i < r.reusedTokens; i++) r.history.append(prompt[static_cast<size_t>(i)]);
  }
  for (int32_t i = 0; i < chunk; i++) {
    r.history.append(prompt[static_cast<size_t>(r.contextPosition)]);
    if (r.contextLogits != nullptr) {
      std::vector<float> row(static_cast<size_t>(engine_.vocabSize));
      r.history.logits(row.data(), engine_.vocabSize);
      r.contextLogits->setRow(r.contextPosition - r.reusedTokens, row);
    }
    r.contextPosition++;
  }
  if (r.contextPosition == r.promptLen) {
    cache_.store(r.share, prompt, r.salt());
    r.state = State::GENERATION;
    decode(r);
  }
}

namespace {

void decodeBeams(ActiveRequest& r) {
  if (!r.search) {
    const bool rows = r.generationLogits != nullptr;
    r.search.emplace(r.decoding, r.request().inputTokenIds, r.maxNewTokens, rows);
  }
  r.search->advance();
  r.decodingIter++;
  const auto width = static_cast<size_t>(r.decoding.beamWidth);
  const bool done = r.search->done();
  const auto beams = r.search->best(width, done ? tle::FinishReason::kLENGTH : tle::FinishReason::kNOT_FINISHED);
  for (size_t b = 0; b < beams.size(); b++) {
    r.tokens[b] = beams[b].tokens;
    r.logProbs[b] = beams[b].logProbs;
    r.cumLogProbs[b] = static_cast<float>(beams[b].cumLogProb);
    if (!done) continue;
    r.reasons[b] = beams[b].reason;
    for (size_t i = 0; i < beams[b].rows.size(); i++) {
      const auto at = static_cast<int64_t>(b) * r.maxNewTokens + static_cast<int64_t>(i);
      r.generationLogits->setRow(at, beams[b].rows[i]);
    }
  }
  if (done) r.state = State::COMPLETE;
}

}  // namespace

// Gives a request its next token, or each of its beams.
void Engine::decode(ActiveRequest& r) {
  const auto now = Clock::now();
  if (r.perf.timingMetrics.firstTokenTime == Clock::time_point{}) r.perf.timingMetrics.firstTokenTime = now;
  r.perf.timingMetrics.lastTokenTime = now;
  r.perf.lastIter = iteration_;
  if (r.decoding.beamWidth > 1) {
    decodeBeams(r);
  } else {
    std::vector<float> row(static_cast<size_t>(engine_.vocabSize));
    r.history.logits(row.data(), engine_.vocabSize);
    if (r.generationLogits != nullptr) r.generationLogits->setRow(r.generated(), row);
    const Processed processed = process(r.decoding, row.data(), r.tokens[0], r.promptLen);
    const Choice choice = choose(r.decoding, processed, r.topP, static_cast<uint64_t>(r.generated()));
    float logProb = processed.logProb(choice.token);
    if (normalizeLogProbs_) logProb -= static_cast<float>(std::log(choice.mass));
    r.cumLogProbs[0] += logProb;  // an end id counts
    r.decodingIter++;
    if (choice.token == r.decoding.endId) {
      r.finish(tle::FinishReason::kEND_ID);
    } else {
      r.tokens[0].push_back(choice.token);
      r.history.append(choice.token);
      r.logProbs[0].push_back(logProb);
      r.topP = topPAfter(r.decoding, r.topP, choice.token);
      if (stops(r.decoding, r.tokens[0])) {
        r.finish(tle::FinishReason::kSTOP_WORDS);
      } else if (r.generated() >= r.maxNewTokens) {
        r.finish(tle::FinishReason::kLENGTH);
      }
    }
  }
  if (!r.finished()) cache_.grow(r.share, r.promptLen + r.generated(), r.decoding.beamWidth);
  auto& metrics = r.perf.kvCacheMetrics;
  metrics.numTotalAllocatedBlocks = r.share.total;
  metrics.numNewAllocatedBlocks = r.share.fresh;
  if (r.finished()) {
    if (r.decoding.beamWidth == 1) cache_.store(r.share, r.tokens[0], r.salt());
    terminate(r);
    if (r.request().streaming && script_->has("empty_final") && r.generated() > 0) r.state = State::CLOSING;
  }
}

void Engine::forwardAsync(const ActiveRequests& active) {
  steps_++;
  flight_ = {};
  if (script_->at("fail_step", steps_)) STANDIN_THROW("[TensorRT-LLM][ERROR] CUDA error, says the script");
  if (!active.empty()) operatingBeamWidth_ = active.front()->decoding.beamWidth;
  STANDIN_CHECK(operatingBeamWidth_ <= maxBeamWidth_, "Beam width exceeds maxBeamWidth");
  int32_t sequences = 0, budget = maxNumTokens_;
  std::vector<ActiveRequest*> contexts;
  for (const auto& r : active) {
    r->scheduled = false;
    if (r->state == State::CLOSING) {
      r->state = State::COMPLETE;
    } else if (r->state == State::GENERATION) {
      sequences += r->decoding.beamWidth;
      budget -= r->decoding.beamWidth;
    } else if (r->state == State::CONTEXT) {
      contexts.push_back(r.get());
    }
  }
  for (const auto& r : active) {
    if (r->state != State::GENERATION) continue;
    r->scheduled = true;
    flight_.numScheduledRequests++;
    flight_.numGenRequests++;
    decode(*r);
  }
  // What has begun goes on first, as upstream's capacity scheduler has it: others may wait for its blocks.
  std::stable_partition(contexts.begin(), contexts.end(), [](const ActiveRequest* r) { return r->started; });
  for (ActiveRequest* r : contexts) {
    if (budget <= 0 || sequences + r->decoding.beamWidth > maxBatchSize_ * maxBeamWidth_) break;
    if (!r->started && !begin(*r)) break;
    sequences += r->decoding.beamWidth;
    prefill(*r, budget);
  }
  flight_.avgNumDecodedTokensPerIter = flight_.numGenRequests > 0 ? 1 : 0;
}

void Engine::forwardSync() {
  const auto hold = script_->text("hold");
  struct stat status;
  if (hold && stat(hold->c_str(), &status) == 0) {
    std::ofstream(*hold + ".arrived").put('\n');
    while (stat(hold->c_str(), &status) == 0) usleep(200);
  }
  script_->hang("step#" + std::to_string(steps_));
  const int64_t step = script_->number("step_us", 0);
  if (step > 0) std::this_thread::sleep_for(std::chrono::microseconds(step));
  iteration_++;
}

void Engine::statistics(tle::IterationStats& stats) const {
  stats.iter = iteration_;
  stats.maxBatchSizeStatic = stats.maxBatchSizeTunerRecommended = stats.maxBatchSizeRuntime = maxBatchSize_;
  stats.maxNumTokensStatic = stats.maxNumTokensTunerRecommended = stats.maxNumTokensRuntime = maxNumTokens_;
  stats.inflightBatchingStats = flight_;
  tle::KvCacheStats kv{};
  kv.maxNumBlocks = cache_.size();
  kv.usedNumBlocks = cache_.used();
  kv.freeNumBlocks = cache_.size() - cache_.used();
  kv.tokensPerBlock = cache_.tokensPerBlock();
  kv.allocTotalBlocks = static_cast<int32_t>(cache_.total);
  kv.allocNewBlocks = static_cast<int32_t>(cache_.fresh);
  kv.reusedBlocks = static_cast<int32_t>(cache_.reused);
  kv.missedBlocks = static_cast<int32_t>(cache_.missed);
  const int64_t asked = cache_.reused + cache_.missed;
  kv.cacheHitRate = asked == 0 ? 0.f : static_cast<float>(cache_.reused) / static_cast<float>(asked);
  stats.kvCacheStats = kv;
}

}  // namespace trtllm_standin
