package native

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// trace is what TensorRT-LLM adds to the text of an exception.
const trace = "\n1       0x7f6ce803be0b tensorrt_llm::common::throwRuntimeError(char const*, int, char const*) + 76\n" +
	"2       0x7f6d1ff22a8e /usr/local/tensorrt/lib/libnvinfer.so.10(+0x10afa8e) [0x7f6d1ff22a8e]\n[truncated]"

// TestExplain: texts as users saw them, whole.
func TestExplain(t *testing.T) {
	for _, c := range []struct {
		text  string
		class error
		want  string // of the sentence
		line  string // the native one
	}{
		{"[TensorRT-LLM][ERROR] Maximum queue size of 8 has been reached, please try again later (/app/tensorrt_llm/cpp/tensorrt_llm/executor/executorImpl.cpp:812)" + trace,
			ErrQueueFull, "8 requests wait already", "Maximum queue size of 8 has been reached, please try again later"},
		{"[TensorRT-LLM][ERROR] Assertion failed: Shutdown called, cannot enqueue requests (../tensorrt_llm/executor/executorImpl.cpp:762)" + trace,
			ErrClosed, "was shut down", "Shutdown called, cannot enqueue requests"},
		{"Encountered an error when fetching new request: [TensorRT-LLM][ERROR] Prompt length (200) exceeds maximum input length (1). Set log level to info and check TRTGptModel logs for how maximum input length is set (/app/tensorrt_llm/cpp/tensorrt_llm/batch_manager/llmRequest.cpp:271)" + trace,
			ErrTooLong, "the prompt has 200 tokens and this engine takes 1", "Encountered an error when fetching new request: Prompt length (200) exceeds maximum input length (1). Set log level to info and check TRTGptModel logs for how maximum input length is set"},
		{"Encountered an error when fetching new request: [TensorRT-LLM][ERROR] Assertion failed: EndId (128009) is not within acceptable range [-1, 32000). (../tensorrt_llm/batch_manager/llmRequest.cpp:251)" + trace,
			ErrInvalid, "the end token 128009 is not in the vocabulary of 32000 tokens", "Encountered an error when fetching new request: EndId (128009) is not within acceptable range [-1, 32000)."},
		{"Encountered an error in forwardAsync function: [TensorRT-LLM][ERROR] Assertion failed: Input length (6973) + max new tokens (4095) + draft tokens (0) must be less than max sequence length (8192). (/sources/contrib/tensorrt-llm/cpp/tensorrt_llm/runtime/gptDecoderBatched.cpp:444)" + trace,
			ErrTooLong, "longer than the 8192 tokens of a sequence", "Encountered an error in forwardAsync function: Input length (6973) + max new tokens (4095) + draft tokens (0) must be less than max sequence length (8192)."},
		{"Encountered an error in forwardAsync function: [TensorRT-LLM][ERROR] Assertion failed: Beam width (4) must be smaller than maxBeamWidth (1) passed to decoder setup function. (a.cpp:1)" + trace,
			ErrUnsupported, "the request wants 4 beams and the engine was opened for 1", ""},
		{"Encountered an error when fetching new request: [TensorRT-LLM][ERROR] Assertion failed: Return context logit need to build engine with gather_context_logits (/src/executorImpl.cpp:1411)",
			ErrUnsupported, "build it with --gather_context_logits", ""},
		{"Encountered an error when fetching new request: [TensorRT-LLM][ERROR] Assertion failed: To return generation logits, gather_generation_logits must be enabled in ExecutorConfig (/src/executorImpl.cpp:1419)",
			ErrUnsupported, "open it with gatherGenerationLogits", ""},
		{"[TensorRT-LLM][ERROR] Assertion failed: LogitsPostProcessor batched2 not found. (/src/executorImpl.cpp:2344)", ErrUnsupported, "without that logits processor", "LogitsPostProcessor batched2 not found."},
		{"Batched logits post processor is not defined.", ErrUnsupported, "without that logits processor", ""},
		{"LoRA task 10 not found in cache. Please send LoRA weights with request", ErrUnsupported, "LoRA", "LoRA task 10 not found in cache. Please send LoRA weights with request"},
		{"[TensorRT-LLM][ERROR] Assertion failed: topP.value() <= 1.f (/src/cpp/tensorrt_llm/executor/samplingConfig.cpp:301)" + trace, ErrInvalid, "topP of the request is out of range", "topP.value() <= 1.f"},
		{"[TensorRT-LLM][ERROR] Assertion failed: mMaxNewTokens > 0 (/src/cpp/tensorrt_llm/executor/requestImpl.h:407)" + trace, ErrInvalid, "max_tokens must be at least 1", "mMaxNewTokens > 0"},

		{"[TensorRT-LLM][ERROR] tensorrt_llm::common::TllmException: [TensorRT-LLM][ERROR] Assertion failed: d == a + length (/app/tensorrt_llm/cpp/tensorrt_llm/plugins/gptAttentionCommon/gptAttentionCommon.cpp:320)" + trace,
			ErrVersion, "another release of TensorRT-LLM", "d == a + length"},
		{"[TensorRT-LLM][ERROR] Assertion failed: Expected length (160) != real length (128). This is often caused by using different TensorRT LLM version to build engine and run engine. (../gemmPlugin.cpp:156)",
			ErrVersion, "another release of TensorRT-LLM", "Expected length (160) != real length (128). This is often caused by using different TensorRT LLM version to build engine and run engine."},
		{"[TensorRT-LLM][ERROR] 1: [stdArchiveReader.cpp::stdArchiveReaderInitCommon::47] Error Code 1: Serialization (Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed.Version tag does not match. Note: Current Version: 226, Serialized Engine Version: 228)",
			ErrVersion, "format 228, and this one reads 226", "Serialization (Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed.Version tag does not match. Note: Current Version: 226, Serialized Engine Version: 228)"},
		{"[TensorRT-LLM][ERROR] 6: The engine plan file is not compatible with this version of TensorRT, expecting library version 9.2.0.5 got 9.3.0.1, please rebuild.\n" +
			"[TensorRT-LLM][ERROR] 2: [engine.cpp::deserializeEngine::1148] Error Code 2: Internal Error (Assertion engine->deserialize(start, size, allocator, runtime) failed. )\n" +
			"[TensorRT-LLM][ERROR] Assertion failed: Failed to deserialize cuda engine. (/app/tensorrt_llm/cpp/tensorrt_llm/runtime/tllmRuntime.cpp:74)" + trace,
			ErrVersion, "built by TensorRT 9.3.0.1 and this is 9.2.0.5", "The engine plan file is not compatible with this version of TensorRT, expecting library version 9.2.0.5 got 9.3.0.1, please rebuild."},
		{"6: The engine plan file is generated on an incompatible device, expecting compute 12.0 got compute 8.9, please rebuild.\n2: [engine.cpp::nvinfer1::rt::deserializeEngine::1148] Error Code 2: Internal Error (Asser",
			ErrVersion, "compute capability 8.9 and this one has 12.0", "The engine plan file is generated on an incompatible device, expecting compute 12.0 got compute 8.9, please rebuild."},
		{"[TensorRT-LLM][ERROR] Assertion failed: Failed to deserialize cuda engine. (/app/tensorrt_llm/cpp/tensorrt_llm/runtime/tllmRuntime.cpp:74)" + trace,
			ErrVersion, "trtgo doctor --engine-dir DIR", "Failed to deserialize cuda engine."},
		{"[11/22/2023-10:48:15] [E] [TRT] 3: getPluginCreator could not find plugin: Gemmtensorrt_llm version: 1\n[11/22/2023-10:48:15] [E] Error[1]: [pluginV2Runner.cpp::load::308] Error Code 1: Serialization (Serialization assertion creator failed.Cannot deserialize plugin since corresponding IPluginCreator not found in Plugin Registry)",
			ErrVersion, "libnvinfer_plugin_tensorrt_llm.so must be of the release", ""},
		{"[TensorRT-LLM][ERROR] Assertion failed: File does not exist: /engines/llama/config.json (/src/cpp/tensorrt_llm/runtime/gptJsonConfig.cpp:560)",
			ErrNotFound, "there is no /engines/llama/config.json", "File does not exist: /engines/llama/config.json"},
		{"[TensorRT-LLM][ERROR] Input tensor 'host_runtime_perf_knobs' not found; expected shape: (16) (/src/tllmRuntime.cpp:401)", ErrVersion, "an input, host_runtime_perf_knobs,", ""},
		{"Chunked context requires context FMHA, paged kv_cache and paged context FMHA all enabled at the same time.", ErrUnsupported, "prompts in chunks", ""},

		{"unexpected error when creating modelInstanceState: [TensorRT-LLM][ERROR] CUDA runtime error in ::cudaMallocAsync(ptr, n, mCudaStream->get()): out of memory (/app/tensorrt_llm/cpp/tensorrt_llm/runtime/tllmBuffers.h:112)",
			ErrMemory, "lower --kv_cache_free_gpu_memory_fraction", "unexpected error when creating modelInstanceState: CUDA runtime error in ::cudaMallocAsync(ptr, n, mCudaStream->get()): out of memory"},
		{"[TensorRT-LLM][ERROR] maxTokensInPagedKvCache must be large enough to process at least 1 sequence to completion (i.e. must be larger than beam_width * tokensPerBlock * maxBlocksPerSeq)",
			ErrMemory, "the KV cache is too small for one sequence", ""},
		{"Attention window too large to fit even a single sequence in the KV cache. Failing fast rather than attempting an adjustment of the window sizes. Old: [131072], New: [4096]", ErrMemory, "build with a smaller --max_seq_len", ""},
		{"Encountered an error in forwardAsync function: [TensorRT-LLM][ERROR] Assertion failed: mNextBlocks.empty() (/home/jenkins/agent/workspace/LLM/helpers/Build-x86_64/llm/cpp/tensorrt_llm/batch_manager/kvCacheManager.cpp:256)" + trace,
			nil, "open the engine with --no_kv_cache_enable_block_reuse", "Encountered an error in forwardAsync function: mNextBlocks.empty()"},
		{"[TensorRT-LLM][ERROR] Assertion failed: Can't allocate new blocks for window size 4096. No free blocks left. (/src/kvCacheManager.cpp:1302)", ErrMemory, "the KV cache is full", ""},
		{"terminate called after throwing an instance of 'tensorrt_llm::common::TllmException'\n  what():  [TensorRT-LLM][ERROR] Assertion failed: max_context_len <= mMaxContextLength (/src/tensorrt_llm/cpp/tensorrt_llm/plugins/gptAttentionPlugin/gptAttentionPlugin.cpp:249)" + trace,
			ErrTooLong, "build it with a larger --max_input_len", "max_context_len <= mMaxContextLength"},
		{"std::bad_alloc", ErrMemory, "the machine's memory ran out", "std::bad_alloc"},

		{"[TensorRT-LLM][ERROR] Assertion failed: With communicationMode kLEADER, MPI worldSize is expected to be equal to tp*pp*cp when participantIds are not specified (/src/executorImpl.cpp:559)" + trace,
			ErrInvalid, "start it with mpirun -n RANKS", ""},
		{"[TensorRT-LLM][ERROR] With LEADER communication mode, only leader rank is expected to call enqueueRequests (/src/cpp/tensorrt_llm/executor/executorImpl.cpp:2401)" + trace,
			ErrInvalid, "not the first of mpirun", ""},
		{"[TensorRT-LLM][ERROR] Assertion failed: Worker executable at /usr/bin/executorWorker does not exist. (/src/cpp/tensorrt_llm/executor/orchestratorConfig.cpp:37)",
			ErrNotFound, `there is no executorWorker at "/usr/bin/executorWorker"`, ""},
		{"[TensorRT-LLM][ERROR] Assertion failed: Failed, NCCL error ../tensorrt_llm/runtime/ncclCommunicator.cpp:90 'invalid usage (run with NCCL_DEBUG=WARN for details)'\n (../tensorrt_llm/runtime/ncclCommunicator.cpp:90)" + trace,
			ErrBroken, "the GPUs cannot talk to each other", "Failed, NCCL error ../tensorrt_llm/runtime/ncclCommunicator.cpp:90 'invalid usage (run with NCCL_DEBUG=WARN for details)'"},
		{"--------------------------------------------------------------------------\nIt looks like opal_init failed for some reason; your parallel process is\nlikely to abort.  There are many reasons that a parallel process can",
			ErrNotFound, "OPAL_PREFIX", "It looks like opal_init failed for some reason; your parallel process is"},

		{"/opt/trtgo/libtrtgo_tensorrt.so: undefined symbol: _ZNK12tensorrt_llm8executor8Response11getErrorMsgB5cxx11Ev", ErrVersion, "libraries of two releases of TensorRT-LLM are mixed", ""},
		{"bindings.so: undefined symbol: _ZN3c106detail14torchCheckFailEPKcS2_jRKSs", ErrVersion, "libtorch is of another release", ""},
		{"libnvonnxparser.so.8: undefined symbol: getBuilderPluginRegistry", ErrVersion, "one lacks getBuilderPluginRegistry", ""},
		{"/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /opt/libtrtgo_tensorrt.so)", ErrVersion, "it lacks GLIBCXX_3.4.32", ""},
		{"libmpi.so.40: cannot open shared object file: No such file or directory", ErrNotFound, "libmpi.so.40 is missing, which TensorRT-LLM needs also for one GPU", "libmpi.so.40: cannot open shared object file: No such file or directory"},
		{"libnvinfer.so.10: cannot open shared object file: No such file or directory", ErrNotFound, "libnvinfer.so.10 of TensorRT is missing", ""},
		{"libpg_utils.so: cannot open shared object file: No such file or directory", ErrNotFound, "libpg_utils.so of TensorRT-LLM is missing", ""},
		{"libtorch_cuda.so: cannot open shared object file: No such file or directory", ErrNotFound, "libtorch_cuda.so of PyTorch is missing", ""},
		{"libcuda.so.1: cannot open shared object file: No such file or directory", ErrNotFound, "comes with NVIDIA's driver", ""},
		{"libnuma.so.1: cannot open shared object file: No such file or directory", ErrNotFound, "libnuma.so.1 is missing: install it", ""},
		{"/nowhere/x.so: cannot open shared object file: No such file or directory", ErrNotFound, "there is no library /nowhere/x.so", ""},
		{"/usr/lib/aarch64-linux-gnu/libgomp.so.1: cannot allocate memory in static TLS block", ErrMemory, "GLIBC_TUNABLES=glibc.rtld.optional_static_tls", ""},

		{"[TensorRT-LLM][ERROR] CUDA runtime error in cudaDeviceSynchronize(): no kernel image is available for execution on the device (/src/x.cu:12)", ErrVersion, "no kernels for this GPU", ""},
		{"[TensorRT-LLM][ERROR] CUDA runtime error in cudaGetDeviceCount(&count): CUDA driver version is insufficient for CUDA runtime version (/src/cudaUtils.h:512)", ErrVersion, "driver is too old", ""},
		{"CUDA runtime error in cudaSetDevice(device): invalid device ordinal", ErrInvalid, "fewer GPUs", ""},
		{"Encountered an error in forwardSync function: [TensorRT-LLM][ERROR] CUDA runtime error in ::cudaEventSynchronize(get()): an illegal memory access was encountered (/src/cudaEvent.h:66)" + trace,
			ErrBroken, "start it again", ""},
		{"[TensorRT-LLM][ERROR] CUDA runtime error in cudaFoo(): unknown error (/src/a.h:1)", ErrBroken, "a call of CUDA failed", "CUDA runtime error in cudaFoo(): unknown error"},

		{"[TensorRT-LLM][ERROR] Assertion failed: x != y (/src/a.cpp:7)" + trace, nil, "", "x != y"},
		{"terminate called after throwing an instance of 'std::runtime_error'\n  what():  it fell", nil, "", "it fell"},
		{" \n\x00\n1       0x7f6ce803be0b main + 7", nil, "", "the native library failed and did not say why"},
		{"\t[TensorRT-LLM][ERROR]  tab\tand\x01control\n", nil, "", "tab and control"},
	} {
		got := Explain(c.text)
		require.Equal(t, c.class, Class(c.text), "%s", c.text)
		require.Equal(t, c.class, Class(got), "%s", got)
		require.Equal(t, got, Explain(got))
		sentence, line, found := strings.Cut(got, explained)
		if !found {
			line = sentence
		}
		require.Equal(t, c.want != "", found, "%s", got)
		require.Contains(t, sentence, c.want)
		if c.line != "" {
			require.Equal(t, c.line, line)
		}
	}
}

