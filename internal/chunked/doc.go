// Package chunked reads an n-dimensional array that is stored in rectangles, as
// distributed checkpoints have it: each process writes the part of a tensor that
// it holds. An [Array] is the io.ReaderAt of the whole in row-major order; where
// its bytes lie is looked up for each read, and nothing is kept.
//
//	a, err := chunked.New("BF16", []int64{4096, 1024}, []chunked.Chunk{
//		{Offset: []int64{0, 0}, Shape: []int64{4096, 512}, Bytes: left},
//		{Offset: []int64{0, 512}, Shape: []int64{4096, 512}, Bytes: right},
//	})
//	if err != nil {
//		return err
//	}
//	rows := make([]byte, 100*a.RowBytes())
//	_, err = a.ReadAt(rows, 0)
package chunked
