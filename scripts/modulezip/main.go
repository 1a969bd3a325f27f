// Command modulezip writes the committed tree as a module zip into a directory
// laid out as a Go module proxy, and fails when the zip is 10 MB or more.
//
//	go run ./scripts/modulezip DIR VERSION
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const (
	modulePath = "github.com/trtgo/trtgo"
	sizeLimit  = 10 << 20
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: modulezip DIR VERSION")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "modulezip:", err)
		os.Exit(1)
	}
}

func write(proxy, version string) error {
	dir := filepath.Join(proxy, filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, version+".zip")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := zip.CreateFromVCS(file, module.Version{Path: modulePath, Version: version}, ".", "HEAD", ""); err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	fmt.Printf("module zip: %.1f MB\n", float64(info.Size())/1e6)
	if info.Size() >= sizeLimit {
		return fmt.Errorf("module zip is %d bytes, the limit is %d", info.Size(), sizeLimit)
	}
	gomod, err := os.ReadFile("go.mod")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, version+".mod"), gomod, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "list"), []byte(version+"\n"), 0o644); err != nil {
		return err
	}
	description, err := json.Marshal(map[string]any{"Version": version, "Time": time.Now().UTC()})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, version+".info"), description, 0o644)
}