// TestExplainCuts: a long text is cut, but not what tells its class.
func TestExplainCuts(t *testing.T) {
	require.Equal(t, strings.Repeat("é", 500)+"…", Explain(strings.Repeat("é", 501)))
	got := Explain(strings.Repeat("x", 600) + " std::bad_alloc " + strings.Repeat("y", 600))
	require.Contains(t, got, "ran out, or a size was asked for that makes no sense; native error: …bad_alloc yyy")
	require.ErrorIs(t, Class(got), ErrMemory)
	require.Less(t, len(got), 700)
}

// TestKnownErrors: every entry has what it needs, and none hides another.
func TestKnownErrors(t *testing.T) {
	table := knownErrors()
	require.Greater(t, len(table), 80)
	for i, e := range table {
		require.NotEmpty(t, e.sentence)
		require.NotContains(t, e.sentence, explained)
		require.LessOrEqual(t, strings.Count(e.sentence, "$"), e.pattern.NumSubexp(), "%s", e.pattern)
		require.NotRegexp(t, `(?:^|[|(])\^|\$(?:$|[|)])`, e.pattern.String(), "no anchors")
		for _, other := range table[:i] {
			require.NotEqual(t, e.pattern.String(), other.pattern.String())
		}
	}
}

// TestErrorClass: an error is found by its status and by what its text tells of.
func TestErrorClass(t *testing.T) {
	err := fmt.Errorf("request 7: %w", &Error{StatusInvalid, "enqueueRequest", Explain("[TensorRT-LLM][ERROR] Maximum queue size of 8 has been reached, please try again later")})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorIs(t, err, ErrQueueFull)
	require.NotErrorIs(t, err, ErrTooLong)
	require.NotErrorIs(t, &Error{StatusInternal, "x", "y"}, errors.New("y"))
}

func FuzzExplain(f *testing.F) {
	f.Add("[TensorRT-LLM][ERROR] Assertion failed: d == a + length (/a/b.cpp:320)" + trace)
	f.Add("x; native error: std::bad_alloc\nlibfoo.so: cannot open shared object file")
	f.Add("\xff\xfe[TRT] [E] 6: 6: 6: [a.cpp::b::1] \u2028 what():")
	f.Add(strings.Repeat("out of memory ", 60))
	f.Fuzz(func(t *testing.T, text string) {
		got := Explain(text)
		if got == "" || strings.TrimSpace(got) != got || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not a line: %q", got)
		}
		if again := Explain(got); again != got {
			t.Errorf("%q, again %q", got, again)
		}
		if Class(text) != Class(got) { //nolint:errorlint // they are sentinels
			t.Errorf("%q is %v, explained %v", text, Class(text), Class(got))
		}
	})
}
