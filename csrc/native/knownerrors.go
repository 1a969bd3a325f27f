package native

import (
	"regexp"
	"sync"
)

// knownError is a native text that Explain knows. Of several that match, the first one in the table is taken.
type knownError struct {
	pattern  *regexp.Regexp // of one line without noise; it has no anchors, so that a shortened line matches too
	class    error          // nil where nobody needs to tell it from others
	sentence string         // $1 is the first group of the pattern
}

const (
	rebuild = "build it again here with trtgo build --backend tensorrt-llm, or run it with the libraries that built it"
	doctor  = "trtgo doctor tells what is there"
)

// knownErrors has the texts by who writes them. Comments name the file of TensorRT-LLM's sources that throws, or a
// thread of its users where the sources are not public (B is triton-inference-server/tensorrtllm_backend).
var knownErrors = sync.OnceValue(func() (table []knownError) {
	for _, group := range [][]knownText{requestErrors, memoryErrors, processErrors, engineErrors, loaderErrors, cudaErrors} {
		for _, k := range group {
			table = append(table, knownError{regexp.MustCompile(k.pattern), k.class, k.sentence})
		}
	}
	return table
})

type knownText struct {
	pattern  string
	class    error
	sentence string
}

// requestErrors are those of a request, by enqueue or in a response.
var requestErrors = []knownText{
	// cpp/tensorrt_llm/executor/executorImpl.cpp, enqueueRequests
	{`Maximum queue size of (\d+) has been reached`, ErrQueueFull,
		"$1 requests wait already, which is all that --max_queue_size allows: try again later, or raise it"},
	{`Shutdown called`, ErrClosed, "the executor was shut down and takes no more calls"},
	// cpp/tensorrt_llm/batch_manager/llmRequest.cpp, validate
	{`Prompt length \((\d+)\) exceeds maximum (?:input|sequence) length \((\d+)\)`, ErrTooLong,
		"the prompt has $1 tokens and this engine takes $2: shorten it, or build the engine with a larger --max_input_len, --max_seq_len and --max_num_tokens"},
	{`Encoder length \((\d+)\) exceeds maximum encoder input length \((\d+)\)`, ErrTooLong,
		"the encoder's input has $1 tokens and this engine takes $2: shorten it, or build with a larger --max_encoder_input_len"},
	{`EndId \((-?\d+)\) is not within acceptable range \[-1, (\d+)\)`, ErrInvalid,
		"the end token $1 is not in the vocabulary of $2 tokens: give one that is, or the tokenizer that belongs to the engine"},
	{`Incorrect sampling config`, ErrInvalid, "a sampling parameter of the request is out of range"},
	{`Draft tokens length \(\d+\) exceeds maximum draft tokens length`, ErrUnsupported,
		"the engine was not built for as many draft tokens"},
	// cpp/tensorrt_llm/batch_manager/createNewDecoderRequests.cpp
	{`Beam width \((\d+)\) must be smaller than maxBeamWidth \((\d+)\)`, ErrUnsupported,
		"the request wants $1 beams and the engine was opened for $2: ask for fewer, or build and open it with a larger --max_beam_width"},
	{`Input length \(\d+\) \+ max new tokens \(\d+\) \+ draft tokens \(\d+\) must be less than max sequence length \((\d+)\)`, ErrTooLong,
		"the prompt and its output are longer than the $1 tokens of a sequence: ask for less, or build with a larger --max_seq_len"},
	// TensorRT-LLM#600: plugins/gptAttentionPlugin/gptAttentionPlugin.cpp
	{`max_context_len <= mMaxContextLength`, ErrTooLong, "a prompt is longer than the engine's attention was built for: build it with a larger --max_input_len"},
	{`[Ee]mbedding bias data type must be same as model logits type`, ErrInvalid,
		"the embedding bias is not of the type of the engine's logits"},
	{`embedding bias shape is not as expected`, ErrInvalid, "the embedding bias does not have one number for each token of the vocabulary"},
	// cpp/tensorrt_llm/executor/executorImpl.cpp, fetchNewRequests
	{`Return context logit need to build engine with gather_context_logits`, ErrUnsupported,
		"the engine does not give the logits of prompts: build it with --gather_context_logits"},
	{`gather_generation_logits must be enabled in ExecutorConfig`, ErrUnsupported,
		"the executor was opened without the logits of generated tokens: open it with gatherGenerationLogits"},
	{`Request sequence length is potentially greater than max input length`, ErrTooLong,
		"a streaming request that may be paused must fit the engine's input length whole: use --scheduler_policy guaranteed_no_evict, or chunked context"},
	{`GuidedDecoder is not setup`, ErrUnsupported, "the executor was opened without guided decoding"},
	{`(?i:logits ?post ?processor \S* ?(?:is not defined|not found))`, ErrUnsupported,
		"the executor was opened without that logits processor"},
	{`Request is too large, or you are enqueuing too many requests at once`, ErrTooLong,
		"MPI carries no more than 2 GiB to the workers at a time: send fewer requests, or fewer of their numbers, at once"},
	{`ReqId \d+ has already been processed and was terminated`, ErrInvalid, "the request has ended and its outputs were taken"},
	// cpp/tensorrt_llm/executor/requestImpl.h, samplingConfig.cpp: checks without a text of their own
	{`InputTokenIds\.empty\(\)`, ErrInvalid, "the prompt is empty"},
	{`mMaxNewTokens > 0`, ErrInvalid, "the request asks for no tokens: max_tokens must be at least 1"},
	{`(\w+)\.value\(\) (?:[<>]=?|==) [\w.]+`, ErrInvalid, "$1 of the request is out of range"},
	{`beamWidth > 0 && beamWidth <=`, ErrInvalid, "the number of beams is out of range"},
	// cpp/tensorrt_llm/batch_manager/peftCacheManager.cpp, runtime/loraCache.cpp
	{`LoRA task \d+ not found in cache|Cache is full\. There are no done tasks to evict`, ErrUnsupported,
		"the request's LoRA weights are not in the executor's cache, and this program gives none: build the engine with them merged"},
}

