//go:build cgo && linux

package native

import "fmt"

// #include "device.h"
import "C"

// mostDevices is how many GPUs a machine may have here.
const mostDevices = 64

// Devices lists the GPUs that CUDA's driver sees, of those that CUDA_VISIBLE_DEVICES leaves, in CUDA's order. The
// error is ErrNotFound where there is no driver or no GPU, ErrVersion where the driver does not fit, and ErrInternal
// otherwise. Any goroutine may call it; nothing of CUDA but its driver's library is loaded.
func Devices() ([]Device, error) { return devices("libcuda.so.1") }

// devices asks a driver's library.
func devices(library string) ([]Device, error) {
	var a arena
	defer a.free()
	list := slice[C.trtgo_device](&a, mostDevices)
	failure := (*C.trtgo_device_failure)(a.bytes(C.sizeof_trtgo_device_failure))
	count := C.trtgo_devices(a.text(library), &list[0], mostDevices, failure)
	if count < 0 {
		return nil, deviceError(int(failure.code), C.GoString(failure.call), C.GoString(&failure.text[0]))
	}
	if count == 0 {
		return nil, deviceError(100, "cuDeviceGetCount", "no device")
	}
	var found []Device
	for _, d := range list[:min(count, mostDevices)] {
		found = append(found, Device{Name: C.GoString(&d.name[0]), Capability: 10*int(d.major) + int(d.minor), Memory: int64(d.memory)})
	}
	return found, nil
}

// deviceErrors has what codes of CUDA mean, as cuda.h numbers them.
var deviceErrors = map[int]struct {
	status   Status
	sentence string
}{
	2:   {StatusMemory, "the GPU's memory ran out: end what else uses it"},
	34:  {StatusNotFound, "the driver's library is a stub to link with: take lib64/stubs out of LD_LIBRARY_PATH"},
	35:  {StatusVersion, "NVIDIA's driver is too old for this CUDA: update it"},
	46:  {StatusNotFound, "another process has the GPU for itself: end it, or set the compute mode to default"},
	100: {StatusNotFound, "there is no GPU that CUDA can use: look at nvidia-smi and at CUDA_VISIBLE_DEVICES, and start containers with --gpus all"},
	101: {StatusNotFound, "CUDA_VISIBLE_DEVICES names a GPU that does not exist"},
	304: {StatusNotFound, "the operating system refused a call of the driver: in a container, start it with --gpus all"},
	802: {StatusNotFound, "the GPUs are not ready: NVIDIA's fabric manager must run on machines with NVSwitch"},
	803: {StatusVersion, "the driver's library is of another version than the driver in the kernel: restart the machine after an update, or start the container again"},
	804: {StatusVersion, "CUDA's compatibility package does not support this GPU: take it out of LD_LIBRARY_PATH, or update NVIDIA's driver"},
	999: {StatusNotFound, "NVIDIA's driver cannot start: look at nvidia-smi and the system's log, and load the module nvidia_uvm"},
}

// deviceError makes the error of a CUresult; 0 is that of a library or function that cannot be loaded.
func deviceError(code int, call, text string) error {
	if code == 0 {
		return &Error{StatusNotFound, call, Explain(text)}
	}
	e, known := deviceErrors[code]
	if !known {
		e.status, e.sentence = StatusInternal, "NVIDIA's driver failed"
	}
	return &Error{e.status, call, fmt.Sprintf("%s; CUDA error %d: %s", e.sentence, code, text)}
}
