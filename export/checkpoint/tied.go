package checkpoint

import (
	"bytes"
	"context"
	"slices"
)

// tiedChunk is how much of the two tensors TiedHead compares at a time.
const tiedChunk = 1 << 20

// TiedHead tells whether the rank's embedding and head have the same shape, dtype and
// values, so that one may stand for both. It reads both, unless one stands for the other
// in the file.
func (r *Rank) TiedHead(ctx context.Context) (bool, error) {
	a, ok := r.byName[embeddingName]
	b, ok2 := r.byName[headName]
	if !ok || !ok2 || a.Dtype != b.Dtype || !slices.Equal(a.Shape, b.Shape) {
		return false, nil
	}
	if a.data.Name == b.data.Name {
		return true, nil
	}
	one, other := make([]byte, min(tiedChunk, a.Size())), make([]byte, min(tiedChunk, a.Size()))
	for off := int64(0); off < a.Size(); off += tiedChunk {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := min(tiedChunk, a.Size()-off)
		if _, err := a.ReadAt(one[:n], off); err != nil {
			return false, err
		}
		if _, err := b.ReadAt(other[:n], off); err != nil {
			return false, err
		}
		if !bytes.Equal(one[:n], other[:n]) {
			return false, nil
		}
	}
	return true, nil
}
