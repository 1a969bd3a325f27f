package tensorrt

import "github.com/trtgo/trtgo/build/tensorrt/graph"

// weightOnly is what the fields of WeightOnlyQuantMatmul depend on.
type weightOnly struct {
	dtype graph.DataType // of the activations
	bits  int            // of a weight
}

// weightOnlyFields are those of version 1.
var weightOnlyFields = []pluginField[weightOnly]{
	i32("type_id", func(w weightOnly) int64 { return int64(w.dtype.Number()) }),
	i32("weight_type_id", func(w weightOnly) int64 { return int64(8 / w.bits) }), // 1 is int8, 2 is int4
}

// groupwise is what the fields of WeightOnlyGroupwiseQuantMatmul depend on.
type groupwise struct {
	dtype graph.DataType // of the activations
	algo  int64          // sum of the constants below
	group int            // inputs that share a scale
}

// What the plugin does beside multiplying with scales (GroupwiseQuantAlgo).
const (
	groupwiseBias     = 1
	groupwisePreQuant = 4 // the input is multiplied by a vector
)

// groupwiseFields are those of version 1.
var groupwiseFields = []pluginField[groupwise]{
	i32("type_id", func(g groupwise) int64 { return int64(g.dtype.Number()) }),
	i32("quant_algo", func(g groupwise) int64 { return g.algo }),
	i32("group_size", func(g groupwise) int64 { return int64(g.group) }),
	f32("alpha", always[groupwise, float32](1)), // of FP8 activations: unused
}
