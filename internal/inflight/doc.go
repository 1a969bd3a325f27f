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
// Top-p decays as TensorRT-LLM's computeToppDecay has it: after each token it is as at
// first if that was one of TopPResetIDs, and otherwise max(top-p·TopPDecay, TopPMin).
// Upstream does so only without top-k; here it holds with top-k too.
//
// What is done to a token's logit comes in the order of TensorRT-LLM's
// batchApplyPenalty:
//
//  1. its bias is added,
//  2. it is divided by the temperature (by 1e-6 more, upstream),
//  3. if the token stands in prompt or output, what is above zero is divided by
//     RepetitionPenalty and another multiplied by it,
//  4. if it stands there n times, not counting the first PromptIgnoreLength tokens of
//     the prompt, PresencePenalty + n·FrequencyPenalty is subtracted.
//
// Banned are tokens with a bias of -Inf, end ids until MinTokens, the last token of a bad
// sequence when the others have just come, and what would repeat NoRepeatNgramSize
// tokens of prompt and output. All this is a list of edits that goes to the runner with the row; it grows
// by what each token adds.
//
// The random number of the n-th output token of a sequence is a function of
// Seed + sequence index and n alone (SplitMix64), so a request's tokens depend on
// nothing else.
//
// Log-probs are the model's: of its own logits, before all of the above. The best
// tokens beside one come from the same row, or from a second row of the same token
// where edits or a temperature may have changed the order. Prompt log-probs, like
// context logits, make the prompt's first sequence compute every position: nothing of
// it is taken over from the KV cache.
//
// A logits processor gets copies of the model's rows, of all sequences of a step whose
// requests have ProcessorData, in one call. Edits, temperature and choice follow it,
// here instead of in the runner, which costs some time for each row (about 20 ns for
// each token of the vocabulary). An error or a panic fails the requests of the call;
// logits that are not numbers, or none that is possible, only the request of the row.
//
// # Beam search
//
// With BeamWidth above 1 a request's beams live in one step and share the KV blocks of
// what they have in common. After each step the best extensions of all beams by
// cumulative log-prob go on, wherever they come from, and those with an end id or a stop
// sequence end; see beamSearch for the rules, which are TensorRT-LLM's. Of what has
// ended, and of what lives when MaxTokens are generated, the beams with the best
// cumulative log-prob / length^LengthPenalty come back, all at the end. A search cut
// short gives what it has, every beam with the reason.
package inflight
