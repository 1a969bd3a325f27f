package verify_test

import (
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

const (
	heads, kvHeads, headSize, positions = 4, 2, 64, 32
)

var (
	batch    = graph.Dynamic("batch_size")
	sequence = graph.Dynamic("sequence_length")
	queries  = shape(batch, fixed(heads), sequence, fixed(headSize))
	caches   = shape(batch, fixed(kvHeads), fixed(positions), fixed(headSize))
	updates  = shape(batch, fixed(kvHeads), sequence, fixed(headSize))
)

// turns adds a rotary embedding with tables of the given width and type.
func turns(c *claimed, x graph.Shape, tables graph.DataType, width int64, ids graph.Shape) {
	in := c.input("x", bf16, x...)
	cos, sin := c.input("cos", tables, fixed(positions), fixed(width)), c.input("sin", tables, fixed(positions), fixed(width))
	finish(c, c.layer(graph.RotaryEmbedding{}, bf16, x, in, cos, sin, c.input("position_ids", graph.Int32, ids...)))
}

// writes adds an update of a cache, which is an input, and marks it.
func writes(c *claimed, cache graph.Shape, t graph.DataType, update graph.Shape, index graph.DataType) {
	in, u := c.input("cache", t, cache...), c.input("update", t, update...)
	finish(c, c.layer(graph.KVCacheUpdate{}, t, cache, in, u, c.input("write_indices", index, batch)))
}

// attends adds an attention; mask may be nil.
func attends(c *claimed, t graph.DataType, q, k graph.Shape, maskType graph.DataType, mask graph.Shape) {
	inputs := []*graph.Tensor{c.input("q", t, q...), c.input("k", t, k...), c.input("v", t, k...)}
	if mask != nil {
		inputs = append(inputs, c.input("mask", maskType, mask...))
	}
	finish(c, c.layer(graph.Attention{}, t, q, inputs...))
}

// attention are mistakes in the layers that stand for the attention plugin.
var attention = []malformed{
	{"tables of a whole head", func(c *claimed) { turns(c, queries, bf16, headSize, shape(batch, sequence)) },
		"turns 64 of [batch_size, 4, sequence_length, 64] by a table [32, 64]", layers, "last dimension is 64 but must be half of headSize", false},
	{"type of tables", func(c *claimed) { turns(c, queries, graph.Float, headSize/2, shape(batch, sequence)) },
		"turns BF16 by FLOAT and FLOAT", layers, "must have identical types", false},
	{"packed rows", func(c *claimed) {
		turns(c, shape(batch, sequence, fixed(headSize)), bf16, headSize/2, shape(batch, sequence))
	}, "not [B, N, S, D]", layers, "", false},
	{"positions of packed rows", func(c *claimed) { turns(c, queries, bf16, headSize/2, shape(batch)) },
		"positions INT32[batch_size] do not belong to", layers, "positionIds has rank 1", false},
	{"64-bit write indices", func(c *claimed) { writes(c, caches, bf16, updates, graph.Int64) },
		"places INT64[batch_size] do not belong to the cache", build, "Write indices must be of type int32, but got i64", false},
	{"cache of open length", func(c *claimed) {
		writes(c, shape(batch, fixed(kvHeads), graph.Dynamic("t"), fixed(headSize)), bf16, updates, graph.Int32)
	}, "must be fixed", layers, "must have a static sequence length", false},
	{"cache of fp8", func(c *claimed) { writes(c, caches, graph.FP8, updates, graph.Int32) }, "writes FP8", layers, "cache has type FP8", false},
	{"heads of an update", func(c *claimed) {
		writes(c, caches, bf16, shape(batch, fixed(heads), sequence, fixed(headSize)), graph.Int32)
	}, "writes [batch_size, 4, sequence_length, 64] into [batch_size, 2, 32, 64]", build, "same number of heads and head size", false},
	{"cache that is computed", func(c *claimed) {
		in, u := c.input("cache", bf16, caches...), c.input("update", bf16, updates...)
		doubled := c.layer(graph.ElementWise{Operation: graph.Sum}, bf16, caches, in, in)
		finish(c, c.layer(graph.KVCacheUpdate{}, bf16, caches, doubled, u, c.input("write_indices", graph.Int32, batch)))
	}, "is not an input of the network", build, "The cache tensor must be a network input", false},
	{"updated cache that is no output", func(c *claimed) {
		in, u := c.input("cache", bf16, caches...), c.input("update", bf16, updates...)
		updated := c.layer(graph.KVCacheUpdate{}, bf16, caches, in, u, c.input("write_indices", graph.Int32, batch))
		finish(c, c.layer(graph.ElementWise{Operation: graph.Sum}, bf16, caches, updated, updated))
	}, "is not an output of the network", build, "The output tensor must be a network output", false},
	{"heads that cannot share", func(c *claimed) {
		attends(c, bf16, queries, shape(batch, fixed(3), fixed(positions), fixed(headSize)), "", nil)
	}, "attends from", layers, "must be divisible by key/value number of heads", false},
	{"head sizes", func(c *claimed) {
		attends(c, bf16, queries, shape(batch, fixed(kvHeads), fixed(positions), fixed(32)), "", nil)
	}, "attends from", layers, "must have the same head dimension", false},
	{"attention of float32", func(c *claimed) { attends(c, graph.Float, queries, caches, "", nil) }, "attention of FLOAT has no fused kernel", build, "not supported by a dedicated kernel", false},
	{"mask of another float", func(c *claimed) {
		attends(c, bf16, queries, caches, graph.Float, shape(batch, fixed(1), sequence, fixed(positions)))
	}, "masks BF16 with FLOAT", build, "element type (bf16) differs from input 1's element type (float)", false},
	{"mask of three dimensions", func(c *claimed) {
		attends(c, bf16, queries, caches, graph.Bool, shape(batch, sequence, fixed(positions)))
	}, "masks scores", layers, "mask must be a 4D tensor", false},
	{"mask of another length", func(c *claimed) {
		attends(c, bf16, queries, caches, graph.Bool, shape(batch, fixed(1), sequence, fixed(positions-1)))
	}, "masks scores", layers, "mask must be broadcastable", false},
}

// interfaces are mistakes in inputs, outputs and profiles.
var interfaces = []malformed{
	{"two inputs of one name", func(c *claimed) {
		x, y := c.input("x", bf16, rows), c.input("x", bf16, rows)
		finish(c, c.layer(graph.ElementWise{Operation: graph.Sum}, bf16, shape(rows), x, y))
	}, "two inputs are called x", inputs, "", false},
	{"an output called as an input", func(c *claimed) {
		finish(c, c.layer(graph.Cast{To: graph.Float}, graph.Float, shape(rows), c.input("y", bf16, rows)))
	}, "two inputs or outputs are called y", outputs, "name is already in use", false},
	{"no output", func(c *claimed) {
		x := c.layer(graph.Cast{To: graph.Float}, graph.Float, shape(rows), c.input("x", bf16, rows))
		finish(c, x)
		c.Outputs = nil
	}, "it has no outputs", build, "at least one output", false},
	// A network that is only computed, or written, needs none.
	{"no profile", func(c *claimed) {
		finish(c, c.layer(graph.Cast{To: graph.Float}, graph.Float, shape(rows), c.input("x", bf16, rows)))
		c.Profiles = nil
	}, "it has no profile, and the runtime says the shape [n] of input x", build, "no optimization profile has been defined", true},
	{"a range that is none", func(c *claimed) {
		finish(c, c.layer(graph.Cast{To: graph.Float}, graph.Float, shape(rows), c.input("x", bf16, rows)))
		c.Profiles[0]["n"] = graph.Range{Min: 4, Opt: 2, Max: 8}
	}, "dimension n has 4, 2 and 8", profile, "", false},
	// TensorRT does not know where an input's memory is.
	{"memory of the CPU", func(c *claimed) {
		finish(c, c.layer(graph.Cast{To: graph.Float}, graph.Float, shape(rows), c.input("host_request_types", graph.Int32, rows)))
		c.Inputs[0].Host = true
	}, "reads host_request_types, which is memory of the CPU", never, "", false},
}
