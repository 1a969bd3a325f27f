// Package safetensors reads and writes the safetensors format
// (https://github.com/huggingface/safetensors#format): eight bytes of header
// length, a JSON header, and the tensors' bytes, row-major and without gaps.
//
// Reading treats a file as hostile: the header may not be longer than the file
// or than 100 MB, names may not repeat, shapes, dtypes and byte ranges have to
// agree, and the ranges have to cover the file exactly. Nothing is allocated in
// proportion to a number that the file merely claims.
//
// Writing computes the header first, from names, dtypes and shapes alone, so
// that each tensor can be written once, at its final offset, by whichever
// goroutine has it ready.
//
//	f, err := safetensors.Open("model.safetensors")
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	t, ok := f.Tensor("lm_head.weight")
//	if ok {
//		row := make([]byte, t.RowBytes())
//		_, err = t.ReadAt(row, 0)
//	}
package safetensors
