package nemo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/distcp"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/pickle"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/torchzip"
	"github.com/trtgo/trtgo/internal/zarr"
)

// Options say what a checkpoint may lack.
type Options struct {
	// Config is the path of the config of a directory that has none: a
	// model_config.yaml of NeMo 1 or a model.yaml of NeMo 2.
	Config string
	// TempDir is where an archive that was compressed by gzip is inflated to, once;
	// the file is removed by Close. "" is the system's.
	TempDir string
	// Inflating, when not nil, hears of the bytes inflated so far.
	Inflating func(done int64)
}

const (
	configName1 = "model_config.yaml"
	configName2 = "model.yaml"
	maxConfig   = 16 << 20
)

// Open opens an archive (.nemo), an unpacked one, a NeMo 2 directory or a bare
// distributed checkpoint, and checks that config and parameters belong together.
// Errors wrap checkpoint.ErrInvalid, checkpoint.ErrUnsupported or the system's
// error. ctx bounds the inflating of a compressed archive.
func Open(ctx context.Context, path string, o Options) (*Model, error) {
	m, err := openUnchecked(ctx, path, o)
	if err != nil {
		return nil, err
	}
	if problems := m.Problems(); len(problems) > 0 {
		m.Close()
		return nil, fmt.Errorf("%s: %w", path, problems[0])
	}
	return m, nil
}

func openUnchecked(ctx context.Context, name string, o Options) (*Model, error) {
	m := newModel()
	t, err := m.openTree(ctx, name, o)
	if err == nil {
		err = m.open(rooted(t), o)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, classified(err)), m.Close())
	}
	return m, nil
}

func newModel() *Model {
	return &Model{params: &params{list: map[string]param{}, files: map[string]string{}}}
}

// classified wraps errors about files in the sentinels that sources have.
func classified(err error) error {
	for _, refusal := range []error{torchzip.ErrUnsupported, zarr.ErrUnsupported, distcp.ErrUnsupported} {
		if errors.Is(err, refusal) {
			return fmt.Errorf("%w: %w", checkpoint.ErrUnsupported, err)
		}
	}
	for _, damage := range []error{
		filetree.ErrFormat, filetree.ErrRefused, torchzip.ErrFormat, pickle.ErrFormat, pickle.ErrGlobal, pickle.ErrLimit,
		zarr.ErrFormat, distcp.ErrFormat, chunked.ErrTiling, safetensors.ErrPointer,
	} {
		if errors.Is(err, damage) {
			return fmt.Errorf("%w: %w", checkpoint.ErrInvalid, err)
		}
	}
	return err
}

// openTree opens a directory or an archive.
func (m *Model) openTree(ctx context.Context, name string, o Options) (filetree.Tree, error) {
	stat, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if stat.IsDir() {
		return m.keep(filetree.OpenDir(name))
	}
	compressed, err := filetree.IsGzip(name)
	if err != nil {
		return nil, err
	}
	if !compressed {
		return m.keep(filetree.OpenTar(name))
	}
	dir := o.TempDir
	if dir == "" {
		dir = os.TempDir()
	}
	return m.keep(filetree.InflateTar(ctx, name, dir, o.Inflating))
}

func (m *Model) keep(t filetree.Tree, err error) (filetree.Tree, error) {
	if err != nil {
		return nil, err
	}
	m.closers = append(m.closers, t)
	return t, nil
}

// rooted enters the one directory that an archive made of a directory has.
func rooted(t filetree.Tree) filetree.Tree {
	root := ""
	for i, name := range t.Names() {
		dir, _, inside := strings.Cut(name, "/")
		if !inside || i > 0 && dir != root {
			return t
		}
		root = dir
	}
	if root == "" || root == "weights" || root == "context" {
		return t
	}
	return filetree.Sub(t, root)
}

