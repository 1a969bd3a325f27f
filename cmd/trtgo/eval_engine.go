package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/internal/regularfile"
	"github.com/trtgo/trtgo/trtllm"
)

// fingerprintBytes of a file are read to tell engines apart: header, program and table of sections, with the checksums of
// weights, stand at the two ends of a CPU engine.
const fingerprintBytes = 1 << 20

// engineSettings are what an engine's numbers depend on, for files of results that a later run goes on with.
func engineSettings(dir string, config trtllm.Config) ([]evaluation.Setting, error) {
	hash := sha256.New()
	for rank := range max(1, config.Ranks) {
		for _, name := range []string{engineconfig.FileName, engineconfig.EngineName(rank), engineconfig.ManagedWeightsName(rank)} {
			err := hashEnds(hash, filepath.Join(dir, name))
			if err != nil && !(errors.Is(err, fs.ErrNotExist) && name != engineconfig.FileName) {
				return nil, err
			}
		}
	}
	return []evaluation.Setting{
		{Name: "SHA-256 of the engine", Value: fmt.Sprintf("%x", hash.Sum(nil))[:16]},
		{Name: "precision", Value: config.Precision},
	}, nil
}

// hashEnds adds size, beginning and end of a file.
func hashEnds(w io.Writer, path string) error {
	file, size, err := regularfile.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	fmt.Fprintf(w, "%s %d\n", filepath.Base(path), size)
	for _, at := range []int64{0, max(0, size-fingerprintBytes)} {
		if _, err := io.Copy(w, io.NewSectionReader(file, at, fingerprintBytes)); err != nil {
			return err
		}
	}
	return nil
}

// requestsAtOnce is how many requests of a number of tokens keep an engine busy: those of two steps.
func requestsAtOnce(config trtllm.Config, tokens int) int {
	return min(max(2, 2*config.MaxNumTokens/tokens), max(2, config.MaxBatchSize), 64)
}
