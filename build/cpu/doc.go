// Package cpu turns a network and a checkpoint's weights into the engine file
// of the CPU backend (internal/cpuengine): operations are fused, buffers shared
// and weights packed as the kernels read them.
//
//	plan, err := cpu.New(ctx, ckpt)      // lowers; reads headers and few weights
//	fmt.Println(plan.Size())             // bytes of the weights
//	file, err := os.Create("rank0.engine")
//	err = plan.Write(ctx, file, cpu.WriteOptions{Workers: 4})
//
// What is fused: the addition of a residual into the linear before it, mlp.fc and
// mlp.gate into one linear, and the selection of rows moves up to the last place
// where one tensor carries everything, so that the last MLP runs for
// the rows that want logits only.
//
// Weights of linears and embeddings keep the checkpoint's values exactly:
// bfloat16 stays bfloat16 and float32 float32; float16, which the kernels do not
// read, becomes bfloat16 when every value is a bfloat16 number too and float32
// otherwise. Norms, biases and rotary frequencies are float32. A head that equals
// the embedding bit for bit shares its section.
package cpu
