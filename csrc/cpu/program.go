//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"unsafe"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

// #include <stdlib.h>
// #include "trtgo_cpu.h"
import "C"

var opKinds = map[cpuengine.OpKind]C.int32_t{
	cpuengine.OpEmbedding:  C.TRTGO_CPU_EMBEDDING,
	cpuengine.OpNorm:       C.TRTGO_CPU_NORM,
	cpuengine.OpLinear:     C.TRTGO_CPU_LINEAR,
	cpuengine.OpAttention:  C.TRTGO_CPU_ATTENTION,
	cpuengine.OpActivation: C.TRTGO_CPU_ACTIVATION,
	cpuengine.OpSelect:     C.TRTGO_CPU_SELECT,
}

var dtypes = map[string]C.int32_t{
	cpuengine.DtypeF32:  C.TRTGO_CPU_F32,
	cpuengine.DtypeBF16: C.TRTGO_CPU_BF16,
	cpuengine.DtypeF16:  C.TRTGO_CPU_F16,
	cpuengine.DtypeInt8: C.TRTGO_CPU_INT8,
	cpuengine.DtypeInt4: C.TRTGO_CPU_INT4,
	cpuengine.DtypeFP8:  C.TRTGO_CPU_FP8,
}

func kvDtype(p *cpuengine.Program) C.int32_t {
	if p.KVCacheDtype == "" {
		return -1
	}
	return dtypes[p.KVCacheDtype]
}

var functions = map[string]C.int32_t{
	cpuengine.FunctionSilu:        C.TRTGO_CPU_SILU,
	cpuengine.FunctionSquaredReLU: C.TRTGO_CPU_SQUARED_RELU,
	cpuengine.FunctionReLU:        C.TRTGO_CPU_RELU,
	cpuengine.FunctionGelu:        C.TRTGO_CPU_GELU,
	cpuengine.FunctionGeluTanh:    C.TRTGO_CPU_GELU_TANH,
}

// fillProgram writes a validated program as C reads it. The arrays lie in C
// memory until free is called.
func fillProgram(to *C.trtgo_cpu_program, p *cpuengine.Program, sections []cpuengine.Section, w *weights) (free func()) {
	buffers := array[C.trtgo_cpu_buffer](len(p.Buffers))
	for i, b := range p.Buffers {
		buffers[i] = C.trtgo_cpu_buffer{width: C.int32_t(b.Width), selected: flag(b.Selected), linear_input: flag(b.LinearInput)}
	}
	ops := array[C.trtgo_cpu_op](len(p.Ops))
	for i := range p.Ops {
		ops[i] = cOp(&p.Ops[i])
	}
	table := array[C.trtgo_cpu_section](len(sections))
	for i, s := range sections {
		table[i] = C.trtgo_cpu_section{
			dtype: dtypes[s.Dtype], group: C.int32_t(s.Group), bf16_scales: flag(s.ScaleDtype == cpuengine.DtypeBF16), zeros: flag(s.Zeros), layout: flag(s.Layout == cpuengine.LayoutPanel),
			rows: C.int32_t(s.Rows), cols: C.int32_t(s.Cols), offset: C.int64_t(s.Offset), size: C.int64_t(s.Size),
		}
	}
	*to = C.trtgo_cpu_program{
		vocab_size: C.int32_t(p.VocabSize), num_layers: C.int32_t(p.NumLayers), kv_dtype: kvDtype(p),
		buffers: unsafe.SliceData(buffers), num_buffers: C.int32_t(len(buffers)),
		ops: unsafe.SliceData(ops), num_ops: C.int32_t(len(ops)),
		sections: unsafe.SliceData(table), num_sections: C.int32_t(len(table)),
		weights: w.data, weights_size: C.int64_t(w.size),
	}
	return func() {
		C.free(unsafe.Pointer(unsafe.SliceData(buffers)))
		C.free(unsafe.Pointer(unsafe.SliceData(ops)))
		C.free(unsafe.Pointer(unsafe.SliceData(table)))
	}
}

func cOp(op *cpuengine.Op) C.trtgo_cpu_op {
	return C.trtgo_cpu_op{
		kind: opKinds[op.Kind],
		in:   C.int32_t(op.In), out: C.int32_t(op.Out),
		weight: C.int32_t(op.Weight), bias: C.int32_t(op.Bias), inv_freq: C.int32_t(op.InvFreq),
		norm: flag(op.Norm == cpuengine.NormLayer), epsilon: C.float(op.Epsilon),
		n: C.int32_t(op.N), k: C.int32_t(op.K), accumulate: flag(op.Accumulate),
		input_scale: C.float(op.InputScale), out_factor: C.int32_t(op.OutFactor), kv_scale: C.float(op.KVScale),
		layer: C.int32_t(op.Layer), heads: C.int32_t(op.Heads), kv_heads: C.int32_t(op.KVHeads),
		head_size: C.int32_t(op.HeadSize), rotary_dim: C.int32_t(op.RotaryDim),
		scale: C.float(op.Scale), window: C.int32_t(op.Window),
		function: functions[op.Function], gated: flag(op.Gated), width: C.int32_t(op.Width),
	}
}

// array gives n zeroed elements of C memory.
func array[T any](n int) []T {
	var element T
	return unsafe.Slice((*T)(C.calloc(C.size_t(max(n, 1)), C.size_t(unsafe.Sizeof(element)))), n)
}
