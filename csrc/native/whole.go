//go:build cgo && linux

package native

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/trtgo/trtgo/internal/elfscan"
)

// checkWhole refuses a library at path, or one that it needs and has beside it or in its run path, that was copied in
// part: loading such a one ends the process. It reads headers only. What else is wrong the loader says.
func checkWhole(path string) error {
	paths := []string{path}
	if f, err := elf.Open(path); err == nil {
		defer f.Close()
		paths = append(paths, neededFiles(f, path)...)
	}
	for _, p := range paths {
		if err := elfscan.Whole(p); errors.Is(err, elfscan.ErrInvalid) {
			return &Error{StatusNotFound, "dlopen", fmt.Sprintf("a library is not whole: %v", err)}
		}
	}
	return nil
}

// neededFiles are the files that the loader will take for what f, at path, needs, and the plugin library beside TensorRT-LLM's.
func neededFiles(f *elf.File, path string) []string {
	needed, _ := f.DynString(elf.DT_NEEDED)
	runPath, _ := f.DynString(elf.DT_RUNPATH)
	directories := append(filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")), elfscan.Expand(path, runPath)...)
	var files []string
	for _, name := range needed {
		at := slices.IndexFunc(directories, func(d string) bool {
			_, err := os.Stat(filepath.Join(d, name))
			return d != "" && err == nil
		})
		if at < 0 {
			continue // the system's
		}
		files = append(files, filepath.Join(directories[at], name))
		if name == "libtensorrt_llm.so" {
			files = append(files, filepath.Join(directories[at], pluginsFile))
		}
	}
	return files
}
