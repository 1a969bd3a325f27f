/* The C ABI of libtrtgo_tensorrt.so and libtrtgo_rtx.so, which are built from csrc/tensorrt, one for
 * each set of TensorRT headers. C11, no type of TensorRT.
 *
 * Rules for all functions
 *   Fails   By a TRTGO_… status. Through the last argument then comes an error that the caller frees;
 *           NULL there means that the caller does not want it. No C++ exception leaves a function.
 *   Structs That go in begin with struct_size, set by the caller to sizeof. A library that is newer takes
 *           a shorter one, the rest being zero; zero is always the default. What comes out is as short.
 *           trtgo_field, trtgo_tensor and trtgo_range, which come in lists, have none: they stay as they are.
 *   Owner   Handles belong to who created them, and are closed once, networks before their library.
 *   Thread  Functions of one handle must not run at the same time, except where they say otherwise.
 *           Different libraries and networks are independent.
 *   Text    UTF-8 that ends with a zero. What goes in is copied; what comes out belongs to the handle.
 *   Calls   There are no callbacks: progress and messages are asked for.
 */
#ifndef TRTGO_H
#define TRTGO_H

#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define TRTGO_API __attribute__((visibility("default")))

/* The ABI's version is in the name: a loader that does not find the symbol has another version's library. */
extern TRTGO_API const int32_t TRTGO_ABI_1;

typedef enum trtgo_status {
  TRTGO_OK = 0,
  TRTGO_INVALID = 1,   /* an argument is wrong, or TensorRT refused what was asked for */
  TRTGO_NOT_FOUND = 2, /* a library, symbol, plugin or name does not exist */
  TRTGO_VERSION = 3,   /* the library that was found has another version than the headers */
  TRTGO_CANCELLED = 4, /* trtgo_network_cancel */
  TRTGO_IO = 5,        /* writing failed */
  TRTGO_MEMORY = 6,    /* memory ran out */
  TRTGO_INTERNAL = 7,  /* an exception that nobody expected */
  TRTGO_CLOSED = 8     /* the executor takes no more requests, or has no more outputs */
} trtgo_status;

typedef struct trtgo_error trtgo_error; /* what failed, in which call */
TRTGO_API int32_t trtgo_error_status(const trtgo_error* error);
TRTGO_API const char* trtgo_error_operation(const trtgo_error* error); /* e.g. "addMatrixMultiply" */
TRTGO_API const char* trtgo_error_text(const trtgo_error* error);      /* one sentence; TensorRT's own words last */
TRTGO_API void trtgo_error_free(trtgo_error* error);                   /* NULL is allowed */

typedef struct trtgo_versions {
  uint32_t struct_size;
  const char* flavour;          /* "tensorrt" or "tensorrt-rtx" */
  int32_t headers;              /* NV_TENSORRT_VERSION that the library was compiled with, e.g. 101401 */
  const char* producer;         /* compiler, for bug reports */
  const char* executor_headers; /* release of TensorRT-LLM whose headers it was compiled with; NULL without any */
  const char* executor;         /* release of the TensorRT-LLM that is loaded; NULL for none */
} trtgo_versions;

/* Tells what this library was compiled with. Any thread, before anything else. The strings are constants. */
TRTGO_API int32_t trtgo_get_versions(trtgo_versions* out, trtgo_error** error);
typedef struct trtgo_library trtgo_library; /* a loaded TensorRT with its messages and plugins */
typedef struct trtgo_library_options {
  uint32_t struct_size;
  const char* tensorrt;         /* path or name of libnvinfer or libtensorrt_rtx; NULL for the usual name */
  const char* plugins;          /* path or name of libnvinfer_plugin_tensorrt_llm; NULL for none */
  const char* plugin_namespace; /* what its plugins are registered under; NULL is "tensorrt_llm" */
  int32_t verbose;              /* keep messages of severity verbose too */
} trtgo_library_options;

/* Loads TensorRT, compares its getInferLibVersion() with the headers' before any other call, then loads and
 * initialises the plugins, for which it sets IS_BUILDING=1 in the environment: no other thread may be reading that.
 * TRTGO_NOT_FOUND, TRTGO_VERSION; TRTGO_INVALID where plugins were asked of TensorRT-RTX, which takes none. */
TRTGO_API int32_t trtgo_library_open(const trtgo_library_options* options, trtgo_library** out, trtgo_error** error);
/* Closes it. What was loaded stays loaded: TensorRT does not survive dlclose. NULL is allowed. */
TRTGO_API void trtgo_library_close(trtgo_library* library);
/* The version that getInferLibVersion() gave. Any thread. */
TRTGO_API int32_t trtgo_library_version(const trtgo_library* library);
/* Takes the oldest message of the logger: severity 0 (internal error) to 4 (verbose), and its text, valid until the
 * next call. Returns 0 when there is none. The newest 4096 are kept. By one thread at a time, which may be another
 * than that of a running call. */
