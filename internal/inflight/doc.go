// Package inflight is an in-flight batching executor over a runner: an
// [executor.Executor] in Go whose steps are done by an [executor.Runner].
//
//	e, err := inflight.New(runner, inflight.Options{})
//	err = e.Submit(executor.Request{ClientID: 1, InputIDs: ids, MaxTokens: 64, Sampling: executor.Sampling{TopK: 1}})
//	responses, err := e.Await(ctx)
//
// # Scheduling
//
// One goroutine runs iterations: who ends, who starts, one step, its tokens. With
// nothing to do it sleeps. In a step every sequence whose prompt is computed gets its
// next token; what is left of MaxNumTokens goes to chunks of the others' prompts, by
// priority, then arrival. A chunk has at most ChunkTokens, and the prompt tokens of a
// step take about ChunkTime, by a running mean of the time per token of steps with
// prompts: 128 tokens while nothing is known, never fewer than 32 (a step reads all
// weights, so that fewer take as long), and 8 times as many while nothing is generated,
// for then only those wait that have just come.
//
// Waiting sequences start by priority, then arrival, and none overtakes the first. It
// starts when there is a place in the batch and when there are KV blocks, of which
// Options.Policy says how many:
//
//   - guaranteed-no-evict: for its prompt and all its output, which are promised to it.
//     Blocks that it takes over count as long as no other holds them. What runs is never
//     paused.
//   - max-utilization: for its prompt (and output, when it was paused), leaving one to
//     each sequence that runs. When the next tokens of those that generate have no blocks,
//     the last running request by the same order is paused: it gives its blocks away, goes
//     back to its place in the queue, and is computed again later, output included, as a
//     prompt is. Nothing of what it gives changes by that. A request that runs alone
//     pauses its last sequences only, so that the first in order always gets on.
//
// A step of which every request is cancelled or overdue is aborted, by the cancelling
// call or by a timer; otherwise these end with the step. A step that fails fails its
// requests; 16 in a row that fail, a panic, or a step that takes longer than MaxSeqIdle
// are the end of the executor: all that lives gets an error that wraps
// executor.ErrDead and names the cause, and so does what is called later.
//
// # KV cache
//
// The KV cache is the runner's blocks, each held by any number of sequences. Blocks that
// are full can be found as soon as the step that filled them was committed, of prompts
// and outputs, by a hash of their tokens and of all before them, beginning with
// CacheSalt; what is found is compared token by token. Sequences take over what they find
// when they start and before each of their chunks, and of two that would compute the same
// block in one step the later waits for the earlier. The last token of a prompt is always
// computed, for its logits. When a block that can be found agrees with the next tokens in
// its first ones only, these are copied (partial reuse); so is the block that an ended
// sequence left half full.
//
// A block that nobody holds any more stays findable until it is needed; the least
// recently used goes first, and a block before all that follow it never. What a failed
// step's requests have computed is forgotten, for it may be wrong.
//
// Nothing is taken over by a request that has something to say about each prompt token
// (context logits, prompt log-probs), with recurrent state, which belongs to a sequence,
// and when blocks may stand in one table only. In all these cases, and with NoBlockReuse,
// the sequences of one request (NumReturnSequences) still compute their prompt once: the
// first computes it, the others take its full blocks, or copies, and a copy of the last;
// only recurrent state has each compute it.
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