// memoryErrors are those of memory, which many places run out of.
var memoryErrors = []knownText{
	// cpp/tensorrt_llm/runtime/tllmRuntime.cpp
	{`Failed to allocate memory for weights`, ErrMemory,
		"the GPU has too little memory for the engine's weights: use a larger one, more of them, or weights of fewer bits"},
	{`Failed to create an execution context`, ErrMemory,
		"the GPU has too little memory to run the engine: end what else uses it, or build with a smaller --max_batch_size and --max_num_tokens"},
	// cpp/tensorrt_llm/batch_manager/trtGptModelInflightBatching.cpp
	{`[Aa]ttention window too large to fit even a single sequence in the KV cache`, ErrMemory,
		"the KV cache is too small for one sequence: raise --kv_cache_free_gpu_memory_fraction, or build with a smaller --max_seq_len"},
	// cpp/tensorrt_llm/batch_manager/kvCacheManager.cpp
	{`No free block found|[Nn]o free blocks? (?:left|available)`, ErrMemory, "the KV cache is full: raise --kv_cache_free_gpu_memory_fraction, or send fewer requests at a time"},
	// TensorRT-LLM#2708, #1279: the same file
	{`mNextBlocks\.empty\(\)|freeBlockIterator\.has_value\(\)`, nil,
		"TensorRT-LLM lost track of the blocks of its KV cache, a fault of its own that prompts with a common beginning bring about: open the engine with --no_kv_cache_enable_block_reuse"},
	// B#168, older releases
	{`maxTokensInPagedKvCache must be large enough`, ErrMemory,
		"the KV cache is too small for one sequence: raise --max_tokens_in_paged_kv_cache or --kv_cache_free_gpu_memory_fraction, or build with a smaller --max_seq_len"},
	// B#281: cpp/tensorrt_llm/runtime/tllmBuffers.h
	{`CUDA runtime error in .*: out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|[Oo]ut ?[Oo]f ?[Mm]emory`, ErrMemory,
		"the GPU's memory ran out: end what else uses it, lower --kv_cache_free_gpu_memory_fraction, or build with a smaller --max_batch_size and --max_num_tokens"},
	{`CUBLAS_STATUS_ALLOC_FAILED`, ErrMemory, "the GPU's memory ran out: lower --kv_cache_free_gpu_memory_fraction, or end what else uses it"},
	{`bad_alloc|cannot create std::vector larger than max_size`, ErrMemory,
		"the machine's memory ran out, or a size was asked for that makes no sense"},
}

