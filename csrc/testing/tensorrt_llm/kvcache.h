// Which blocks of the KV cache are whose, and which can be found again. The toy model needs no content.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace trtllm_standin {

class KvCache {
 public:
  // What a request has taken.
  struct Share {
    std::vector<int32_t> blocks;
    int32_t total = 0, fresh = 0, reused = 0, missed = 0;
    int32_t promised = 0;  // blocks that it may still take
  };

  KvCache(int32_t blocks, int32_t tokensPerBlock, bool reuse)
      : tokensPerBlock_(tokensPerBlock), reuse_(reuse), blocks_(static_cast<size_t>(blocks)) {}

  int32_t tokensPerBlock() const { return tokensPerBlock_; }
  int32_t size() const { return static_cast<int32_t>(blocks_.size()); }
  int32_t used() const { return used_; }
  int32_t blocksFor(int64_t tokens) const {
    return static_cast<int32_t>((tokens + tokensPerBlock_ - 1) / tokensPerBlock_);
  }
  // Whether a request of so many blocks can start, beside what is promised to others.
  bool fits(int32_t blocks) const { return used_ + promised_ + blocks <= size(); }

  // Takes the blocks of a prompt, those of its beginning that are known already among them, and promises more up to
  // all in all. Returns how many tokens need not be computed: full blocks, and never the last token.
  int32_t start(Share& share, const std::vector<int32_t>& prompt, uint64_t salt, int32_t all);
  // Takes what the tokens so far need.
  void grow(Share& share, int64_t tokens, int32_t beams);
  // Makes the full blocks of the tokens so far findable.
  void store(const Share& share, const std::vector<int32_t>& tokens, uint64_t salt);
  // Gives all blocks back.
  void release(Share& share);

  int64_t total = 0, fresh = 0, reused = 0, missed = 0;  // since the beginning

 private:
  struct Block {
    int32_t holders = 0;
    std::string key;  // the salt and all tokens up to its end; empty: not findable
    uint64_t freed = 0;
  };

  std::string key(const std::vector<int32_t>& tokens, size_t blocks, uint64_t salt) const;
  int32_t take();

  const int32_t tokensPerBlock_;
  const bool reuse_;
  std::vector<Block> blocks_;
  std::map<std::string, int32_t> found_;
  int32_t used_ = 0, promised_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace trtllm_standin