TRTGO_API int32_t trtgo_library_message(trtgo_library* library, int32_t* severity, const char** text);
/* Tells name and type (TensorRT's name, e.g. "INT32") of field index of a plugin's creator, as its getFieldNames()
 * lists them; *name is NULL past the last one. TRTGO_NOT_FOUND for no such creator. The strings are the creator's,
 * valid until the library is closed. */
TRTGO_API int32_t trtgo_library_plugin_field(trtgo_library* library, const char* creator, const char* version,
                                             const char* plugin_namespace, int32_t index, const char** name,
                                             const char** type, trtgo_error** error);

typedef struct trtgo_network trtgo_network; /* a builder with one network and its configuration */
typedef struct trtgo_network_options {
  uint32_t struct_size;
  const char* name;
  int32_t threads; /* of the builder; 0 leaves it alone */
} trtgo_network_options;

/* Creates an empty, strongly typed network. */
TRTGO_API int32_t trtgo_network_create(trtgo_library* library, const trtgo_network_options* options,
                                       trtgo_network** out, trtgo_error** error);
TRTGO_API void trtgo_network_close(trtgo_network* network); /* NULL is allowed */
enum { TRTGO_FIELD_INT8 = 0, TRTGO_FIELD_INT32, TRTGO_FIELD_INT64, TRTGO_FIELD_FLOAT32, TRTGO_FIELD_TEXT };
/* An attribute of a layer, a field of a plugin, or a setting. */
typedef struct trtgo_field {
  const char* name;
  int32_t type;     /* TRTGO_FIELD_… */
  int32_t length;   /* values, or bytes of text */
  const void* data; /* copied */
} trtgo_field;

/* What a tensor is. */
typedef struct trtgo_tensor {
  int32_t id;       /* by which other calls name it */
  int32_t rank;     /* at most 8 */
  int64_t dims[8];  /* -1: the runtime says */
  const char* type; /* TensorRT's name, e.g. "BF16"; a constant */
} trtgo_tensor;

/* Adds an input. names has rank entries, NULL or "" where a dimension has no name; or it is NULL. */
TRTGO_API int32_t trtgo_network_add_input(trtgo_network* network, const char* name, const char* type, int32_t rank,
                                          const int64_t* dims, const char* const* names, trtgo_tensor* out,
                                          trtgo_error** error);

/* A layer by kind. Inputs are ids, -1 where an optional one is absent. The attributes of each kind, all needed
 * but those in brackets, and no others:
 *   Constant         type TEXT, dims INT64; the values are in weights
 *   Cast             to_type TEXT
 *   ElementWise      operation TEXT          Unary   operation TEXT          Activation     type TEXT
 *   MatrixMultiply   op0 TEXT, op1 TEXT      Gather  axis INT64              Concatenation  axis INT64
 *   Shuffle          [first_transpose INT64] [reshape INT64] [second_transpose INT64]; inputs x[, shape];
 *                    a size of 0 is no placeholder
 *   Slice            start, size, stride INT64, mode TEXT; inputs x[, start][, size][, stride], which win
 *   Reduce           operation TEXT, axes INT64; dimensions are kept
 *   Normalization    axes INT64, epsilon FLOAT32; inputs x, scale, bias
 *   Select           inputs condition, then, else
 *   Quantize         to_type TEXT, axis INT64 (-1: none); inputs x, scale      Dequantize  the same
 *   Shape            input x
 *   Fill             LINSPACE; type TEXT, rank INT64; inputs shape, start, delta
 *   RotaryEmbedding  interleaved INT64, dim INT64; inputs x, cos, sin[, position ids]
 *   KVCacheUpdate    LINEAR; inputs cache, update, write indices
 *   Attention        SOFTMAX, causal NONE; decomposable INT64; inputs q, k, v[, mask]
 *   Plugin           the plugin's own fields; creator, version, plugin_namespace below
 * Enumerators are TensorRT's names without k. A kind that the headers do not have is TRTGO_INVALID. */
typedef struct trtgo_layer {
  uint32_t struct_size;
  const char* kind;
  const char* name;
  const int32_t* inputs;
  int32_t num_inputs;
  const trtgo_field* fields;
  int32_t num_fields;
  const void* weights;   /* of a Constant: not copied, must stay until the network is closed */
  int64_t weights_bytes; /* checked against type and dims */
  const char *creator, *version, *plugin_namespace; /* of a Plugin */
  const char* weights_name;                         /* of a Constant, for those who refit the plan; or NULL */
} trtgo_layer;

/* Adds a layer and describes its outputs: *num_outputs is the room in outputs before, and how many there are after.
 * TRTGO_INVALID also when TensorRT took the layer but found no shape for an output or logged an error. After any
 * failure the network is of no use but to be closed: TensorRT cannot take a layer back. */
