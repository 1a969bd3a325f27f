/* The GPUs that CUDA's driver sees. */
#ifndef TRTGO_DEVICE_H
#define TRTGO_DEVICE_H

#include <stddef.h>
#include <stdint.h>

typedef struct trtgo_device {
  char name[256];
  int32_t major, minor; /* of the compute capability */
  int64_t memory;       /* bytes */
} trtgo_device;

/* Why they cannot be told: code 0 where the driver's library cannot be loaded or has not the function call, else what
 * call returned, a CUresult. text is what the dynamic loader or CUDA says about it. */
typedef struct trtgo_device_failure {
  int32_t code;
  const char* call;
  char text[512];
} trtgo_device_failure;

/* Loads the driver's library, which stays loaded, and describes the first `room` devices. Returns how many there are,
 * of those that CUDA_VISIBLE_DEVICES leaves, or -1 with a failure. No context is made: the calling thread, which may
 * be any, stays as it is. */
int32_t trtgo_devices(const char* library, trtgo_device* devices, int32_t room, trtgo_device_failure* failure);

#endif /* TRTGO_DEVICE_H */