// processErrors are those of MPI, NCCL and of how processes and GPUs were given.
var processErrors = []knownText{
	// cpp/tensorrt_llm/executor/executorImpl.cpp, initializeWorkers; runtime/worldConfig.cpp
	{`MPI worldSize is expected to be equal to tp\*pp\*cp|mpiSize == tp \* pp|tensor parallelism mismatch|pipeline parallelism mismatch`, ErrInvalid,
		"the number of processes is not that of the engine's ranks: start it with mpirun -n RANKS, where RANKS is the engine's tp_size times pp_size"},
	{`participantIds,? participantIds size`, ErrInvalid, "participantIds must have as many ranks as the engine"},
	{`deviceIds size must be equal to tp\*pp\*cp`, ErrInvalid, "device ids must be as many as the engine has ranks"},
	{`Number of device IDs (\d+) is greater than GPUs per node (\d+)`, ErrInvalid,
		"there are $1 device ids, and the engine was built for $2 GPUs in a machine"},
	{`Device IDs are not unique`, ErrInvalid, "a device id is given twice"},
	{`Rank 0 must be orchestrator|Rank 0 is reserved for the orchestrator`, ErrInvalid,
		"rank 0 is the orchestrator, and cannot run the engine too"},
	{`expect MPI worldSize to be 1`, ErrInvalid, "the orchestrator starts its workers itself: run it without mpirun"},
	{`Participant ids should not be set when using`, ErrInvalid, "the orchestrator chooses its workers itself: give no participantIds"},
	// cpp/tensorrt_llm/executor/orchestratorConfig.cpp
	{`Worker executable at (\S*) does not exist`, ErrNotFound,
		"there is no executorWorker at \"$1\": it is in bin beside TensorRT-LLM's lib, in the image in /app/tensorrt_llm/bin"},
	{`MPI_Comm_spawn|MPI_ERR_SPAWN`, ErrInvalid,
		"MPI could not start the worker processes: start the program itself with mpirun -n RANKS instead, or allow as many slots"},
	// cpp/tensorrt_llm/runtime/utils/mpiUtils.cpp, initialize
	{`MPI_Init_thread failed`, ErrVersion, "this MPI does not allow several threads to use it (MPI_THREAD_MULTIPLE), which TensorRT-LLM needs: take the image's"},
	// TensorRT-LLM#2801, #1294: Open MPI's own
	{`(?:opal|orte|ompi|pmix|prte)[_\w]* ?[_ ]?init failed|It looks like (?:MPI_INIT|opal_init|orte_init) failed|ompi_mpi_init`, ErrNotFound,
		"MPI cannot start: OPAL_PREFIX must name where Open MPI is installed, and only one MPI may be in LD_LIBRARY_PATH"},
	{`not enough slots available`, ErrInvalid, "mpirun was asked for more processes than it has slots for: give --oversubscribe or a host file"},
	{`mpirun (?:has detected an attempt to run as|as) root|allow-run-as-root`, ErrInvalid, "mpirun does not run as root: give it --allow-run-as-root"},
	{`MPI error`, nil, "a call of MPI failed: another rank has probably ended, whose own error comes before this one"},
	// cpp/tensorrt_llm/executor/executorImpl.cpp, checkParallelApiUsage
	{`only (?:leader|orchestrator) rank is expected to call`, ErrInvalid, "this process is not the first of mpirun, which alone takes requests"},
	// cpp/tensorrt_llm/runtime/ncclCommunicator.cpp; TensorRT-LLM#9263, #213
	{`NCCL error.*(?:unhandled system error|invalid usage|unknown result code|internal error)|NCCL error|ncclSystemError|ncclUnhandledCudaError`, ErrBroken,
		"the GPUs cannot talk to each other: NCCL_DEBUG=WARN says why, in a container it often is too little shared memory (--ipc=host or --shm-size), and NCCL_P2P_DISABLE=1 helps where a machine has no peer access"},
}