TRTGO_API int32_t trtgo_network_add_layer(trtgo_network* network, const trtgo_layer* layer, trtgo_tensor* outputs,
                                          int32_t* num_outputs, trtgo_error** error);

/* Marks a tensor as an output and names it. */
TRTGO_API int32_t trtgo_network_mark_output(trtgo_network* network, int32_t tensor, const char* name,
                                            trtgo_error** error);

/* The least, best and largest shape of an input; a list of them is an optimisation profile. */
typedef struct trtgo_range {
  const char* input;
  int32_t rank;
  const int64_t *min, *opt, *max;
} trtgo_range;

TRTGO_API int32_t trtgo_network_add_profile(trtgo_network* network, const trtgo_range* ranges, int32_t num_ranges,
                                            trtgo_error** error);

typedef struct trtgo_build_options {
  uint32_t struct_size;
  const char* const* flags; /* BuilderFlag by name, e.g. "STRIP_PLAN" */
  int32_t num_flags;
  const char* profiling_verbosity; /* "LAYER_NAMES_ONLY", "DETAILED" or "NONE"; NULL leaves it alone */
  const int32_t* capabilities;     /* compute capabilities times ten, e.g. 86; TensorRT-RTX only */
  int32_t num_capabilities;
  const void* timing_cache; /* a blob from an earlier build, or NULL */
  int64_t timing_cache_bytes;
  int32_t use_timing_cache; /* create and attach one, from the blob or empty */
} trtgo_build_options;

/* Builds the network, once, and writes the plan to a file descriptor as it comes, from its present position. The
 * descriptor is not closed. TRTGO_CANCELLED, TRTGO_IO, TRTGO_MEMORY; otherwise what TensorRT's messages say. */
TRTGO_API int32_t trtgo_network_build(trtgo_network* network, const trtgo_build_options* options, int fd,
                                      trtgo_error** error);
/* How far a running build is: the name of the innermost phase (valid until the next call), its steps done and in
 * all, bytes written. By one thread at a time, during a build too. Returns 0, and nothing else, outside a build. */
TRTGO_API int32_t trtgo_network_progress(trtgo_network* network, const char** phase, int32_t* done, int32_t* total,
                                         int64_t* bytes);

/* Makes a running build, or the next one, end with TRTGO_CANCELLED. Any thread. */
TRTGO_API void trtgo_network_cancel(trtgo_network* network);
/* The timing cache after a build: *data is valid until the network is closed, NULL when none was used. */
TRTGO_API int32_t trtgo_network_timing_cache(trtgo_network* network, const void** data, int64_t* bytes,
                                             trtgo_error** error);

/* Running an engine, by TensorRT-LLM's Executor: TRTGO_NOT_FOUND in a library that was compiled without its headers.
 * There is one at a time in a process. Its functions may run at the same time, in any threads, except that await and
 * stats are each called by one thread at a time, and free after all others. Life: open, drain, await until
 * TRTGO_CLOSED, shutdown, free. */
typedef struct trtgo_executor trtgo_executor;

/* Settings of an executor, all optional, named as upstream's setters; (s) is a list. What is not set is upstream's
 * default, but log-probs are not normalised over the candidates.
 *   INT64    maxBeamWidth maxBatchSize maxNumTokens maxQueueSize iterStatsMaxIterations requestStatsMaxIterations
 *            maxSeqIdleMicroseconds enableChunkedContext gatherGenerationLogits enableBlockReuse maxTokens
 *            hostCacheSize maxAttentionWindow(s) deviceIds(s) participantIds(s) numNodes multiBlockMode cudaGraphMode
 *            cudaGraphCacheSize contextFMHAFP32Acc recvPollPeriodMs
 *   FLOAT32  freeGpuMemoryFraction gpuWeightsPercent
 *   TEXT     capacitySchedulerPolicy (GUARANTEED_NO_EVICT, MAX_UTILIZATION), workerExecutablePath: orchestrator mode */
typedef struct trtgo_executor_options {
  uint32_t struct_size;
  const char* engine_dir; /* with config.json and rank*.engine */
  const char* plugins;    /* path or name of libnvinfer_plugin_tensorrt_llm; NULL for the usual name */
  const trtgo_field* settings;
  int32_t num_settings;
} trtgo_executor_options;

/* Compares executor::version() with the headers', registers the plugins, starts MPI and loads the engine: takes
 * minutes. The handlers of signals are afterwards as before. library must not have been opened with plugins. */
TRTGO_API int32_t trtgo_executor_open(trtgo_library* library, const trtgo_executor_options* options,
                                      trtgo_executor** out, trtgo_error** error);
