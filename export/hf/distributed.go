package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/distcp"
	"github.com/trtgo/trtgo/internal/filetree"
)

// FormatDistributed is the format of a model of transformers that was saved by
// torch.distributed.checkpoint.
const FormatDistributed = "torch-dcp"

// IsDistributed tells whether dir is a checkpoint of torch.distributed.checkpoint
// whose tensors have transformers' names, whatever lies before them.
func IsDistributed(dir string) bool {
	tree, err := filetree.OpenDir(dir)
	if err != nil {
		return false
	}
	defer tree.Close()
	store, err := distcp.Open(tree)
	if err != nil {
		return false
	}
	return len(prefixesOf(store.Names())) > 0
}

// prefixesOf finds what training programs put before the names: "model.", "app.".
// There is one for each copy of the model: its weights, averages of them, an
// optimizer's state.
func prefixesOf(names []string) []string {
	var found []string
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(name, embeddingName); ok && (prefix == "" || strings.HasSuffix(prefix, ".")) {
			found = append(found, prefix)
		}
	}
	return found
}

// prefixOf chooses the copy that is the model itself.
func prefixOf(names []string) (string, error) {
	found := prefixesOf(names)
	for _, usual := range []string{"", "model.", "app.model.", "app.", "state_dict.", "module."} {
		if slices.Contains(found, usual) {
			return usual, nil
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w: there is no %s", checkpoint.ErrInvalid, embeddingName)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%w: several models are in it, below %s: save the one that is wanted alone", checkpoint.ErrInvalid, enumerate(found))
}

// OpenDistributed opens a checkpoint of torch.distributed.checkpoint, which holds
// no config: path is the model's config.json. "" stands for one in dir. Errors are
// those of [Open].
func OpenDistributed(dir, path string) (*Model, error) {
	m, err := assemble(dir, configPath(dir, path), openDistributed)
	if errors.Is(err, fs.ErrNotExist) {
		err = withoutConfig(dir, err)
	}
	return checked(dir, m, err)
}

func withoutConfig(dir string, err error) error {
	return fmt.Errorf("%s: a bare distributed checkpoint does not say what model it is: give its config.json with --config: %w", dir, err)
}

func configPath(dir, path string) string {
	if path == "" {
		return filepath.Join(dir, "config.json")
	}
	return path
}

// beside are the beginnings of names of what lies beside a model whose own names
// have nothing before them: other copies of it, and the optimizer's state.
var beside = []string{"optim", "ema.", "master", "teacher.", "lr_scheduler", "scheduler", "dataloader", "train_state"}

// distributed are the tensors of a distributed checkpoint.
type distributed struct {
	tree    filetree.Tree
	names   []string
	tensors map[string]*chunked.Array
}

func openDistributed(dir string) (weights, []string, error) {
	tree, err := filetree.OpenDir(dir)
	if err != nil {
		return nil, nil, err
	}
	d := &distributed{tree: tree, tensors: map[string]*chunked.Array{}}
	if err := d.open(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", dir, classified(err)), tree.Close())
	}
	return d, nil, nil
}

func (d *distributed) open() error {
	store, err := distcp.Open(d.tree)
	if err != nil {
		return err
	}
	prefix, err := prefixOf(store.Names())
	if err != nil {
		return err
	}
	for _, key := range store.Names() {
		name, ok := strings.CutPrefix(key, prefix)
		if !ok || slices.ContainsFunc(beside, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		if d.tensors[name], err = store.Tensor(key); err != nil {
			return err
		}
		d.names = append(d.names, name)
	}
	return nil
}

// Format implements weights.
func (d *distributed) Format() string { return FormatDistributed }

// Names implements weights.
func (d *distributed) Names() []string { return d.names }

// Tensor implements weights.
func (d *distributed) Tensor(name string) (weight, bool) {
	a, ok := d.tensors[name]
	if !ok {
		return weight{}, false
	}
	return weight{ReaderAt: a, Name: name, Dtype: a.Dtype(), Shape: a.Shape(), Bytes: a.Size()}, true
}

// Close implements weights.
func (d *distributed) Close() error { return d.tree.Close() }
