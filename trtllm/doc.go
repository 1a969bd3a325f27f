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
// Of engines for GPUs TensorRT-LLM plans the memory itself: the KV cache takes 0.9 of what
// the weights leave, or what the same two options say. Stats.Memory then has the weights'
// size alone.
//
// # GPUs
//
// Engines that `trtgo build --backend tensorrt-llm` or trtllm-build wrote run by
// TensorRT-LLM's own executor, of the release that built them, on a GPU of the kind that
// built them. Open compares everything that can be compared before it loads anything, and
// says what to do. It needs libtrtgo_tensorrt.so, which cmake builds with TensorRT-LLM's
// headers: named in TRTGO_NATIVE_LIB, beside the program, or where the system's loader
// looks; `trtgo doctor` tells what a machine lacks. The same requests, options and errors
// serve both backends; what TensorRT-LLM cannot do is refused by name, with
// ErrUnsupported: logits processors, several top-p reset ids, and, without
// [WithGatherGenerationLogits] or an engine that was built with gather_context_logits,
// the logits and log-probs that need these.
//
// An engine whose checkpoint was exported with tp_size or pp_size above 1 runs in as many
// processes. Either mpirun starts the program so often, and all of them open the engine
// with the same options:
//
//	mpirun -n 2 myprogram
//
// Then one of them is the leader, see [Engine.Leader]; the others wait for its end:
//
//	engine, err := trtllm.Open(ctx, "engine")
//	if err != nil {
//		return err
//	}
//	if !engine.Leader() {
//		return errors.Join(engine.Wait(ctx), engine.Close())
//	}
//
// and each calls [Finalize] as the last thing before it exits well. Or [WithOrchestrator]
// lets one process start the ranks.
//
// A process runs one engine for TensorRT-LLM at a time. Its libraries log to the standard
// output and error, as much as TLLM_LOG_LEVEL says (TRACE to ERROR), which is read when
// they are loaded. They and MPI install handlers of signals: those that Go had are put
// back, so that a nil dereference stays a panic that can be recovered. A step cannot be
// aborted there; a request that is cancelled returns at once all the same.
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
// Engines of one process are independent and share the cores; of those for TensorRT-LLM
// there is one at a time. Close ends what runs with
// ErrClosed, and has ended the engine's goroutines and threads when it returns without
// an error.
package trtllm
