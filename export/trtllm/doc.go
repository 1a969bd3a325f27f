// Package trtllm reads TensorRT-LLM checkpoints as sources of the exporter, so that
// they can be divided among other numbers of ranks, converted to another dtype, or
// have their quantisation undone: directories, and archives that end in .qnemo. The
// ranks' parts are put together as they are read; nothing is unpacked.
//
//	m, err := trtllm.Open(ctx, "checkpoint-tp4", trtllm.Options{})
//	if err != nil {
//		return err
//	}
//	defer m.Close()
package trtllm
