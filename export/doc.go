// Package export turns a model as it is published into a TensorRT-LLM
// checkpoint, which build turns into an engine.
//
//	report, err := export.Convert(ctx, "SmolLM2-135M-Instruct", export.Options{
//		OutputDir: "ckpt",
//		Dtype:     "bfloat16",
//	})
//	if errors.Is(err, export.ErrUnsupported) {
//		// the message names what is not supported and what is
//	}
//
// Sources are Hugging Face directories with safetensors or PyTorch pickles and
// distributed checkpoints with transformers' names (package hf), GGUF files
// (package gguf), and NeMo's and Megatron's checkpoints (package nemo); an
// implementation of source.Model adds another, through [ConvertModel].
//
// Weights are streamed: workers read blocks of rows, convert them and write each
// part once, at its final offset in a rank's file. Memory does not grow with the
// model. The output appears under its name only when it is complete.
//
// Before: [Inspect] tells what a path is, [Check] looks through all weights, [Plan]
// lists what each tensor will be made of. Afterwards: [Verify] compares every number.
package export
