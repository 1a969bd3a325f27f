// Package inflight is the in-flight batching executor over a runner: a queue, a
// scheduler that mixes prompt chunks and decoded tokens in every step, paged KV
// blocks, sampling and stop conditions.
//
//	e := inflight.New(runner, inflight.Options{MaxInputLen: 1024})
//	defer e.Close()
//	err := e.Submit(executor.Request{ClientID: 1, InputIDs: ids, MaxTokens: 16, Sampling: executor.Sampling{TopK: 1}})
//	responses, err := e.Await(ctx)
//
// A request is admitted when the blocks for its prompt and all its output are
// free, so nothing that runs is ever evicted. What a request generates depends on
// itself alone: the runner is batch-invariant, and its random numbers come from
// its own seed and the number of the token.
package inflight
