// Package build turns a TensorRT-LLM checkpoint into an engine directory: the
// engine of each rank, config.json and the tokenizer's files. Options.Backend says what
// for: the CPU, TensorRT-LLM or TensorRT-RTX. The latter two need their libraries; the
// network that they would build is written without any (Options.NetworkOnly).
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
// Options are trtllm-build's flags (TensorRT-LLM 1.2); the zero value of each is
// upstream's default. What the backend cannot do is an error that wraps
// [ErrUnsupported] when the engine would not do what was asked, and a note when
// only speed or memory differ.
package build
