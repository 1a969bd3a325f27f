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
			return "", fmt.Errorf("%s: %w: %w", metadataName, checkpoint.ErrInvalid, err)
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
	return m.refuseInterleaved()
}

// openStore lists the arrays of a distributed checkpoint.
func openStore(t filetree.Tree, kind string) (names []string, open func(name string) (*chunked.Array, error), err error) {
	if kind == "zarr" {
		return zarr.Names(t), func(name string) (*chunked.Array, error) { return zarr.Open(t, name) }, nil
	}
	store, err := distcp.Open(t)
	if err != nil {
		return nil, nil, err
	}
	return store.Names(), store.Tensor, nil
}

// refuseInterleaved refuses a gated linear_fc1 bias: Megatron-core before 0.8
// divided it among tensor-parallel ranks without regard to its halves, and nothing
// in the file says which release wrote it.
func (m *Model) refuseInterleaved() error {
	if !m.settings.gated || m.settings.tensorParallel < 2 {
		return nil
	}
	if p, ok := m.params.layer(0, "mlp.linear_fc1.bias"); ok {
		return fmt.Errorf("%s: the bias of a gated MLP that was saved by %d tensor-parallel ranks is %w: its order depends on the release that wrote it", p.origin, m.settings.tensorParallel, checkpoint.ErrUnsupported)
	}
	return nil
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
