// Package checkpoint is the TensorRT-LLM checkpoint layout: config.json and one
// rank{R}.safetensors for each rank, as tensorrt_llm 1.2's trtllm-build reads
// it. It knows the config's fields, the tensors' names and shapes, how weights
// are cut for tensor and pipeline parallelism, and reads and writes the
// directory.
//
// Names and shapes follow tensorrt_llm/models (class PretrainedConfig and the
// model classes): a linear weight is (out, in); rank R is
// pp_rank·tp_size + tp_rank; layers count from 0 on every pipeline stage.
//
//	c, err := checkpoint.Open("ckpt")
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	rank, err := c.Rank(0)
//	if err != nil {
//		return err
//	}
//	t, ok := rank.Tensor("transformer.ln_f.weight")
//	if ok {
//		weights := make([]float32, t.Shape[0])
//		err = t.ReadFloat32(weights, 0)
//	}
//
// Two parts of a checkpoint are easily confused. In a gated MLP "mlp.fc" is the
// branch that passes through the activation (Hugging Face's gate_proj) and
// "mlp.gate" is the plain factor (up_proj). And the rows of a rank's
// "attention.qkv" are its query heads, then its key heads, then its value
// heads, never a row range of the fused matrix of the whole model.
package checkpoint
