#include "kvcache.h"

#include <algorithm>

#include "exception.h"

namespace trtllm_standin {

std::string KvCache::key(const std::vector<int32_t>& tokens, size_t blocks, uint64_t salt) const {
  std::string key(reinterpret_cast<const char*>(&salt), sizeof salt);
  const size_t length = blocks * static_cast<size_t>(tokensPerBlock_);
  return key.append(reinterpret_cast<const char*>(tokens.data()), length * sizeof tokens[0]);
}

// The free block that was given back first.
int32_t KvCache::take() {
  int32_t best = -1;
  for (int32_t i = 0; i < size(); i++) {
    const Block& block = blocks_[static_cast<size_t>(i)];
    if (block.holders == 0 && (best < 0 || block.freed < blocks_[static_cast<size_t>(best)].freed)) best = i;
  }
  STANDIN_CHECK(best >= 0, "No free block found");
  Block& block = blocks_[static_cast<size_t>(best)];
  if (!block.key.empty()) found_.erase(block.key);
  block.key.clear();
  block.holders = 1;
  used_++;
  return best;
}

int32_t KvCache::start(Share& share, const std::vector<int32_t>& prompt, uint64_t salt, int32_t all) {
  const size_t full = (prompt.size() - 1) / static_cast<size_t>(tokensPerBlock_);
  size_t known = 0;
  for (; reuse_ && known < full; known++) {
    const auto at = found_.find(key(prompt, known + 1, salt));
    if (at == found_.end()) break;
    Block& block = blocks_[static_cast<size_t>(at->second)];
    if (block.holders++ == 0) used_++;
    share.blocks.push_back(at->second);
  }
  share.reused = static_cast<int32_t>(known);
  share.missed = reuse_ ? static_cast<int32_t>(full - known) : 0;
  reused += share.reused;
  missed += share.missed;
  share.total += share.reused;
  total += share.reused;
  share.promised = all - share.reused;
  promised_ += share.promised;
  grow(share, static_cast<int64_t>(prompt.size()), 1);
  return static_cast<int32_t>(known) * tokensPerBlock_;
}

void KvCache::grow(Share& share, int64_t tokens, int32_t beams) {
  const auto want = static_cast<size_t>(blocksFor(tokens)) * static_cast<size_t>(beams);
  while (share.blocks.size() < want) {
    share.blocks.push_back(take());
    share.total++;
    share.fresh++;
    total++;
    fresh++;
    if (share.promised > 0) {
      share.promised--;
      promised_--;
    }
  }
}

void KvCache::store(const Share& share, const std::vector<int32_t>& tokens, uint64_t salt) {
  if (!reuse_) return;
  const size_t full = std::min(tokens.size() / static_cast<size_t>(tokensPerBlock_), share.blocks.size());
  for (size_t i = 0; i < full; i++) {
    Block& block = blocks_[static_cast<size_t>(share.blocks[i])];
    if (!block.key.empty()) continue;
    std::string name = key(tokens, i + 1, salt);
    if (found_.emplace(name, share.blocks[i]).second) block.key = std::move(name);
  }
}

void KvCache::release(Share& share) {
  promised_ -= share.promised;
  share.promised = 0;
  // The last first, so that a beginning is kept longer than what follows it.
  for (auto at = share.blocks.rbegin(); at != share.blocks.rend(); ++at) {
    Block& block = blocks_[static_cast<size_t>(*at)];
    if (--block.holders == 0) {
      used_--;
      block.freed = ++clock_;
    }
  }
  share.blocks.clear();
}

}  // namespace trtllm_standin
