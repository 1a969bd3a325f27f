package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Directories of a data set in which its files may lie, in the order in which they are looked into: the set itself under the names
// that upstream appends, then the hub's ways of naming a configuration and a split.
var (
	articleSets  = []string{"", "ccdv/cnn_dailymail", "cnn_dailymail"}
	configPlaces = []string{"", "3.0.0", "data", "default", "test", "3.0.0/test", "default/test"}
)

// formatsByPreference are tried in turn if a directory has a split in several formats.
var formatsByPreference = [][]string{{".json", ".jsonl", ".ndjson"}, {".parquet"}, {".csv", ".tsv"}}

var errNoFiles = errors.New("no files")

// articleFiles resolves path to the files that are to be read.
func articleFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if !IsTable(path) {
			return nil, refuse(path)
		}
		return []string{path}, nil
	}
	var nothing error
	for _, set := range articleSets {
		for _, place := range configPlaces {
			files, err := splitFiles(filepath.Join(path, filepath.FromSlash(set), filepath.FromSlash(place)))
			switch {
			case err == nil:
				return files, nil
			case errors.Is(err, fs.ErrNotExist):
			case !errors.Is(err, errNoFiles) && !errors.Is(err, ErrUnsupported):
				return nil, err
			case nothing == nil || errors.Is(err, ErrUnsupported):
				nothing = err
			}
		}
	}
	return nil, nothing
}

// testWord is the hub's rule for the name of a split in a file's name: between separators, in any case.
var testWord = regexp.MustCompile(`(?i)(^|[-._ /])test([-._ 0-9]|$)`)

// splitFiles chooses among the files of one directory.
func splitFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	inTest := strings.EqualFold(filepath.Base(dir), "test")
	var all, test []string
	var other string
	for _, entry := range entries {
		name := entry.Name()
		path := filepath.Join(dir, name)
		switch {
		case entry.IsDir():
		case name == "dataset_info.json", name == "dataset_infos.json", name == "dataset_dict.json", name == "state.json": // the hub's descriptions
		case IsTable(name):
			all = append(all, path)
			if inTest || testWord.MatchString(name) {
				test = append(test, path)
			}
		case isOtherData(name) && other == "":
			other = path
		}
	}
	switch test, all := preferred(test), preferred(all); {
	case len(test) > 0:
		return test, nil
	case len(all) == 1:
		return all, nil
	case len(all) > 1:
		return nil, fmt.Errorf("%w: %s holds %d data files and none is named test…; name the one to read", ErrFormat, dir, len(all))
	case other != "":
		return nil, refuse(other)
	}
	return nil, fmt.Errorf("%w: %w: %s holds no .jsonl, .parquet or .csv file", ErrFormat, errNoFiles, dir)
}

// preferred keeps the files of the first format that there is.
func preferred(files []string) []string {
	for _, extensions := range formatsByPreference {
		var kept []string
		for _, file := range files {
			for _, e := range extensions {
				if extension(file) == e {
					kept = append(kept, file)
				}
			}
		}
		if len(kept) > 0 {
			return kept
		}
	}
	return nil
}

func isOtherData(name string) bool {
	switch extension(name) {
	case ".arrow", ".gz", ".zst", ".story":
		return true
	}
	return false
}
