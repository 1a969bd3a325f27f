// Package gguf opens GGUF files (versions 2 and 3, architecture llama) as a
// source of the exporter. The format is described in ggml's docs/gguf.md, the
// quantised types in ggml-common.h and ggml-quants.c.
//
// Two things in such a file differ from the model it was made of. The rows of
// attn_q and attn_k are permuted, so that rotary embedding pairs neighbours; they
// are put back. And llama3's rope scaling exists only as the tensor rope_freqs,
// a divisor for each frequency, from which the scaling's numbers are derived.
//
// Files are treated as hostile: counts, strings and arrays are bounded by the
// file's size, and tensors have to lie inside it.
//
//	m, err := gguf.Open("SmolLM2-135M-Instruct.Q8_0.gguf")
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	fmt.Println(m.Metadata()["general.name"], m.Config().HiddenSize)
package gguf
