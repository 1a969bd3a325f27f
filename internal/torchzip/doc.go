// Package torchzip reads files that torch.save wrote: the zip archives of
// PyTorch 1.6 and later, and the older concatenation of pickles. Both are read in
// place, through an io.ReaderAt: opening reads the directory and the pickle, and
// a tensor's bytes are read where they lie, when they are asked for.
//
// Pickles are data here (see package pickle). The names that may occur are those
// of PyTorch's own weights_only loader (torch/_weights_only_unpickler.py) as far
// as they make dense tensors and plain values; any other ends the opening with an
// error that says which.
//
// A file is treated as hostile. In a zip, records are stored, not compressed,
// do not overlap and lie inside of the file; each tensor's offset, shape and
// strides stay inside of its storage, and the storage's size is that of its
// record. Checksums are not verified.
//
// A file may lie inside of another one, as torch_dist checkpoints have it: give
// New an io.SectionReader.
//
//	f, err := torchzip.Open("pytorch_model.bin", torchzip.Options{})
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	dict, err := f.Tensors()
//	if err != nil {
//		return err
//	}
//	t := dict.Tensors["lm_head.weight"]
//	row := make([]byte, t.RowBytes())
//	_, err = t.ReadAt(row, 0)
package torchzip