// engineErrors are those of loading an engine and of its network.
var engineErrors = []knownText{
	// TensorRT-LLM#583, #815: plugins/gemmPlugin/gemmPlugin.cpp and others, whose state has another length
	{`d == a \+ length|Expected length \(\d+\) != real length \(\d+\)`, ErrVersion,
		"the engine was built by another release of TensorRT-LLM than the one that is loaded: " + rebuild},
	// B#190, TensorRT-LLM#660
	{`Version tag does not match.*Current Version: (\d+), Serialized Engine Version: (\d+)`, ErrVersion,
		"the engine was built by another release of TensorRT (format $2, and this one reads $1): " + rebuild},
	{`Version tag does not match|stdVersionRead ==`, ErrVersion, "the engine was built by another release of TensorRT: " + rebuild},
	{`engine plan file is not compatible with this version of TensorRT, expecting library version ([\d.]+) got ([\d.]+)`, ErrVersion,
		"the engine was built by TensorRT $2 and this is $1: " + rebuild},
	{`engine plan file is not compatible with this version of TensorRT|expecting engine plan version`, ErrVersion,
		"the engine was built by another release of TensorRT: " + rebuild},
	{`generated on an incompatible device, expecting compute ([\d.]+) got compute ([\d.]+)`, ErrVersion,
		"the engine was built on a GPU of compute capability $2 and this one has $1: build it again on this GPU with trtgo build --backend tensorrt-llm"},
	{`generated on an incompatible device`, ErrVersion, "the engine was built on another kind of GPU: build it again on this one with trtgo build --backend tensorrt-llm"},
	{`engine plan file is generated on an incompatible platform|platform mismatch`, ErrVersion,
		"the engine was built on another operating system or processor: build it again on this one"},
	{`Magic tag does not match|magicTagRead ==`, ErrVersion, "a file of the engine is no TensorRT engine, or a damaged one: copy it again, or build it again"},
	// TensorRT-LLM#1584, #452
	{`could not find plugin:? ?(\w+)|IPluginCreator not found|Plugin Registry`, ErrVersion,
		"the engine has a plugin that was not loaded: libnvinfer_plugin_tensorrt_llm.so must be of the release that built the engine; " + doctor},
	// cpp/tensorrt_llm/runtime/tllmRuntime.cpp
	{`Error opening engine file:? ?(\S*)`, ErrNotFound, "a rank's engine cannot be opened: the engine directory must have rank0.engine and one more for each rank"},
	{`Input tensor '([^']+)' not found`, ErrVersion,
		"the engine has an input, $1, that this TensorRT-LLM does not give: it was built for another release; " + rebuild},
	{`Tensor '?([^']+?)'? (?:is not found in tensorMap|has invalid shape)`, ErrVersion,
		"tensor $1 of the engine is not as this TensorRT-LLM wants it: the engine was built for another release or other limits; " + rebuild},
	{`expected type \d+, provided type \d+`, ErrVersion, "a tensor of the engine has another type than this TensorRT-LLM gives: " + rebuild},
	{`requires GPT attention/Mamba Conv 1d plugin`, ErrUnsupported,
		"the engine cannot batch in flight: build it with the attention plugin, removed padding and a paged KV cache, as trtgo build does"},
	{`Chunked context requires context FMHA`, ErrUnsupported, "the engine cannot take prompts in chunks: build it with paged context FMHA, or open it without chunked context"},
	{`Without enabling chunked context, the max context length \((\d+)\) needs to be less than or equal to the max number of tokens \((\d+)\)`, ErrUnsupported,
		"prompts of $1 tokens do not fit the $2 of a step: enable chunked context, or build with a larger --max_num_tokens"},
	{`Invalid batching strategy|Static batching type is deprecated`, ErrUnsupported, "TensorRT-LLM only batches in flight"},
	{`doesn't support Pipeline Parallelism`, ErrUnsupported, "encoder-decoder engines do not run with pipeline parallelism"},
	// cpp/tensorrt_llm/runtime/gptJsonConfig.cpp
	{`File does not exist: (\S+)`, ErrNotFound, "there is no $1: give the directory of an engine, with config.json and rank0.engine"},
	{`json\.exception|parse error at line`, ErrVersion, "the engine's config.json is damaged, or of another release: " + rebuild},
	{`Unsupported architecture|[Pp]re SM ?\d+|only supported on (?:Hopper|Ada|Blackwell|SM ?\d+)|not supported on (?:this )?(?:SM|arch)`, ErrUnsupported,
		"the GPU does not have what the engine's number format needs: build it with another one"},
	// the last, since TensorRT says why in a line before
	{`Failed to deserialize cuda engine|[Ee]ngine deserialization failed|engine->deserialize`, ErrVersion,
		"TensorRT cannot read the engine, and said why in its log: most often it was built by another release or on another GPU; trtgo doctor --engine-dir DIR compares them"},
}

