// Package nativeexecutor runs requests on TensorRT-LLM's own executor: it keeps the
// contract of package executor over [Native], the binding of csrc/native, which knows
// no policy.
//
// # How
//
// One goroutine, the pump, waits for outputs in short slices and hands them on by
// native client id; no other one waits for them. Each sequence of a request is a request
// of its own to upstream, with the seed counted up, because upstream's several sequences
// of one request race with its wait; beams are one. Upstream's requests are always
// streaming, but for beams: what a client wants whole is put together here. So a request
// can be cancelled, stopped and timed out at any moment with what there is by then: its
// final response does not wait for upstream's, and what still comes is dropped.
//
// Stop sequences are looked for here, in generated tokens only. Those of one token, and
// all end ids but the first, are also upstream's stop words, for it then needs no word
// from here to end; not with min tokens, which hold upstream's end id back but no stop
// word.
//
// Log-probs of upstream are those of the distribution that is drawn from. Where
// temperature, penalties, bias and bans leave that as the model has it, they are taken.
// Otherwise, and for the best tokens beside each, they are computed here from the logits
// of generated tokens, in float64. Those of the prompt come from context logits; a
// request for these gets a cache salt of its own, since upstream gives none for tokens
// that it finds in the KV cache.
//
// # What is refused
//
// Submit refuses with executor.ErrUnsupported, by name, what upstream cannot do:
//
//   - logits processors, and more than one top-p reset id
//   - a bias, where the vocabulary is no multiple of the ranks: upstream copies it as it is
//     into a padded one
//   - top_k above 1024 but below the vocabulary, which upstream would cut, and n-gram sizes
//     above 32, which its kernel has no room for
//   - min tokens with several end ids: upstream holds back one; and min tokens of 1, its
//     default, which it takes for none as long as all that run have it
//   - more beams than max_beam_width; min tokens with stop sequences for beams; logits and
//     the best tokens of beams, whose rows cannot be told apart; log-probs of beams with
//     temperature, penalties, bias or bans
//   - logits of generated tokens, the best tokens, and log-probs with temperature,
//     penalties, bias, bans or min_p, unless gatherGenerationLogits was set
//   - prompt logits and log-probs, unless the engine was built with gather_context_logits
//     and runs without an orchestrator, whose processes cannot carry logits
//   - everything in a process of mpirun that is not the leader
//
// What upstream's setters or decoder do not take, and what means the same as something
// else, is told as that: min tokens, n-gram sizes and prompt ignore lengths beyond what
// there can be, temperatures so small that they are greedy, penalties without end.
//
// # When it is dead
//
// A failing step gives each of its requests an error, and the executor goes on. It gives
// up when batches of outputs fail without any success between, as after a CUDA error that
// sticks, when waiting itself fails, and when live requests get nowhere for
// Options.MaxSeqIdle.
package nativeexecutor
