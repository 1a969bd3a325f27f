package nemo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/internal/damage"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/regularfile"
)

// Options say what a checkpoint may lack.
type Options struct {
	// Config is the path of the config of a directory that has none: a
	// model_config.yaml of NeMo 1, a model.yaml of NeMo 2 or a Hugging Face
	// config.json.
	Config string
	// TempDir is where an archive that was compressed by gzip is inflated to, once;
	// the file is removed by Close. "" is the system's.
	TempDir string
	// Inflating, when not nil, hears of the bytes inflated so far.
	Inflating func(done int64)
}

const (
	configName1  = "model_config.yaml"
	configName2  = "model.yaml"
	optimName    = "model_optim_rng.pt"
	latestName   = "latest_checkpointed_iteration.txt"
	configNameIO = "io.json"
	configNameHF = "config.json"
	maxConfig    = 1 << 20 // real ones have some ten kilobytes
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
		return nil, errors.Join(fmt.Errorf("%s: %w", name, damage.Classified(err)), m.Close())
	}
	return m, nil
}

func newModel() *Model {
	return &Model{params: &params{list: map[string]param{}, files: map[string]string{}}}
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
	return m.keep(filetree.OpenArchive(ctx, name, o.TempDir, o.Inflating))
}

func (m *Model) keep(t filetree.Tree, err error) (filetree.Tree, error) {
	if err != nil {
		return nil, err
	}
	m.closers = append(m.closers, t)
	return t, nil
}

// rooted enters the one directory that an archive made of a directory has, and one
// in that.
func rooted(t filetree.Tree) filetree.Tree {
	for range 2 {
		t = entered(t)
	}
	return t
}

func entered(t filetree.Tree) filetree.Tree {
	root := ""
	for i, name := range t.Names() {
		dir, _, inside := strings.Cut(name, "/")
		if !inside || i > 0 && dir != root {
			return t
		}
		root = dir
	}
	if slices.Contains([]string{"", "weights", "context", "model_weights"}, root) || filetree.Has(t, path.Join(root, ".zarray")) {
		return t
	}
	return filetree.Sub(t, root)
}

func hasDir(t filetree.Tree, dir string) bool {
	return slices.ContainsFunc(t.Names(), func(name string) bool { return strings.HasPrefix(name, dir+"/") })
}

// open finds out which form the tree has. The order is that of NVIDIA's loader:
// model_weights/, then weights/, then files for each rank.
func (m *Model) open(t filetree.Tree, o Options) error {
	switch {
	case filetree.Has(t, configName1):
		return m.open1(t)
	case hasDir(t, "context"), filetree.Has(t, configName2), filetree.Has(t, configNameIO):
		return m.open2(t)
	}
	t = weightsOf(t)
	kind, err := backend(t)
	if err != nil {
		return err
	}
	if kind == "" && slices.ContainsFunc(t.Names(), func(name string) bool { return path.Base(name) == optimName }) {
		return fmt.Errorf("files of ranks as Megatron-LM writes them (%s) are %w: save a distributed checkpoint (--ckpt-format torch_dist)", optimName, checkpoint.ErrUnsupported)
	}
	if kind == "" {
		return fmt.Errorf("%w: it has no %s, no context/ and no %s", checkpoint.ErrInvalid, configName1, metadataName)
	}
	m.format = FormatDCP
	if filetree.Has(t, metadataName) {
		m.format = FormatMcore
	}
	if err := m.readConfig(t, o.Config); err != nil {
		return err
	}
	if err := m.openDistributed(t, kind); err != nil {
		return err
	}
	return m.finish()
}

// weightsOf enters the directory of a checkpoint without a config that has the
// weights: NeMo's own, or that of the last iteration that Megatron-LM saved.
func weightsOf(t filetree.Tree) filetree.Tree {
	for _, dir := range []string{"model_weights", "weights"} {
		if inside := filetree.Sub(t, dir); len(inside.Names()) > 0 {
			return inside
		}
	}
	text, err := filetree.ReadFile(t, latestName, 64)
	if n, wrong := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32); err == nil && wrong == nil {
		return filetree.Sub(t, fmt.Sprintf("iter_%07d", n)) // as checkpointing.py writes it
	}
	return t
}

// readConfig reads the config of a bare checkpoint: the given file, or a
// config.json that lies beside the weights.
func (m *Model) readConfig(t filetree.Tree, name string) error {
	var err error
	switch {
	case name != "":
		m.text, err = regularfile.Read(name, maxConfig)
	case filetree.Has(t, configNameHF):
		name = configNameHF
		m.text, err = filetree.ReadFile(t, name, maxConfig)
	default:
		return fmt.Errorf("%w: a bare distributed checkpoint does not say what model it is: give its model_config.yaml, its model.yaml or the model's Hugging Face config.json with --config", checkpoint.ErrInvalid)
	}
	if errors.Is(err, regularfile.ErrRefused) {
		err = fmt.Errorf("%w: %w", checkpoint.ErrInvalid, err)
	}
	if err != nil {
		return err
	}
	if m.settings, err = parseConfig(m.text); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}

// parseConfig reads a config of any kind: NeMo 2's has classes, Hugging Face's an
// architecture or the type of the model.
func parseConfig(text []byte) (*settings, error) {
	root, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	if _, ok := root["_target_"]; ok {
		return parseConfig2(text)
	}
	if root["architectures"] != nil || root["model_type"] != nil {
		return parseConfigHF(text)
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
	name, parse := configName2, parseConfig2
	if !filetree.Has(context, name) && filetree.Has(context, configNameIO) {
		name, parse = configNameIO, parseIO
	}
	m.text, err = filetree.ReadFile(context, name, maxConfig)
	if isNotExist(err) {
		return fmt.Errorf("%w: %s is missing: it says what model this is", checkpoint.ErrInvalid, path.Join("context", configName2))
	}
	if err != nil {
		return err
	}
	if m.settings, err = parse(m.text); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if filetree.Has(weights, "adapter_metadata.json") {
		return fmt.Errorf("adapters (adapter_metadata.json) are %w: merge them into their base model first", checkpoint.ErrUnsupported)
	}
	kind, err := backend(weights)
	if err != nil {
		return err
	}
	if kind == "" && hasDir(t, "hf_weights") {
		return fmt.Errorf("%w: the weights are in Hugging Face's form, in hf_weights: export that directory", checkpoint.ErrInvalid)
	}
	if kind == "" {
		return fmt.Errorf("%w: weights/ holds no distributed checkpoint", checkpoint.ErrInvalid)
	}
	if hasDir(weights, "modelopt_state") {
		m.notes = append(m.notes, "ModelOpt changed the model (modelopt_state): what it pruned or distilled is read as it is, what it quantised would be refused")
	}
	if err := m.openDistributed(weights, kind); err != nil {
		return err
	}
	if err := m.finish(); err != nil {
		return err
	}
	return m.collectTokenizer(context)
}
