package testmodel

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trtgo/trtgo/internal/safetensors"
)

// PyTorchForms are the forms in which [PyTorch] has each checkpoint: one zip file,
// one file of before PyTorch 1.6, two shards with an index, and one zip file that
// holds {"state_dict": …} with all weights in one storage, one of them by columns.
var PyTorchForms = []string{"zip", "legacy", "sharded", "views"}

// PyTorch is [Dir] with the safetensors replaced by the pytorch_model.bin that
// torch.save makes of the same weights, in one of [PyTorchForms].
func PyTorch(t testing.TB, name, form string) string {
	t.Helper()
	dir := Dir(t, name)
	weights, err := safetensors.OpenModel(dir)
	if err != nil {
		t.Fatalf("testmodel: %v", err)
	}
	source := path.Join("testdata/pytorch", name, form)
	var described struct {
		Files []struct {
			File   string           `json:"file"`
			SHA256 string           `json:"sha256"`
			Places []tensorPosition `json:"places"`
		} `json:"files"`
		Index json.RawMessage `json:"index"`
	}
	readJSON(t, path.Join(source, "files.json"), &described)
	for _, f := range described.Files {
		content := unzipped(t, path.Join(source, f.File+".gz"))
		for _, p := range f.Places {
			tensor, ok := weights.Tensor(p.name)
			if !ok {
				t.Fatalf("testmodel: %s has no tensor %q", name, p.name)
			}
			if _, err := tensor.ReadAt(content[p.offset:][:tensor.Size], 0); err != nil {
				t.Fatalf("testmodel: %v", err)
			}
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Fatalf("testmodel: %s of %s (%s) is not the file that torch wrote: run scripts/torch_fixtures.py", f.File, name, form)
		}
		write(t, filepath.Join(dir, f.File), content)
	}
	if described.Index != nil {
		write(t, filepath.Join(dir, "pytorch_model.bin.index.json"), described.Index)
	}
	weights.Close()
	removeSafetensors(t, dir)
	return dir
}

// tensorPosition is a pair of a tensor's name and where its bytes lie in a file.
type tensorPosition struct {
	name   string
	offset int64
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *tensorPosition) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&p.name, &p.offset})
}

func unzipped(t testing.TB, name string) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(read(t, name)))
	if err == nil {
		var content []byte
		if content, err = io.ReadAll(r); err == nil {
			return content
		}
	}
	t.Fatalf("testmodel: %s: %v", name, err)
	return nil
}

func removeSafetensors(t testing.TB, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if err == nil && strings.Contains(e.Name(), ".safetensors") {
			err = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	if err != nil {
		t.Fatalf("testmodel: %v", err)
	}
}
