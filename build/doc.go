// Package build turns a TensorRT-LLM checkpoint into an engine directory: the
// engine of each rank, config.json and the tokenizer's files.
//
//	report, err := build.Build(ctx, build.Options{
//		CheckpointDir: "ckpt",
//		OutputDir:     "engine",
//		MaxBatchSize:  16,
//		Plugins:       map[string]string{"gemm_plugin": "bfloat16"},
//	})
//	if err != nil {
//		return err // nothing was left behind
//	}
//	for _, note := range report.Notes { … }
//
// There are three backends. The CPU's engines run here. Those for tensorrt-llm are what
// trtllm-build makes; they need TensorRT-LLM's libraries, which are loaded at run time, and a GPU. Those for
// tensorrt-rtx have no plugins and are built without a GPU; none has been run on one yet. The
// network that either would compile needs no library:
//
//	networks, report, err := build.Networks(ctx, build.Options{Backend: build.BackendTensorRTLLM, CheckpointDir: "ckpt"})
//	…
//	err = networks[0].WriteJSON(file)
//
// The plugins of TensorRT-LLM print their log to the standard output of the process
// that builds.
//
// Options are trtllm-build's flags (TensorRT-LLM 1.2); the zero value of each is
// upstream's default. What a backend cannot do is an error that wraps
// [ErrUnsupported] when the engine would not do what was asked, and a note when
// only speed or memory differ.
package build
