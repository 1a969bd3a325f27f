// Package cpu turns a network and a checkpoint's weights into the engine file
// of the CPU backend (internal/cpuengine): operations are fused, buffers shared
// and weights packed as the kernels read them.
//
//	plan, err := cpu.New(ctx, ckpt, cpu.Options{}) // lowers; reads headers and few weights
//	fmt.Println(plan.Size())             // bytes of the weights
//	file, err := os.Create("rank0.engine")
//	err = plan.Write(ctx, file, cpu.WriteOptions{Workers: 4})
//
// What is fused: the addition of a residual into the linear before it, mlp.fc and
// mlp.gate into one linear, and the selection of rows moves up to the last place
// where one tensor carries everything, so that the last MLP runs for
// the rows that want logits only.
//
// Weights of linears and embeddings keep the checkpoint's values exactly: bfloat16,
// float16 and float32 stay what they are, FP8 keeps its codes, and what the builder
// rounds (W8A16, W4A16) or finds in groups of 32, 64 or 128 (AWQ) stays numbers of 8 or
// 4 bits with their scales. The factors that AWQ multiplies inputs by move into the norm
// before the linear, or become the activation's or the attention's; where something else
// computes the input, and with other groups, the weights are expanded. Norms, biases and
// rotary frequencies are float32. A head that equals the embedding bit for bit shares its
// section. A quantised KV cache (kv_cache_quant_algo) keeps the checkpoint's scales.
package cpu
