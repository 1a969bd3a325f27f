// Package hf opens a Hugging Face directory, config.json and weights, as a source
// of the exporter. Weights are safetensors or what torch.save made of a state
// dict, one file or shards with an index.
//
// Configs are read in the spelling of transformers 4 (rope_theta, rope_scaling,
// torch_dtype) and 5 (rope_parameters, dtype), and with the names that published
// Nemotron files use (rope_percent, kv_channels, …). Defaults are those of the
// transformers classes. The mapping of names follows
// tensorrt_llm/models/{llama,gpt}/convert.py.
//
//	m, err := hf.Open("SmolLM2-135M-Instruct")
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	fmt.Println(m.Config().Architecture, m.Config().HiddenSize)
package hf
