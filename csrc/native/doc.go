// Package native loads TensorRT at run time: libtrtgo_tensorrt.so, which is built against TensorRT and
// drives it with the plugins of TensorRT-LLM, or libtrtgo_rtx.so, which drives TensorRT-RTX. Both
// are built from csrc/tensorrt by CMake and have the C ABI of trtgo.h. This package itself needs
// neither to be built: without them Open says what it looked for and where.
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
// A Library and its networks may be used by several goroutines; the calls on one Network
// run one after another. TensorRT and the library stay loaded until the process ends. On systems other than
// linux, and without cgo, Open returns [ErrUnavailable].
package native
