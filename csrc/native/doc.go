// Package native loads TensorRT at run time: libtrtgo_tensorrt.so, which is built against TensorRT and
// TensorRT-LLM, drives the one with the plugins of the other, and runs engines by TensorRT-LLM's executor; or
// libtrtgo_rtx.so, which drives TensorRT-RTX. Both are built from csrc/tensorrt by CMake and have the C ABI of
// trtgo.h. This package itself needs neither to be built: without them Open says what it looked for and where.
//
// # Building
//
//	lib, err := native.Open(native.Options{Flavour: native.TensorRTRTX})
//	if err != nil {
//		return err // errors.Is(err, native.ErrNotFound), native.ErrVersion, …
//	}
//	defer lib.Close()
//	net, err := lib.NewNetwork(native.NetworkOptions{Name: "twice"})
//	if err != nil {
//		return err
//	}
//	defer net.Close()
//	x, err := net.AddInput(native.Input{Name: "x", Type: "FLOAT", Dims: []int64{-1, 64}, Names: []string{"num_tokens", ""}})
//	…
//	out, err := net.AddLayer(native.Layer{
//		Kind: "ElementWise", Name: "twice", Inputs: []int32{x.ID, x.ID},
//		Fields: []native.Field{native.Text("operation", "SUM")},
//	})
//	…
//	err = net.MarkOutput(out[0].ID, "y")
//	err = net.AddProfile([]native.Range{{Input: "x", Min: []int64{1, 64}, Opt: []int64{8, 64}, Max: []int64{16, 64}}})
//	err = net.Build(ctx, native.BuildOptions{Capabilities: []int{86, 120}}, file)
//
// Kinds of layers, their attributes and inputs are listed in trtgo.h. Functions that talk to
// TensorRT return an [*Error].
//
// # Running
//
//	lib, err := native.Open(native.Options{Flavour: native.TensorRT}) // without Plugins
//	…
//	x, err := lib.NewExecutor(native.ExecutorOptions{EngineDir: dir, Settings: []native.Field{native.Ints("maxBeamWidth", 1)}})
//	if err != nil {
//		return err // errors.Is(err, native.ErrVersion), native.ErrMemory, …
//	}
//	id, err := x.Enqueue(native.Request{Tokens: prompt, MaxTokens: 100, Settings: []native.Field{native.Ints("streaming", 1)}})
//	…
//	for ended := false; !ended; {
//		err := x.Await(50*time.Millisecond, func(o *native.Output) {
//			tokens = append(tokens, o.Tokens...) // o is of memory that is freed when this returns
//			ended = o.Final
//		})
//		…
//	}
//	err = x.Drain()
//	for err == nil {
//		err = x.Await(50*time.Millisecond, func(*native.Output) {})
//	} // errors.Is(err, native.ErrClosed)
//	err = x.Shutdown()
//	x.Close()
//	err = lib.Close()
//	err = native.Finalize() // last, where MPI started the process
//
// Settings are listed in trtgo.h, at trtgo_executor_options and trtgo_request. There is one executor at a time in a
// process, and one thread of C, on which executors are opened and ended. Errors of TensorRT-LLM are explained:
// [Explain] gives the sentence and [Class] the kind, also for an output's error. [Devices] needs none of the libraries,
// only NVIDIA's driver.
//
// # Goroutines, and what stays
//
// A Library, its networks and its executor may be used by several goroutines; the calls on one Network run one after
// another. TensorRT and the library stay loaded until the process ends; handlers of signals that they install while
// they are loaded are put back. On systems other than linux, and without cgo, Open returns [ErrUnavailable].
package native
