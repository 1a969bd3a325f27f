// Package trtllm runs engines that `trtgo build` wrote: it generates text or
// token ids, many requests at once, with in-flight batching.
//
// Three types carry it. An [Engine] is an open engine directory; a [Request] says
// what to generate from; a [Response], or each [Chunk] of a stream, is what came of it.
//
//	engine, err := trtllm.Open(ctx, "engine")
//	if err != nil {
//		return err
//	}
//	defer engine.Close()
//	response, err := engine.Generate(ctx, trtllm.Request{Prompt: "Once upon a time", MaxTokens: 32})
//	if err != nil {
//		return err
//	}
//	fmt.Println(response.Text)
//
// # Requests
//
// An Engine is safe for concurrent use, and concurrent requests are what it is made
// for: each step serves all of them. What a request generates depends neither on the
// others nor on when it came. [Engine.Generate] waits for all of the output,
// [Engine.Stream] yields it as it comes, and [Engine.GenerateBatch] runs many requests
// at once and keeps their order and their errors apart.
//
// A prompt is text, a conversation or token ids. Requests and what they point to may
// be reused as soon as a method has returned, for a stream as soon as its loop has
// begun; responses belong to the caller. Zero values are good ones: no MaxTokens is
// all that fits, no EndIDs the model's own, no Priority the middle one.
//
// Later versions add fields to Request and Sampling, for LoRA adapters, structured
// output and speculative decoding. Their literals must name the fields.
//
// # Sampling
//
// The zero [Sampling] is greedy. Temperature, TopK, TopP or MinP leave it: tokens are
// then drawn, reproducibly, from Seed. BeamWidth searches instead. Fields have the names
// and meanings of TensorRT-LLM's SamplingConfig; where zero cannot be its default, the
// field's documentation says what zero is.
//
// A [LogitsProcessor] changes the logits of all requests of a step in one call, for
// rules that the fields cannot say.
//
// Log-probs are those of the model itself, before penalties, temperature and any
// processor, whatever was drawn.
//
// # Streaming
//
//	for chunk, err := range engine.Stream(ctx, request) {
//		if err != nil {
//			return err
//		}
//		fmt.Print(chunk.Text)
//	}
//
// A chunk's text never ends inside a character. Text that may be the beginning of a
// stop word waits until it is known to be none; token ids come at once. Joined, the
// chunks are what Generate returns. Beams may change until the end, and come then.
//
// Leaving the loop cancels the request, and so does the end of its context, after the
// running step, which is aborted when nobody else is in it. The loop, or the call,
// ends when the engine has let go of the request: its KV cache is free.
//
// # Errors
//
// Every error is an *[Error]. Its Code is one word for the cause, its Msg one sentence.
// errors.Is finds the sentinels ErrQueueFull, ErrTooLong and so on, and the errors of
// contexts:
//
//	var e *trtllm.Error
//	switch {
//	case errors.Is(err, trtllm.ErrQueueFull):
//		// tell the client to come back later
//	case errors.As(err, &e):
//		log.Print(e.Op, " ", e.Code, ": ", e.Msg)
//	}
//
// A request that is refused has queued nothing. One that is cancelled, or ended by Close,
// returns what it had with the error. Timeout and MaxTokens are no errors but a
// [FinishReason].
//
// An engine whose step panics, hangs or fails every time gives itself up: it is dead.
// All that run and all that come fail with ErrDead. Tokenizer, Config, Stats,
// IterationStats and RequestStats go on to tell what there was, Close frees what can be
// freed; then another engine may be opened. After Close the same methods do the same,
// with ErrClosed in the place of ErrDead.
//
// # Memory
//
// Memory is planned when an engine is opened, from what the machine, or the process's
// control group, has: weights first, activations of the largest step, and a KV cache
// for what the limits need, at most half of the rest, or for what [WithKVCacheTokens] and
// [WithKVCacheFraction] say. What does not fit is ErrOutOfMemory, at Open and not later.
// [Stats].Memory has the figures, and so has the log, see [WithLogger].
//
// The KV cache is divided into blocks of Stats.TokensPerBlock tokens. A request starts
// when there are blocks for all it may generate, or, with [MaxUtilization], for its
// prompt. Prompts that begin with the same tokens share the blocks of what is the same;
// see [WithBlockReuse] and Request.CacheSalt.
//
// Weights are mapped from the engine's file: a file that is truncated while an
// engine is open kills the process. WithLoad("copy") reads it instead.
//
// # Statistics
//
// [Engine.Stats] is a snapshot for dashboards, [Engine.IterationStats] and
// [Engine.RequestStats] are TensorRT-LLM's records of iterations, with its names in JSON
// too. Each sequence tells its own [Timing] and [SequenceCache], and [Engine.Observe]
// tells of each request that ends. Package trtllm/metrics shows all of this to
// Prometheus.
//
// # Life
//
// Engines of one process are independent and share the cores. Close ends what runs with
// ErrClosed, and has ended the engine's goroutines and threads when it returns without
// an error.
package trtllm
