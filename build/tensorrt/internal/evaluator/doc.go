// Package evaluator computes a graph.Network, plugins included, in plain Go. Tests
// compare what it gives with other computations of the same model. It is written from
// the definitions: NvInfer.h for TensorRT's layers, the fields and the order of inputs
// that TensorRT-LLM documents for its plugins. Nothing but tests imports it.
//
//	e, err := evaluator.New(net, evaluator.Options{Source: source, Memory: memory})
//	…
//	outputs, err := e.Run(map[string]*evaluator.Tensor{"input_ids": evaluator.Ints(graph.Int32, ids, 3), …})
//
// A [Runtime] serves the engines of all ranks as TensorRT-LLM's runtime does, [Slots] one
// without plugins:
//
//	r, err := evaluator.NewRuntime(networks, sources, config, false, blocks)
//	…
//	s := r.Add(prompt)
//	logits, err := r.Step([]evaluator.Work{{Sequence: s, Tokens: len(prompt)}})
//	s.Append([]int32{next}, nil)
//	logits, err = r.Step([]evaluator.Work{{Sequence: s}})
//
// Numbers are float32; sums are made in float64. Layers are checked while they run:
// each tensor must have the sizes that the network says, dimensions of one name one
// size, and inputs must fit a profile.
package evaluator