/* Tells whether this process takes requests: all other processes of mpirun only shut down. Also after shutdown. */
TRTGO_API int32_t trtgo_executor_is_leader(const trtgo_executor* executor);

/* Numbers, row-major, in the memory of who gives them. type is TensorRT's name: FLOAT, HALF or BF16. */
typedef struct trtgo_array {
  const void* data; /* NULL: there is none */
  const char* type;
  int32_t rank; /* at most 4 */
  int64_t dims[4];
} trtgo_array;

/* Settings of a request, all optional, named as upstream's setters. Lists of words have each word after its length.
 *   INT64    streaming endId padId beamWidth numReturnSequences topK topPResetIds seed minTokens noRepeatNgramSize
 *            promptIgnoreLength earlyStopping stopWords(s) badWords(s) allottedTimeMs cacheSaltID returnLogProbs
 *            returnContextLogits returnGenerationLogits returnPerfMetrics
 *   FLOAT32  topP topPMin topPDecay minP temperature repetitionPenalty presencePenalty frequencyPenalty lengthPenalty
 *            beamSearchDiversityRate priority */
typedef struct trtgo_request {
  uint32_t struct_size;
  int32_t max_tokens;
  uint64_t client_id; /* comes back with each output */
  const int32_t* tokens;
  int32_t num_tokens, num_settings;
  const trtgo_field* settings;
  trtgo_array embedding_bias; /* [vocab_size], of the type of the logits; copied */
} trtgo_request;

/* Queues a request. Outputs may come before it returns. *id, above 0, is written on success only. */
TRTGO_API int32_t trtgo_executor_enqueue(trtgo_executor* executor, const trtgo_request* request, uint64_t* id,
                                         trtgo_error** error);
/* Asks for the end of a request, which still has a last output. Ids that have ended, or are unknown, are ignored. */
TRTGO_API int32_t trtgo_executor_cancel(trtgo_executor* executor, uint64_t id, trtgo_error** error);

/* What is new of one beam of a request. Pointers are into the batch. */
typedef struct trtgo_output {
  uint64_t id, client_id;
  const char* error; /* NULL, or why the request failed: then it is final and the rest is zero */
  int32_t final;     /* nothing follows of this request, but other beams in the same batch */
  int32_t beam, num_beams;
  int32_t finish_reason;  /* TensorRT-LLM's number; -1 for one that is not known */
  const int32_t* tokens;  /* since the last output, without the prompt; may be none, also in the last */
  const float* log_probs; /* of all tokens so far, those of earlier outputs too */
  int32_t num_tokens, num_log_probs;
  float cum_log_prob;
  int32_t reused_blocks; /* of the KV cache, with returnPerfMetrics, as the times: ns since enqueue, -1 unknown */
  int64_t scheduled, first_token, last_token;
  trtgo_array context_logits;    /* [prompt tokens, vocab_size_padded] */
  trtgo_array generation_logits; /* streaming [tokens, beams, vocab_size_padded], else [beams, tokens, same] */
} trtgo_output;

typedef struct trtgo_outputs trtgo_outputs;
/* Waits for outputs, at most timeout_ms, and gives all there are; none is TRTGO_OK too. The batch is freed by the
 * caller, before the executor. TRTGO_CLOSED after drain, when every request has had its last output. */
TRTGO_API int32_t trtgo_executor_await(trtgo_executor* executor, int32_t timeout_ms, trtgo_outputs** batch,
                                       const trtgo_output** list, int32_t* num, trtgo_error** error);
TRTGO_API void trtgo_outputs_free(trtgo_outputs* batch); /* NULL is allowed */

/* The statistics since the last call, of iterations, or with requests of their requests: a JSON array of upstream's
 * objects, oldest first. The text is valid until the next call of the same kind. */
TRTGO_API int32_t trtgo_executor_stats(trtgo_executor* executor, int32_t requests, const char** json,
                                       trtgo_error** error);

/* Takes no more requests from now on, and asks for the end of all. Returns at once. Again: does nothing. */
TRTGO_API int32_t trtgo_executor_drain(trtgo_executor* executor, trtgo_error** error);
/* Ends the engine; where this is not the leader, waits until that does. TRTGO_INVALID before it is drained. */
TRTGO_API int32_t trtgo_executor_shutdown(trtgo_executor* executor, trtgo_error** error);
/* Frees it, which shuts it down where that was not done: that waits for all requests. NULL is allowed. */
TRTGO_API void trtgo_executor_free(trtgo_executor* executor);
/* Ends MPI where TensorRT-LLM started it: the last call of a process, which opens no executor afterwards. It must then
 * end by _exit, as Go's do: exit() runs TensorRT-LLM's atexit function, which ends MPI once more, and MPI aborts. */
TRTGO_API int32_t trtgo_finalize(trtgo_error** error);

#ifdef __cplusplus
}
#endif
#endif /* TRTGO_H */
