//go:build cgo && linux && (amd64 || arm64)

package cpu

// #include <stdlib.h>
// #include "kernelhooks.h"
import "C"

import (
	"runtime"
	"slices"
	"unsafe"
)

// A kernelSet is the name of a kernel set; its methods call one kernel each, for
// tests. Shapes and strides are those of kernels.h.
type kernelSet struct{ name *C.char }

// kernelSetNames are all sets, those of other processors too. The emulated one is
// for tests only.
var kernelSetNames = append(slices.Clone(kernelSets), "avx512bf16-emulated")

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
	format               kvFormat
	q                    *float32
	ldq                  int
	out                  unsafe.Pointer
	ldo                  int
	outBF16              bool
	outFactor            *float32
	kv                   *byte
	blockStride, vOffset int
	blockTable           *int32
	blockSize, headSize  int
	group, rows          int
	firstPosition        int
	window               int
	scale, kvScale       float32
	partials             *float32
	attentionRange       int
	scratch              *float32
}

// A kvFormat is what a KV cache holds.
type kvFormat int

const (
	kvF32 kvFormat = iota
	kvBF16
	kvInt8
	kvFP8
)

// c gives the call to C; what it points at is pinned until pins are released.
func (c attentionCall) c(pins *runtime.Pinner) *C.trtgo_attention_args {
	for _, p := range []unsafe.Pointer{
		unsafe.Pointer(c.q), c.out, unsafe.Pointer(c.outFactor), unsafe.Pointer(c.kv), unsafe.Pointer(c.blockTable),
		unsafe.Pointer(c.partials), unsafe.Pointer(c.scratch),
	} {
		if p != nil {
			pins.Pin(p)
		}
	}
	return &C.trtgo_attention_args{
		format: C.int(c.format), q: cfloats(c.q), ldq: C.int64_t(c.ldq), out: c.out, ldo: C.int64_t(c.ldo),
		out_bf16: cbool(c.outBF16), out_factor: cfloats(c.outFactor), kv: (*C.uint8_t)(c.kv), block_stride: C.int64_t(c.blockStride),
		v_offset: C.int64_t(c.vOffset), block_table: (*C.int32_t)(c.blockTable), block_size: C.int(c.blockSize),
		head_size: C.int(c.headSize), group: C.int(c.group), rows: C.int(c.rows), first_position: C.int(c.firstPosition),
		window: C.int(c.window), scale: C.float(c.scale), kv_scale: C.float(c.kvScale), partials: cfloats(c.partials),
		_range: C.int(c.attentionRange), scratch: cfloats(c.scratch),
	}
}

func (s kernelSet) attention(c attentionCall) {
	var pins runtime.Pinner
	defer pins.Unpin()
	C.trtgo_kernel_attention(s.name, c.c(&pins))
}

func (s kernelSet) attentionMerge(c attentionCall) {
	var pins runtime.Pinner
	defer pins.Unpin()
	C.trtgo_kernel_attention_merge(s.name, c.c(&pins))
}

// partialFloats is what one query keeps of a range of positions.
func partialFloats(headSize int) int { return int(C.trtgo_partial_floats(C.int(headSize))) }

// encodeKV gives x as an int8 or FP8 cache holds it.
func encodeKV(format kvFormat, x []float32, scale float32) []byte {
	out := make([]byte, len(x))
	C.trtgo_encode_kv(C.int(format), cfloats(unsafe.SliceData(x)), C.float(scale), C.int(len(x)), (*C.uint8_t)(unsafe.SliceData(out)))
	return out
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
