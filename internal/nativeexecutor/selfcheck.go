package nativeexecutor

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

// statisticsPatience is how long the self-check waits for the statistics of its iteration,
// which upstream may write after its output.
const statisticsPatience = 2 * time.Second

// selfCheck runs one request of one token, before any other, and reads the size of the KV
// cache. Nothing of it is counted.
func (e *Executor) selfCheck() error {
	ended := make(chan error, 1)
	go func() { ended <- e.runOne() }()                      // it may hang in native code
	timer := time.NewTimer(3*e.options.MaxSeqIdle/2 + slice) // the pump sees to what does not come
	defer timer.Stop()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("the engine does not run a request of one token: %w", err)
		}
	case <-timer.C:
		return dead("the engine does not take a request of one token in %v", e.options.MaxSeqIdle)
	}
	e.measure()
	return nil
}

// runOne runs the request.
func (e *Executor) runOne() error {
	q, err := e.enter(executor.Request{
		ClientID: math.MaxUint64, InputIDs: []int32{0}, MaxTokens: 1, Sampling: executor.Sampling{TopK: 1}, Priority: 1,
	})
	if err != nil {
		return err
	}
	defer e.calls.Done()
	if err := e.enqueue(q.sequences[0], native.Array{}); err != nil {
		return e.refused(q, err)
	}
	if err := e.submitted(q); err != nil {
		return err
	}
	for {
		responses, err := e.Await(context.Background())
		if err != nil {
			return err
		}
		if last := responses[len(responses)-1]; last.Final {
			return last.Err
		}
	}
}

// measure reads the size of the KV cache and forgets what was counted.
func (e *Executor) measure() {
	for end := time.Now().Add(statisticsPatience); e.kvCache().MaxNumBlocks == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) { // a model without attention has none
			e.log.Warn("TensorRT-LLM tells nothing of the KV cache: iterStatsMaxIterations may be 0")
			break
		}
		e.gather()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	kv := e.stats.KVCache
	recounted := e.records.recounted
	e.records.init(&e.options)
	e.records.base, e.records.recounted = baseline(kv), recounted
	e.stats = executor.Stats{
		Memory: e.options.Memory, KVBlocksTotal: kv.MaxNumBlocks, TokensPerBlock: kv.TokensPerBlock,
		KVCache: executor.KVCacheStats{MaxNumBlocks: kv.MaxNumBlocks, FreeNumBlocks: kv.MaxNumBlocks, TokensPerBlock: kv.TokensPerBlock},
	}
	e.lengths.NumBlocks, e.lengths.BlockSize = kv.MaxNumBlocks, kv.TokensPerBlock
	if tokens := kv.MaxNumBlocks * kv.TokensPerBlock; tokens > 0 {
		e.lengths.MaxSeqLen = min(e.lengths.MaxSeqLen, tokens)
	}
}

func (e *Executor) kvCache() executor.KVCacheStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats.KVCache
}
