// All that differs between the sets of headers that this library is compiled with:
// TensorRT 10.14, TensorRT 11 and TensorRT-RTX. Other files ask only the TRTGO_HAS_ macros.
#ifndef TRTGO_TENSORRT_VERSIONS_H_
#define TRTGO_TENSORRT_VERSIONS_H_

#include <NvInfer.h>

// NvInferVersion.h spells the major version of TensorRT-RTX in a macro of its own.
#if defined(TRT_MAJOR_RTX)
#define TRTGO_RTX 1
#else
#define TRTGO_RTX 0
#endif

#define TRTGO_TEXT_OF(x) #x
#define TRTGO_TEXT(x) TRTGO_TEXT_OF(x)

#if TRTGO_RTX
#define TRTGO_FLAVOUR "tensorrt-rtx"
#define TRTGO_PRODUCT "TensorRT-RTX"
#define TRTGO_TENSORRT_LIBRARY "libtensorrt_rtx.so." TRTGO_TEXT(NV_TENSORRT_MAJOR)
#else
#define TRTGO_FLAVOUR "tensorrt"
#define TRTGO_PRODUCT "TensorRT"
#define TRTGO_TENSORRT_LIBRARY "libnvinfer.so." TRTGO_TEXT(NV_TENSORRT_MAJOR)
#endif

// addPluginV2, for the plugins of TensorRT-LLM.
#define TRTGO_HAS_PLUGINS (!TRTGO_RTX)
// addRotaryEmbedding and addKVCacheUpdate came with 10.15, addAttentionV2 with 11.0.
#define TRTGO_HAS_CACHE_LAYERS \
  (TRTGO_RTX || NV_TENSORRT_MAJOR > 10 || (NV_TENSORRT_MAJOR == 10 && NV_TENSORRT_MINOR >= 15))
#define TRTGO_HAS_ATTENTION (TRTGO_RTX || NV_TENSORRT_MAJOR > 10)
// setNbComputeCapabilities and setComputeCapability.
#define TRTGO_HAS_CAPABILITIES TRTGO_RTX

// Running engines with TensorRT-LLM's Executor: CMake sets this to 1 where it found TensorRT-LLM's headers, and then
// TRTGO_TRTLLM_VERSION to their release in quotes.
#ifndef TRTGO_HAS_EXECUTOR
#define TRTGO_HAS_EXECUTOR 0
#endif
#if TRTGO_RTX && TRTGO_HAS_EXECUTOR
#error "TensorRT-LLM runs on TensorRT, not on TensorRT-RTX"
#endif
#if TRTGO_RTX
#define TRTGO_NO_EXECUTOR \
  "this library is for TensorRT-RTX, which has no TensorRT-LLM: TensorRT-LLM's engines run in libtrtgo_tensorrt.so"
#else
#define TRTGO_NO_EXECUTOR \
  "this library was compiled without TensorRT-LLM: compile it again with cmake -DTRTLLM_ROOT=/app/tensorrt_llm"
#endif

// The builder flags that a strongly typed network may be built with, by name: their numbers differ.
#define TRTGO_COMMON_BUILDER_FLAGS(X) \
  X(DEBUG)                            \
  X(GPU_FALLBACK)                     \
  X(REFIT)                            \
  X(DISABLE_TIMING_CACHE)             \
  X(TF32)                             \
  X(SPARSE_WEIGHTS)                   \
  X(DIRECT_IO)                        \
  X(VERSION_COMPATIBLE)               \
  X(EXCLUDE_LEAN_RUNTIME)             \
  X(ERROR_ON_TIMING_CACHE_MISS)       \
  X(DISABLE_COMPILATION_CACHE)        \
  X(STRIP_PLAN)                       \
  X(REFIT_IDENTICAL)                  \
  X(WEIGHT_STREAMING)                 \
  X(REFIT_INDIVIDUAL)                 \
  X(STRICT_NANS)                      \
  X(MONITOR_MEMORY)                   \
  X(EDITABLE_TIMING_CACHE)            \
  X(DISTRIBUTIVE_INDEPENDENCE)
#if TRTGO_RTX
#define TRTGO_BUILDER_FLAGS(X) TRTGO_COMMON_BUILDER_FLAGS(X) X(REQUIRE_USER_ALLOCATION)
#else
#define TRTGO_BUILDER_FLAGS(X) TRTGO_COMMON_BUILDER_FLAGS(X)
#endif

#endif  // TRTGO_TENSORRT_VERSIONS_H_
