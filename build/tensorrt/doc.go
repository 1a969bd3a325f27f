// Package tensorrt lowers a network of build/network to a network of TensorRT layers:
// what trtllm-build of TensorRT-LLM makes, with its plugins (Lower), or one without
// plugins for TensorRT-RTX (LowerNative).
//
//	net, err := model.New(config, rank)
//	…
//	layers, err := tensorrt.Lower(net, tensorrt.Options{MaxBatchSize: 8, MaxSeqLen: 4096, …})
//	if err != nil {
//		return err // names what the network has and TensorRT-LLM has not
//	}
//	err = layers.WriteJSON(f)
//
// What varies by release of TensorRT-LLM stands in one table, [Release].
package tensorrt
