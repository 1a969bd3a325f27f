package nemo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/distcp"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/zarr"
)

const (
	metadataName = "metadata.json" // Megatron-core's, beside the shards
	dcpName      = ".metadata"     // PyTorch's
)

// backend says how a distributed checkpoint's directory is written: "zarr",
// "torch_dist", or "" where it is none.
func backend(t filetree.Tree) (string, error) {
	text, err := filetree.ReadFile(t, metadataName, 1<<20)
	if err == nil {
		var metadata struct {
			Backend string `json:"sharded_backend"`
		}
		if err := json.Unmarshal(text, &metadata); err != nil {
			return "", fmt.Errorf("%s: %w: it is no JSON object with the text sharded_backend, as Megatron-core writes it", metadataName, checkpoint.ErrInvalid)
		}
		switch metadata.Backend {
		case "zarr", "torch_dist":
			return metadata.Backend, nil
		}
		return "", fmt.Errorf("%s: sharded_backend %.50q is %w: zarr and torch_dist are", metadataName, metadata.Backend, checkpoint.ErrUnsupported)
	}
	if !isNotExist(err) {
		return "", err
	}
	if filetree.Has(t, dcpName) {
		return "torch_dist", nil
	}
	if slices.ContainsFunc(t.Names(), func(name string) bool { return strings.HasSuffix(name, "/.zarray") }) {
		return "zarr", nil
	}
	return "", nil
}

// openDistributed opens a directory of either backend.
func (m *Model) openDistributed(t filetree.Tree, kind string) error {
	names, open, err := openStore(t, kind)
	if err != nil {
		return err
	}
	for _, key := range names {
		if _, wanted := canonical(key); !wanted {
			continue
		}
		a, err := open(key)
		if err != nil {
			return err
		}
		if err := m.params.add(key, param{ReaderAt: a, dtype: a.Dtype(), shape: a.Shape()}); err != nil {
			return err
		}
	}
	return m.orderBias()
}

// openStore lists the arrays of a distributed checkpoint.
func openStore(t filetree.Tree, kind string) (names []string, open func(name string) (*chunked.Array, error), err error) {
	if kind == "zarr" {
		return zarr.Names(t), func(name string) (*chunked.Array, error) { return zarr.Open(t, name) }, nil
	}
	store, err := distcp.Open(t)
	if isNotExist(err) {
		err = fmt.Errorf("%w: the checkpoint is incomplete: %w", checkpoint.ErrInvalid, err)
	}
	if err != nil {
		return nil, nil, err
	}
	return store.Names(), store.Tensor, nil
}

// biasName is that of the one parameter whose order depends on the release that
// wrote it.
const biasName = "mlp.linear_fc1.bias"

// orderBias puts the bias of a gated linear_fc1 in the order of its weight: all of
// the first half, then all of the second. Megatron-core before 0.8 divided the bias
// among tensor-parallel ranks without regard to its halves, so that each rank's
// share of both follow each other; the number of chunks tells: that of the weight,
// or half as many.
func (m *Model) orderBias() error {
	if !m.settings.gated {
		return nil
	}
	for name, p := range m.params.list {
		prefix, ok := strings.CutSuffix(name, biasName)
		weight, there := m.params.list[prefix+"mlp.linear_fc1.weight"]
		layers, dims := int64(1), 1
		if prefix == "decoder.layers." && len(p.shape) > 0 {
			layers, dims = max(1, p.shape[0]), 2
		}
		if !ok || !there || len(p.shape) != dims {
			continue
		}
		chunks, halves := chunksOf(p), chunksOf(weight)
		ranks := chunks / layers
		if ranks < 2 || chunks == halves {
			continue
		}
		if chunks*2 != halves || chunks%layers != 0 || p.shape[dims-1]%(2*ranks) != 0 {
			return fmt.Errorf("%s: the bias of a gated MLP in %d chunks, its weight being in %d, is %w: the order of its rows cannot be told", p.origin, chunks, halves, checkpoint.ErrUnsupported)
		}
		ordered, err := deinterleave(p, ranks)
		if err != nil {
			return fmt.Errorf("%s: %w", p.origin, err)
		}
		m.params.list[name] = ordered
	}
	return nil
}

func chunksOf(p param) int64 {
	if a, ok := p.ReaderAt.(*chunked.Array); ok {
		return int64(a.Chunks())
	}
	return 1
}

// deinterleave reads a bias, or all layers' of it, whose last axis has for each
// rank a share of the first half and then one of the second.
func deinterleave(p param, ranks int64) (param, error) {
	last := len(p.shape) - 1
	share := p.shape[last] / (2 * ranks)
	width := int64(floatformat.Size(p.dtype))
	var chunks []chunked.Chunk
	for row := range elements(p.shape[:last]) {
		for part := range 2 * ranks {
			rank, half := part/2, part%2
			offset, shape := make([]int64, last+1), make([]int64, last+1)
			for i := range shape {
				shape[i] = 1
			}
			if last > 0 {
				offset[0] = row
			}
			offset[last], shape[last] = (half*ranks+rank)*share, share
			chunks = append(chunks, chunked.Chunk{Offset: offset, Shape: shape, Bytes: p.ReaderAt, At: (row*2*ranks + part) * share * width})
		}
	}
	array, err := chunked.New(p.dtype, p.shape, chunks)
	if err != nil {
		return param{}, err
	}
	p.ReaderAt, p.joined = array, "halves of each rank put together"
	return p, nil
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
