package filetree

import (
	"os"
	"path/filepath"
	"strings"
)

// cache is a repository of Hugging Face's cache (huggingface_hub, file_download.py):
// what is downloaded lies in blobs/, and a file of a snapshot is a link to its blob:
//
//	models--nvidia--Minitron-8B-Base/blobs/5f2b…
//	models--nvidia--Minitron-8B-Base/snapshots/6f3c…/weights/__0_0.distcp -> ../../../blobs/5f2b…
type cache struct {
	snapshot string // the directory that was opened, without links
	dir      string // blobs/
	blobs    *os.Root
}

// openCache opens the blobs of the snapshot that path is, or lies in; nil where it
// is none, or where they cannot be opened.
func openCache(path string) *cache {
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		resolved, err = filepath.Abs(resolved)
	}
	if err != nil {
		return nil
	}
	for dir := resolved; ; dir = filepath.Dir(dir) {
		above := filepath.Dir(dir)
		if above == dir {
			return nil
		}
		if filepath.Base(above) != "snapshots" {
			continue
		}
		blobs := filepath.Join(filepath.Dir(above), "blobs")
		if info, err := os.Lstat(blobs); err != nil || !info.IsDir() {
			continue
		}
		root, err := os.OpenRoot(blobs)
		if err != nil {
			return nil
		}
		return &cache{resolved, blobs, root}
	}
}

// blob tells which file of blobs/ a link is to. The link is followed by its text:
// the directories that it lies in are no links, because a walk enters none.
func (c *cache) blob(root *os.Root, name string) (string, bool) {
	to, err := root.Readlink(name)
	if err != nil {
		return "", false
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(c.snapshot, filepath.Dir(filepath.FromSlash(name)), to)
	}
	blob, err := filepath.Rel(c.dir, filepath.Clean(to))
	if err != nil || blob == "." || blob == ".." || strings.ContainsRune(blob, filepath.Separator) {
		return "", false
	}
	info, err := c.blobs.Lstat(blob)
	return blob, err == nil && info.Mode().IsRegular()
}

func (c *cache) close() error {
	if c == nil {
		return nil
	}
	return c.blobs.Close()
}
