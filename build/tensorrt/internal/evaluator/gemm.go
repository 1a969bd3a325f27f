package evaluator

import (
	"fmt"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// gemm is alpha·a·b, either transposed; with use_fp8 of two FP8 tensors.
func gemm(c *call) (*Tensor, error) {
	f := c.fields
	op := graph.MatrixMultiply{Op0: transposeIf(f.int32("transa")), Op1: transposeIf(f.int32("transb"))}
	for _, name := range []string{"pad_lda", "pad_ldb", "pad_ldc"} {
		f.must(name, f.int32(name), 0)
	}
	fp8, alpha := f.int32("use_fp8") != 0, f.float("alpha")
	t, err := dataType(f.int32("type_id"))
	if err != nil {
		return nil, err
	}
	if err := c.inputs(2); err != nil {
		return nil, err
	}
	want := t
	if fp8 {
		want = graph.FP8
	}
	if c.in[0].Type != want || c.in[1].Type != want {
		return nil, fmt.Errorf("multiplies %s by %s, the fields say %s", c.in[0], c.in[1], want)
	}
	out, err := matrixMultiply(op, c.in)
	if err != nil {
		return nil, err
	}
	out.Type = t
	for i := range out.Float {
		out.Float[i] *= alpha
	}
	return out, nil
}

func transposeIf(flag int) graph.MatrixOperation {
	if flag != 0 {
		return graph.Transpose
	}
	return graph.None
}