// open finds out which form the tree has. The order is that of NVIDIA's loader:
// model_weights/, then weights/, then files for each rank.
func (m *Model) open(t filetree.Tree, o Options) error {
	hasDir := func(dir string) bool {
		return slices.ContainsFunc(t.Names(), func(name string) bool { return strings.HasPrefix(name, dir+"/") })
	}
	switch {
	case filetree.Has(t, configName1):
		return m.open1(t)
	case hasDir("context"), filetree.Has(t, configName2):
		return m.open2(t)
	}
	kind, err := backend(t)
	if err != nil {
		return err
	}
	if kind == "" {
		return fmt.Errorf("%w: it has no %s, no context/ and no %s", checkpoint.ErrInvalid, configName1, metadataName)
	}
	m.format = FormatDCP
	if filetree.Has(t, metadataName) {
		m.format = FormatMcore
	}
	if o.Config == "" {
		return fmt.Errorf("%w: a bare distributed checkpoint does not say what model it is: give its model_config.yaml or model.yaml with --config", checkpoint.ErrInvalid)
	}
	if err := m.readConfig(o.Config); err != nil {
		return err
	}
	if err := m.openDistributed(t, kind); err != nil {
		return err
	}
	return m.finish()
}

// readConfig reads a config that lies outside of the checkpoint.
func (m *Model) readConfig(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if m.text, err = io.ReadAll(io.LimitReader(f, maxConfig+1)); err != nil {
		return err
	}
	if m.settings, err = parseConfig(m.text); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}

// parseConfig reads either generation's config; NeMo 2's has classes.
func parseConfig(text []byte) (*settings, error) {
	root, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	if _, ok := root["_target_"]; ok {
		return parseConfig2(text)
	}
	s, err := parseConfig1(text)
	if err == nil {
		s.mcore = true
	}
	return s, err
}

// open1 opens what a NeMo 1 archive has.
func (m *Model) open1(t filetree.Tree) error {
	m.format = FormatCkpt
	var err error
	if m.text, err = filetree.ReadFile(t, configName1, maxConfig); err != nil {
		return err
	}
	if m.settings, err = parseConfig1(m.text); err != nil {
		return fmt.Errorf("%s: %w", configName1, err)
	}
	for _, name := range t.Names() {
		if strings.Contains(name, "fsdp_shard_") {
			return fmt.Errorf("%s: weights that were saved by FSDP shards are %w: save the model as a whole or as a distributed checkpoint", name, checkpoint.ErrUnsupported)
		}
	}
	weights := filetree.Sub(t, "model_weights")
	kind, err := backend(weights)
	switch {
	case err != nil:
		return fmt.Errorf("model_weights: %w", err)
	case kind == "":
		err = m.openRanks(t)
	default:
		m.format = map[string]string{"zarr": FormatZarr, "torch_dist": FormatTorchDist}[kind]
		err = m.openDistributed(weights, kind)
	}
	if err != nil {
		return err
	}
	if err := m.finish(); err != nil {
		return err
	}
	return m.collectTokenizer(t)
}

// open2 opens a NeMo 2 checkpoint. The first releases wrote without the folders
// weights and context.
func (m *Model) open2(t filetree.Tree) error {
	m.format = FormatNemo2
	context, weights := filetree.Sub(t, "context"), filetree.Sub(t, "weights")
	if len(context.Names()) == 0 {
		context = t
	}
	if len(weights.Names()) == 0 {
		weights = t
	}
	var err error
	m.text, err = filetree.ReadFile(context, configName2, maxConfig)
	if isNotExist(err) {
		return fmt.Errorf("%w: %s is missing, and io.json alone does not hold the defaults: write it with NeMo", checkpoint.ErrInvalid, path.Join("context", configName2))
	}
	if err != nil {
		return err
	}
	if m.settings, err = parseConfig2(m.text); err != nil {
		return fmt.Errorf("%s: %w", configName2, err)
	}
	if filetree.Has(weights, "adapter_metadata.json") {
		return fmt.Errorf("adapters (adapter_metadata.json) are %w: merge them into their base model first", checkpoint.ErrUnsupported)
	}
	kind, err := backend(weights)
	if err != nil {
		return err
	}
	if kind == "" {
		return fmt.Errorf("%w: weights/ holds no distributed checkpoint", checkpoint.ErrInvalid)
	}
	if err := m.openDistributed(weights, kind); err != nil {
		return err
	}
	if err := m.finish(); err != nil {
		return err
	}
	return m.collectTokenizer(context)
}
