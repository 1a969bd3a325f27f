// libnvinfer: of TensorRT, what opening a library of csrc/tensorrt needs. It builds nothing; csrc/testing/nvinfer does.
#include <NvInferVersion.h>
#include <stdint.h>

extern "C" {

int32_t getInferLibVersion() { return NV_TENSORRT_MAJOR * 10000 + NV_TENSORRT_MINOR * 100 + NV_TENSORRT_PATCH; }
void* createInferBuilder_INTERNAL(void*, int32_t) { return nullptr; }
void* getPluginRegistry() { return nullptr; }

}  // extern "C"
