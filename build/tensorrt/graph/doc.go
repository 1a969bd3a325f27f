// Package graph is a TensorRT network as data: inputs with their profiles, layers
// with their attributes, typed tensors, outputs. build/tensorrt makes it from a
// network of build/network; csrc/native hands it, call by call, to TensorRT; it can be
// written as JSON without either.
//
//	b := graph.NewBuilder("rank0")
//	x := b.Input("hidden_states_input", graph.BF16, graph.Dynamic("num_tokens"), graph.Fixed(64))
//	w := b.Constant(&graph.Weights{Name: "lm_head.weight", Type: graph.BF16, Shape: []int64{96, 64}, …})
//	b.At("lm_head")                                    // names the layers that follow
//	y := b.MatrixMultiply(x, graph.None, w, graph.Transpose)
//	b.Output("logits", b.Cast(y, graph.Float))
//	net, err := b.Network()                            // the first mistake, by layer and cause
//
// Names, enumerators and the order of inputs are TensorRT's own (NvInfer.h), without
// the leading k. Networks are strongly typed: nothing is converted implicitly. The
// shape and type of each tensor are inferred here, so that they can be compared with
// those of the real library after each layer.
//
// A Network is plain data: it may be read by several goroutines once built.
package graph
