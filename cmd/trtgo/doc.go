// Command trtgo turns a Hugging Face or GGUF checkpoint into a TensorRT-LLM
// checkpoint (export), builds an engine from it (build), runs the engine (run),
// talks to it (chat), summarises articles with ROUGE (summarize) and measures what the
// model is worth (eval), without Python.
//
//	trtgo export  SmolLM2-135M-Instruct.Q4_1.gguf -o checkpoint
//	trtgo build   --checkpoint_dir checkpoint --output_dir engine
//	trtgo run     --engine_dir engine --max_output_len 64 --input_text "Born in north-east France, Soyer trained as a"
//	trtgo chat    --engine_dir engine
//	trtgo eval perplexity --engine_dir engine text.txt
//
// Flags have the names of TensorRT-LLM's own scripts, with underscores or dashes.
// Results go to stdout, progress and logs to stderr. Exit status: 0 done,
// 1 failed, 2 wrong usage, 130 interrupted.
package main
