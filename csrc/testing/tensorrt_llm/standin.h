/*
 * standin.h: a stand-in for TensorRT-LLM 1.2.1: libtensorrt_llm.so, libnvinfer_plugin_tensorrt_llm.so, libmpi.so.40 and
 * libcuda.so.1 of ours, as far as csrc/tensorrt calls them. An engine directory needs a config.json, of which a few
 * numbers are read (engine.h), and rank*.engine, which are not; a toy language model answers (model.h), by the rules of
 * upstream's executor: its threads, locks, races, texts and oddities. They were read in its sources, not tried.
 *
 * TRTGO_STANDIN_SCRIPT says what goes wrong, as NAME=VALUE separated by semicolons. It is read by version(), with which
 * an opening begins, and by the constructor of Executor; calls are counted anew when it is another than before.
 *   version=TEXT          what version() gives
 *   throw=ENTRY#N:KIND    call N (from 1; 0: every one) of ENTRY, e.g. Executor::enqueueRequest, throws. KIND is int,
 *                         bad_alloc, runtime (a TllmException with a stack trace), range (std::out_of_range), or class
 *                         (one that is no std::exception). May stand more than once, as may others with N
 *   handlers=WHEN         handlers of SIGSEGV, SIGABRT, SIGBUS and SIGFPE without SA_ONSTACK, which end the process
 *                         with status 86, are installed at `constructor`, `loop` (by its thread, in its third step),
 *                         `shutdown`, or `load`, when the library is loaded
 *   hang=WHERE            `constructor`, `shutdown`, `await`, `step#N`, or an ENTRY: stands still
 *   release=PATH          a hang ends when this file exists
 *   hold=PATH             no step is done while this file exists; PATH.arrived is made when one waits
 *   step_us=N             how long a step takes
 *   fail_step=N           step N fails, and with it all active requests; with N+ all later ones too
 *   die=N                 the loop's thread ends in step N, and nothing is told
 *   error_request=N       request N gets an error response
 *   error_token=T         and so does each with this token in its prompt
 *   merge=N               streaming responses come for N tokens at a time
 *   empty_final=1         the last streaming response comes alone, without tokens
 *   finish_reason=N       instead of the true one, in final responses
 *   kv_blocks=N           size of the KV cache
 *   forget=CLASS          SchedulerConfig, KvCacheConfig, OrchestratorConfig or ExecutorConfig: a getter gives what was
 *                         not set, as where headers and library are of two releases
 *   no_plugins=1          initTrtLlmPlugins gives false
 *
 * OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE say which process of how many this is; these meet in the directory
 * TRTGO_STANDIN_WORLD. MPI_Finalize makes the file TRTGO_STANDIN_FINALIZED. TRTGO_STANDIN_GPUS are libcuda's devices:
 * NAME,MAJOR,MINOR,BYTES separated by semicolons.
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdint.h>

#define STANDIN_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* Takes this script instead of the environment's, and starts counting calls anew; NULL is the environment's. Nothing of
 * the stand-in may be running. */
STANDIN_API void trtllm_standin_script(const char* script);
/* Tells of entry index since the process began: its name, a constant, and how often it was called since the script was
 * set. Returns 0 when there was no such entry. */
STANDIN_API int32_t trtllm_standin_entry(int32_t index, const char** name, int64_t* calls);
/* How many throws of the script happened. */
STANDIN_API int64_t trtllm_standin_thrown(void);
/* How many tensors, requests and responses are alive. */
STANDIN_API int64_t trtllm_standin_alive(void);
/* Whether this thread is inside of the stand-in, or is one of its own. */
STANDIN_API int32_t trtllm_standin_inside(void);
/* Told by the plugin library that its plugins are registered, and asked by the engine. */
STANDIN_API void trtllm_standin_register_plugins(void);
STANDIN_API int32_t trtllm_standin_plugins_registered(void);
/* Counts a call of initTrtLlmPlugins, which throws if the script says so; gives 0 if it should give false. */
STANDIN_API int32_t trtllm_standin_entry_of_plugins(void);

#ifdef __cplusplus
}
#endif

#endif
