// Package mixedgemm puts weights of 4 and 8 bits into the order that the mixed
// matrix multiplications of TensorRT-LLM (WeightOnlyQuantMatmul,
// WeightOnlyGroupwiseQuantMatmul) read them in, and back. It is a permutation of the
// numbers and an offset that makes them unsigned; no GPU is needed.
//
//	l, err := mixedgemm.For(mixedgemm.Int4, mixedgemm.Float16, 89)
//	if err != nil {
//		return err // the GPU has no such kernels
//	}
//	data := make([]byte, l.Bytes(out, in))
//	for row := range out {
//		l.Put(data, row, codes[row]) // in numbers, signed
//	}
//
// The order is described in [Layout]. It was written from the description of the steps in
// TensorRT-LLM's cutlass_preprocessors.cpp and quantization/functional.py.
package mixedgemm