// loaderErrors are those of the dynamic loader, of glibc.
var loaderErrors = []knownText{
	{`cannot allocate memory in static TLS block`, ErrMemory,
		"a library was loaded too late for its thread-local memory: start the program with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384, or name the library in LD_PRELOAD"},
	{`undefined symbol: _ZNK?\d*(?:St|S_)?\w*12tensorrt_llm\w*`, ErrVersion,
		"libraries of two releases of TensorRT-LLM are mixed, or trtgo's was built against another one: build libtrtgo_tensorrt.so with the headers of the release that is loaded; " + doctor},
	{`undefined symbol: \w*(?:c10|torch|at6Tensor|2at)\w*`, ErrVersion,
		"libtorch is of another release than TensorRT-LLM was built with: the one of its image must come first in LD_LIBRARY_PATH"},
	{`undefined symbol: (MPI_\w+|ompi_\w+)`, ErrVersion, "the MPI that is loaded is none that TensorRT-LLM was built with: take the image's Open MPI"},
	{`undefined symbol: (\w+)`, ErrVersion, "two libraries do not fit together, one lacks $1: take all of them from one image; " + doctor},
	{"version [`']((?:GLIBCXX|CXXABI|GLIBC)_[\\w.]+)' not found", ErrVersion,
		"the C or C++ library of this system is too old, it lacks $1: use the image that the library was built in"},
	{`(/[\w+./-]+): cannot open shared object file`, ErrNotFound, "there is no library $1"},
	{`(libmpi\w*\.so[.\d]*): cannot open shared object file`, ErrNotFound,
		"$1 is missing, which TensorRT-LLM needs also for one GPU: install Open MPI, or add its directory (in the image /opt/hpcx/ompi/lib or /usr/local/mpi/lib) to LD_LIBRARY_PATH"},
	{`(libnvinfer\.so[.\d]*|libnvonnxparser\.so[.\d]*): cannot open shared object file`, ErrNotFound,
		"$1 of TensorRT is missing: install TensorRT 10, or add its directory to LD_LIBRARY_PATH; " + doctor},
	{`(libnvinfer_plugin_tensorrt_llm\.so[.\d]*|libtensorrt_llm\w*\.so[.\d]*|libpg_utils\.so[.\d]*|libth_common\.so[.\d]*): cannot open shared object file`, ErrNotFound,
		"$1 of TensorRT-LLM is missing: use its 1.2.1 image, or add its libs directory to LD_LIBRARY_PATH; " + doctor},
	{`(libcuda\.so[.\d]*|libnvidia-ml\.so[.\d]*): cannot open shared object file`, ErrNotFound,
		"$1 is missing, which comes with NVIDIA's driver: install that, and start containers with --gpus all"},
	{`(libtorch\w*\.so[.\d]*|libc10\w*\.so[.\d]*): cannot open shared object file`, ErrNotFound,
		"$1 of PyTorch is missing, which TensorRT-LLM 1.2 needs: add torch/lib of its Python packages to LD_LIBRARY_PATH"},
	{`(libcudart\.so[.\d]*|libcublas\w*\.so[.\d]*|libcurand\.so[.\d]*|libcudnn\w*\.so[.\d]*|libnccl\.so[.\d]*|libnvrtc\w*\.so[.\d]*|libnvJitLink\.so[.\d]*): cannot open shared object file`, ErrNotFound,
		"$1 of CUDA is missing: install the CUDA that TensorRT-LLM was built with, or add its directory to LD_LIBRARY_PATH; " + doctor},
	{`([\w+.-]+\.so[.\d]*): cannot open shared object file`, ErrNotFound, "$1 is missing: install it, or add its directory to LD_LIBRARY_PATH; " + doctor},
	{`wrong ELF class|cannot open shared object file: .*wrong|invalid ELF header|file too short`, ErrNotFound,
		"the file is no library for this machine, or only a part of one: copy it again, or build it here"},
	{`failed to map segment from shared object`, ErrNotFound,
		"the system does not allow the library to be mapped: it is on a file system that is mounted noexec, or memory is limited"},
	{`cannot enable executable stack`, ErrNotFound, "the system does not allow a library with an executable stack: allow it, or take a newer library"},
}

