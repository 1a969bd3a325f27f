// Package inflight is an in-flight batching executor over a runner: an
// [executor.Executor] in Go whose steps are done by an [executor.Runner].
//
//	e, err := inflight.New(runner, inflight.Options{})
//	err = e.Submit(executor.Request{ClientID: 1, InputIDs: ids, MaxTokens: 64, Sampling: executor.Sampling{TopK: 1}})
//	responses, err := e.Await(ctx)
//
// # Scheduling
//
// One goroutine runs iterations. In each, every running sequence whose prompt is
// computed gets its next token, and what is left of MaxNumTokens goes to the
// prompts of the others, in chunks, in the order of admission. A sequence is
// admitted when a place in the batch and KV blocks for its whole prompt and all
// its output are free, so nothing that runs is ever evicted (TensorRT-LLM's
// guaranteed-no-evict). Waiting sequences are ordered by priority, then by
// arrival, and none overtakes the first. With nothing to do the goroutine sleeps.
//
// The sequences of one request (NumReturnSequences) share their prompt: the
// first computes it, the others take its full KV blocks and a copy of the last.
//
// # Sampling
//
// The runner returns a row's largest candidates and the log-sum-exp of the whole
// row; choosing among them is done here, by a rule that does not depend on how
// many candidates were returned. Logits are edited and divided by the temperature
// (one below executor.MinTemperature is taken as that), tokens are ordered by
// descending logit and, where equal, ascending id, and
//
//  1. min-p keeps the tokens with at least MinP times the largest probability,
//  2. top-k keeps the first TopK of these,
//  3. u·TopP·mass is drawn, with u uniform in [0,1) and mass the probability of
//     what is kept, and the first token is taken at which the cumulative
//     probability exceeds it.
//
// So the last token inside the top-p nucleus keeps only the part of its
// probability that lies inside, as in TensorRT-LLM's sampling kernels. When the
// candidates do not decide, the same row is asked for in full in the next step.
//
// The penalties are TensorRT-LLM's: for every token of prompt and output, once,
// a logit above zero is divided by RepetitionPenalty and another multiplied by
// it; after the temperature PresencePenalty is subtracted, and FrequencyPenalty as
// often as the token stands there. A bias is added first, before the repetition
// penalty looks at the sign, and is divided by the temperature too.
//
// The random number of the n-th output token of a sequence is a function of
// Seed + sequence index and n alone (SplitMix64), so a request's tokens depend on
// nothing else.
package inflight
