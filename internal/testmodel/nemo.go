package testmodel

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// NemoNames returns the names of the checkpoints in NeMo's and Megatron's forms,
// sorted: the name of the Hugging Face checkpoint that has the same weights, a
// dot, and the form.
//
//	ckpt, ckpt-legacy  model_weights.ckpt of today's and the old torch.save
//	names-tp2          two tensor-parallel ranks, names from before Megatron-core
//	names-pp3          three pipeline stages, the last with a copy of a tied embedding
//	tp2, tp2-pp2       ranks' directories; two pipeline stages
//	zarr, zarr-tp2     model_weights/ by megatron-core 0.7.0
//	torch-dist         model_weights/ by megatron-core 0.14.0
//	singleton          by megatron-core 0.14.0, layers numbered, halves of a gate apart
//	nemo2              weights/ and context/
//	mcore, dcp         a bare directory iter/ with a config beside it
//	hf-dcp             PyTorch's own, Hugging Face's names, no config
//	gzip               an archive that was compressed
func NemoNames() []string {
	var names []string
	for _, file := range entries("testdata/nemo") {
		names = append(names, strings.TrimSuffix(strings.TrimSuffix(file, ".gz"), ".tar"))
	}
	return names
}

// Nemo writes the archive called name into a temporary directory of the test.
func Nemo(t testing.TB, name string) string {
	t.Helper()
	file := "testdata/nemo/" + name + ".tar"
	if strings.HasSuffix(name, ".gzip") {
		file += ".gz"
	}
	to := filepath.Join(t.TempDir(), name+".nemo")
	write(t, to, read(t, file))
	return to
}

// NemoDir unpacks the archive called name into a temporary directory of the test.
func NemoDir(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	Unpack(t, read(t, "testdata/nemo/"+name+".tar"), dir)
	return dir
}

// Unpack writes the files and directories of a tar archive below dir.
func Unpack(t testing.TB, archive []byte, dir string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("testmodel: unpacking into %s: %v", dir, err)
		}
		to := filepath.Join(dir, filepath.FromSlash(path.Clean(h.Name)))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(to, 0o755); err != nil {
				t.Fatalf("testmodel: %v", err)
			}
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("testmodel: unpacking into %s: %v", dir, err)
		}
		write(t, to, data)
	}
}