// cudaErrors are those of CUDA, as cudaGetErrorString and cuGetErrorString give them.
var cudaErrors = []knownText{
	{`no kernel image is available|named symbol not found|device kernel image is invalid|Kernel not found|No kernel|cudaErrorNoKernelImageForDevice`, ErrVersion,
		"the libraries have no kernels for this GPU: use a release of TensorRT-LLM that supports it, or build the engine on this GPU"},
	{`driver version is insufficient|system has unsupported display driver|cudaErrorInsufficientDriver|forward compatibility was attempted|CUDA_ERROR_COMPAT_NOT_SUPPORTED`, ErrVersion,
		"NVIDIA's driver is too old for the CUDA of these libraries: update it (CUDA 13 needs 580 or newer); trtgo doctor tells which it is"},
	{`provided PTX was compiled with an unsupported toolchain`, ErrVersion, "NVIDIA's driver is older than the CUDA that compiled the kernels: update it"},
	{`no CUDA-capable device is detected|CUDA_ERROR_NO_DEVICE`, ErrNotFound,
		"there is no GPU that CUDA can use: look at nvidia-smi and at CUDA_VISIBLE_DEVICES, and start containers with --gpus all"},
	{`invalid device ordinal|CUDA_ERROR_INVALID_DEVICE`, ErrInvalid,
		"there are fewer GPUs than the engine's ranks or device ids name: look at CUDA_VISIBLE_DEVICES and at --device_ids"},
	{`system not yet initialized|CUDA_ERROR_SYSTEM_NOT_READY`, ErrNotFound, "the GPUs are not ready: NVIDIA's fabric manager must run on machines with NVSwitch"},
	{`devices are busy or unavailable`, ErrNotFound, "another process has the GPU for itself: end it, or set the compute mode to default"},
	{`operation not supported on this OS|cudaErrorNotSupported`, ErrUnsupported, "the system, such as WSL, does not support a call of CUDA that TensorRT-LLM makes"},
	{`illegal memory access|illegal instruction was encountered|misaligned address|device-side assert|unspecified launch failure|uncorrectable ECC|launch timed out|CUDA_ERROR_ILLEGAL_ADDRESS`, ErrBroken,
		"a kernel on the GPU failed, after which nothing runs in this process any more: start it again, and report the requests that lead to it"},
	{`CUBLAS_STATUS_(\w+)|cublas\w* error`, ErrBroken, "a matrix product on the GPU failed: most often memory ran out, or the libraries of CUDA are of several releases"},
	{`CUDA runtime error in|CUDA error|cudaError\w+|CUDA_ERROR_\w+`, ErrBroken, "a call of CUDA failed: look at nvidia-smi and the system's log, and start the program again"},
}
