// Package testmodel gives tests the tiny random checkpoints of the project and
// what the official libraries compute on them. It is imported by tests only.
//
// The checkpoints are Hugging Face directories of 70–300 kB, one for each
// thing that can go wrong (grouped queries, tied heads, rope scaling, an
// explicit head size, LayerNorm1P …), and GGUF files of the same kind. Scripts
// in /scripts make them with transformers and gguf-py; see scripts/README.md.
//
//	for _, name := range testmodel.Names() {
//		dir := testmodel.Dir(t, name)          // a private copy of the checkpoint
//		want := testmodel.Golden(t, name)      // float32 logits, greedy ids, margins
//		files := testmodel.Listing(t, name, "bfloat16", 1, 1) // what export must write
//		…
//	}
//
// Everything is embedded, so tests read nothing outside their binary, and
// every function may be called from several goroutines. A name that does not
// exist, or data that does not parse, fails the test.
package testmodel

import (
	"embed"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"
)

//go:embed testdata
var testdata embed.FS

// Names returns the names of the Hugging Face checkpoints, sorted.
func Names() []string {
	return entries("testdata/models")
}

// Dir copies the Hugging Face checkpoint called name into a temporary
// directory of the test and returns its path. The test may change the copy.
// Besides config.json (as transformers 5 writes it) it holds config.v4*.json,
// the same facts in transformers 4 spelling; see [DirWithConfig].
func Dir(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatalf("testmodel: %v", err)
	}
	source := path.Join("testdata/models", name)
	list, err := testdata.ReadDir(source)
	if err != nil {
		t.Fatalf("testmodel: no checkpoint %q: %v", name, err)
	}
	for _, e := range list {
		write(t, filepath.Join(dir, e.Name()), read(t, path.Join(source, e.Name())))
	}
	return dir
}

// DirWithConfig is [Dir] with config.json replaced by another of the
// checkpoint's files, for instance "config.v4.json". [Configs] lists them.
func DirWithConfig(t testing.TB, name, config string) string {
	t.Helper()
	dir := Dir(t, name)
	write(t, filepath.Join(dir, "config.json"), read(t, path.Join("testdata/models", name, config)))
	return dir
}

// Configs returns the names of the alternative configs of a checkpoint: files
// that say what config.json says, in other spellings.
func Configs(t testing.TB, name string) []string {
	t.Helper()
	list, err := fs.Glob(testdata, path.Join("testdata/models", name, "config.v4*.json"))
	if err != nil || len(list) == 0 {
		t.Fatalf("testmodel: checkpoint %q has no alternative config: %v", name, err)
	}
	for i := range list {
		list[i] = path.Base(list[i])
	}
	return list
}

func entries(dir string) []string {
	list, err := testdata.ReadDir(dir)
	if err != nil {
		panic("testmodel: " + err.Error()) // the directory is embedded
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := testdata.ReadFile(name)
	if err != nil {
		t.Fatalf("testmodel: %v", err)
	}
	return data
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	if err := json.Unmarshal(read(t, name), v); err != nil {
		t.Fatalf("testmodel: %s: %v", name, err)
	}
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatalf("testmodel: %v", err)
	}
}
