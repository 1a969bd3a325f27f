package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/trtgo/trtgo/export/gguf"
	"github.com/trtgo/trtgo/export/hf"
	"github.com/trtgo/trtgo/export/nemo"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/export/trtllm"
	"github.com/trtgo/trtgo/internal/regularfile"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// Formats that detect tells apart. Those of NeMo and Megatron are one here: its
// package finds out which; see [source.Model.Format].
const (
	FormatHF         = hf.Format
	FormatGGUF       = gguf.Format
	FormatNemo       = "nemo"
	FormatDCP        = hf.FormatDistributed // with transformers' names
	FormatCheckpoint = trtllm.Format
	FormatQnemo      = trtllm.FormatArchive
)

// SourceOptions say what a source may lack.
type SourceOptions struct {
	// Config is the path of the config of a bare distributed checkpoint, which has
	// none: NeMo's model_config.yaml or model.yaml, or a Hugging Face config.json
	// where the tensors have transformers' names.
	Config string
	// TempDir is where an archive that was compressed by gzip is inflated to, once,
	// until the source is closed. "" is the output's parent directory for Convert,
	// the system's for Open.
	TempDir string
	// Inflating, when not nil, hears how many bytes of such an archive were read.
	Inflating func(done int64)
}

// Open finds out what the path holds and opens it as a source. Errors say what
// was found where that is nothing to convert. ctx bounds the inflating of a
// compressed archive.
func Open(ctx context.Context, path string, o SourceOptions) (source.Model, error) {
	format, err := detect(path)
	if err != nil {
		return nil, err
	}
	switch format {
	case FormatHF:
		return hf.Open(path)
	case FormatGGUF:
		return gguf.Open(path)
	case FormatNemo:
		return nemo.Open(ctx, path, nemo.Options(o))
	case FormatDCP:
		return hf.OpenDistributed(path, o.Config)
	}
	return trtllm.Open(ctx, path, trtllm.Options{TempDir: o.TempDir, Inflating: o.Inflating})
}

// detect names the format, or explains what else the path is.
func detect(path string) (string, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if stat.IsDir() {
		return detectDir(path)
	}
	if !stat.Mode().IsRegular() {
		return "", fmt.Errorf("%s: %w: neither a file nor a directory", path, ErrUnknownFormat)
	}
	return detectFile(path)
}

func detectDir(dir string) (string, error) {
	has := func(names ...string) bool {
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return true
			}
		}
		return false
	}
	if has("config.json") && !has(".metadata") {
		kind, err := configKind(filepath.Join(dir, "config.json"))
		if err != nil || kind != "" {
			return kind, err
		}
		return FormatHF, nil
	}
	switch {
	case has("model_config.yaml", "context", "model.yaml", "io.json", "model_weights", "weights", "latest_checkpointed_iteration.txt"):
		return FormatNemo, nil
	case has(".metadata", "metadata.json"):
		if !has("metadata.json") && hf.IsDistributed(dir) {
			return FormatDCP, nil
		}
		return FormatNemo, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".gguf") || strings.HasSuffix(e.Name(), ".nemo") {
			return "", fmt.Errorf("%s: %w: the directory has no config.json; give the file %s itself", dir, ErrUnknownFormat, filepath.Join(dir, e.Name()))
		}
		names = append(names, e.Name())
	}
	found := "it is empty"
	if len(names) > 0 {
		found = "found " + strings.Join(names[:min(len(names), 8)], ", ")
	}
	return "", fmt.Errorf("%s: %w: a Hugging Face directory has a config.json; %s", dir, ErrUnknownFormat, found)
}

// configKind looks whose config.json it is: "" means Hugging Face's.
func configKind(path string) (string, error) {
	text, err := regularfile.Read(path, 16<<20)
	if errors.Is(err, regularfile.ErrRefused) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err != nil {
		return "", err
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(text, &fields) // the Hugging Face reader says what is wrong
	switch {
	case fields["pretrained_config"] != nil:
		return "", fmt.Errorf("%s: %w: this is the config of an engine, which is built from a checkpoint and cannot be exported", path, ErrUnknownFormat)
	case fields["architecture"] != nil:
		return FormatCheckpoint, nil
	}
	return "", nil
}

func detectFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	head = head[:n]
	starts := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case starts("GGUF"):
		return FormatGGUF, nil
	case starts("version https://git-lfs.github.com/spec/"):
		return "", fmt.Errorf("%s: %w", path, safetensors.ErrPointer)
	case strings.HasSuffix(path, ".qnemo"), n > 262 && string(head[257:262]) == "ustar" && trtllm.IsArchive(path):
		return FormatQnemo, nil
	case n > 262 && string(head[257:262]) == "ustar", starts("\x1f\x8b"), strings.HasSuffix(path, ".nemo"):
		return FormatNemo, nil
	case strings.HasSuffix(path, ".safetensors"):
		return "", fmt.Errorf("%s: %w: weights without their config; give the directory that holds both", path, ErrUnknownFormat)
	case starts("PK\x03\x04"), strings.HasSuffix(path, ".bin"), strings.HasSuffix(path, ".pt"), strings.HasSuffix(path, ".ckpt"):
		return "", fmt.Errorf("%s: %w: PyTorch weights without their config; give the directory that holds both", path, ErrUnknownFormat)
	}
	return "", fmt.Errorf("%s: %w: neither a Hugging Face directory nor a GGUF file nor a .nemo archive (it begins with %q)", path, ErrUnknownFormat, head[:min(n, 8)])
}
