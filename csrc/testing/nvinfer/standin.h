/*
 * standin.h: a stand-in for TensorRT that records. libnvinfer_standin.so has the entry points and the
 * virtual tables of libnvinfer, libnvinfer_plugin_standin.so those of the plugins of TensorRT-LLM, as far
 * as csrc/tensorrt calls them; anything else ends the process with a message. Nothing is compiled: a
 * "plan" is a text about the network. What it tells of dimensions and types it infers itself, by simple
 * rules of its own, so the two inferences of Go and of C++ check each other.
 *
 * TRTGO_STANDIN_RECORD names the file that every call is appended to as a line of JSON.
 * TRTGO_STANDIN_FAULT asks for faults, separated by commas:
 *   FUNCTION#N=KIND     the N-th call of FUNCTION, e.g. INetworkDefinition::addCast#2. KIND is
 *                         bad             it gives null, false, -1, ... and says nothing
 *                         logged          the same, and logs an error; if it gives nothing, it does nothing
 *                         throw-int, throw-runtime, throw-bad_alloc
 *   version=N           what getInferLibVersion() gives
 *   build=hang          a build that makes progress until it is cancelled
 *   build=slow          one that makes much progress
 *   build=half          one that fails after half of the plan
 *   write=N             the plan comes in pieces of N bytes
 *   plugins=refuse      initTrtLlmPlugins() gives false
 *   plugins=print       it prints to stdout, as upstream's logger does by default
 *   creator=NAME        there is no creator of this name
 *   without=NAME.FIELD  a creator does not know this field
 *   with=NAME.FIELD     a creator wants another field, an INT32
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdint.h>

#define STANDIN_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* Starts again: object numbers and counts of calls at zero, another file and other faults (NULL: none).
 * Nothing that the stand-in made may be alive. */
STANDIN_API void trtgo_standin_reset(const char* record, const char* faults);
/* How many objects are alive, their names in *names until the next call. */
STANDIN_API int32_t trtgo_standin_alive(const char** names);
/* Tells of call index since the start: its function, which of that function's calls it was (from 1), what
 * it gives (standin::Answer), whether it can throw, and whether it can log. Returns 0 when there was no such call. The
 * name is valid until the next reset. */
STANDIN_API int32_t trtgo_standin_call(int32_t index, const char** function, int32_t* number, int32_t* answer,
                                       int32_t* throws, int32_t* logs);
/* Whether a fault that was asked for happened since the start. */
STANDIN_API int32_t trtgo_standin_faulted(void);
/* Whether this thread is inside of the stand-in. */
STANDIN_API int32_t trtgo_standin_inside(void);

#ifdef __cplusplus
}
#endif

#endif
