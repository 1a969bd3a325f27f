// The two types of the CUDA runtime that TensorRT's headers name. It stands in for the
// toolkit's header where there is no toolkit: this library calls no CUDA function.
#ifndef TRTGO_TENSORRT_STANDIN_CUDA_RUNTIME_API_H_
#define TRTGO_TENSORRT_STANDIN_CUDA_RUNTIME_API_H_

typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;

#endif  // TRTGO_TENSORRT_STANDIN_CUDA_RUNTIME_API_H_
