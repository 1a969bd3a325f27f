// Package network describes one rank of a model as a list of operations with
// typed, named weights. It belongs to no backend: build/model makes networks,
// build/cpu lowers them to an engine file and build/tensorrt to TensorRT layers.
//
// Activations are values that are written once: a [Tensor] has a row for each
// token of a step (or for each selected token) and Width columns. Weights carry
// the names and shapes of the TensorRT-LLM checkpoint; a linear weight is
// [out, in].
//
//	b := network.NewBuilder(network.Network{Architecture: "LlamaForCausalLM", …})
//	x := b.Embedding("transformer.vocab_embedding", 0, vocab, hidden)
//	y := b.RMSNorm("transformer.ln_f", x, 1e-5)
//	y = b.SelectLastTokens(y)
//	b.Logits(b.Linear("lm_head", y, vocab, false))
//	net, err := b.Network() // validated
//	fmt.Print(net)          // one operation a line
//
// A Network is plain data: it may be read by several goroutines once built.
package network
