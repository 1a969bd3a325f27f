//go:build cgo && linux && (amd64 || arm64)

package cpu

// #include <stdlib.h>
// #include "kernelhooks.h"
import "C"

import "unsafe"

// A kernelSet is the name of a kernel set; its methods call one kernel each, for
// tests. Shapes and strides are those of kernels.h.
type kernelSet struct{ name *C.char }

// kernelSetNames are all sets, those of other processors too. The emulated one is
// for tests only.
var kernelSetNames = []string{"scalar", "avx2", "avx512bf16", "avx512bf16-emulated"}

// newKernelSet returns the set of that name; the name's memory is never freed.
func newKernelSet(name string) kernelSet { return kernelSet{C.CString(name)} }

func (s kernelSet) String() string { return C.GoString(s.name) }

func bestKernels() string { return C.GoString(C.trtgo_kernels_best()) }

func (s kernelSet) known() bool     { return C.trtgo_kernels_known(s.name) != 0 }
func (s kernelSet) supported() bool { return C.trtgo_kernels_supported(s.name) != 0 }

// weightShape is trtgo::cpu::WeightShape, of a section's dtype.
type weightShape struct {
	dtype      string // cpuengine's
	k, group   int
	bf16Scales bool
	zeros      bool
}

type linearCall struct {
	xBF16                bool
	shape                weightShape
	x, w, scratch        unsafe.Pointer
	bias, y              *float32
	ldx, ldy             int
	m                    int
	panelBegin, panelEnd int
	accumulate           bool
	packed               bool
}

func cbool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func cfloats(p *float32) *C.float { return (*C.float)(unsafe.Pointer(p)) }

func (s kernelSet) linear(c linearCall) {
	shape := C.trtgo_weight_shape{
		format: C.int(dtypes[c.shape.dtype]), k: C.int(c.shape.k), group: C.int(c.shape.group), bf16_scales: cbool(c.shape.bf16Scales), zeros: cbool(c.shape.zeros),
	}
	C.trtgo_kernel_linear(s.name, cbool(c.xBF16), &shape, c.x, C.int64_t(c.ldx), c.w, cfloats(c.bias), cfloats(c.y),
		C.int64_t(c.ldy), C.int(c.m), C.int(c.panelBegin), C.int(c.panelEnd), cbool(c.accumulate), cbool(c.packed), c.scratch)
}

func (s kernelSet) linearScratchBytes(m, k int) int {
	return int(C.trtgo_kernel_linear_scratch_bytes(s.name, C.int(m), C.int(k)))
}

type attentionCall struct {
	bf16Cache            bool
	q                    *float32
	ldq                  int
	out                  unsafe.Pointer
	ldo                  int
	outBF16              bool
	kv                   *byte
	blockStride, vOffset int
	blockTable           *int32
	blockSize, headSize  int
	group, rows          int
	firstPosition        int
	window               int
	scale                float32
	scratch              *float32
}

func (s kernelSet) attention(c attentionCall) {
	C.trtgo_kernel_attention(s.name, cbool(c.bf16Cache), cfloats(c.q), C.int64_t(c.ldq), c.out, C.int64_t(c.ldo),
		cbool(c.outBF16), (*C.uint8_t)(c.kv), C.int64_t(c.blockStride), C.int64_t(c.vOffset),
		(*C.int32_t)(c.blockTable), C.int(c.blockSize), C.int(c.headSize), C.int(c.group), C.int(c.rows),
		C.int(c.firstPosition), C.int(c.window), C.float(c.scale), cfloats(c.scratch))
}

func (s kernelSet) attentionScratchBytes(group, headSize, blockSize int) int {
	return int(C.trtgo_kernel_attention_scratch_bytes(s.name, C.int(group), C.int(headSize), C.int(blockSize)))
}

func (s kernelSet) rmsNorm(x, weight *float32, epsilon float32, n int, out unsafe.Pointer, outBF16 bool) {
	C.trtgo_kernel_rms_norm(s.name, cfloats(x), cfloats(weight), C.float(epsilon), C.int(n), out, cbool(outBF16))
}

func (s kernelSet) layerNorm(x, weight, bias *float32, epsilon float32, n int, out unsafe.Pointer, outBF16 bool) {
	C.trtgo_kernel_layer_norm(s.name, cfloats(x), cfloats(weight), cfloats(bias), C.float(epsilon), C.int(n), out,
		cbool(outBF16))
}

func (s kernelSet) activation(function int, a, b, factor *float32, n int, out unsafe.Pointer, outBF16 bool) {
	C.trtgo_kernel_activation(s.name, C.int(function), cfloats(a), cfloats(b), cfloats(factor), C.int(n), out, cbool(outBF16))
}

func (s kernelSet) rowStatistics(x *float32, n int, invTemperature float32) (maximum, logSumExp float32) {
	var m, l C.float
	C.trtgo_kernel_row_statistics(s.name, cfloats(x), C.int(n), C.float(invTemperature), &m, &l)
	return float32(m), float32(l)
}

func (s kernelSet) amax(x *float32, n int) float32 {
	return float32(C.trtgo_kernel_amax(s.name, cfloats(x), C.int64_t(n)))
}

func (s kernelSet) toBF16(x *float32, out *uint16, n int) {
	C.trtgo_kernel_to_bf16(s.name, cfloats(x), (*C.uint16_t)(unsafe.Pointer(out)), C.int64_t(n))
}

// roundE4M3 gives x as a linear with this InputScale takes it.
func roundE4M3(x []float32, scale float32) []float32 {
	out := make([]float32, len(x))
	C.trtgo_round_e4m3(cfloats(unsafe.SliceData(x)), C.float(scale), cfloats(unsafe.SliceData(out)), C.int64_t(len(x)))
	return out
}

// runningThreads counts the threads of all steps that run in this process.
func runningThreads() int { return int(C.trtgo_running_threads()) }
