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

// formatsByPreference are tried in turn if a directory has a split in several formats.
var formatsByPreference = [][]string{{".json", ".jsonl", ".ndjson"}, {".parquet"}, {".csv", ".tsv"}}

var errNoFiles = errors.New("no files")

// files resolves path to the files that are to be read.
func (s ArticleSource) files(path string) ([]string, error) {
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
	for _, set := range append([]string{""}, s.Sets...) {
		for _, place := range s.places() {
			files, err := s.splitFiles(filepath.Join(path, filepath.FromSlash(set), filepath.FromSlash(place)))
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

// places are the directories of a set in which its files may lie, in the order in which they are looked into.
func (s ArticleSource) places() []string {
	places := append(append([]string{""}, s.Configs...), "data", s.Split)
	for _, config := range s.Configs {
		places = append(places, config+"/"+s.Split)
	}
	return places
}

// isOfSplit is the hub's rule for the name of a split in a file's name: between separators, in any case.
func (s ArticleSource) isOfSplit(name string) bool {
	return regexp.MustCompile(`(?i)(^|[-._ /])` + regexp.QuoteMeta(s.Split) + `([-._ 0-9]|$)`).MatchString(name)
}

// splitFiles chooses among the files of one directory.
func (s ArticleSource) splitFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	inSplit := strings.EqualFold(filepath.Base(dir), s.Split)
	var all, split []string
	var other string
	for _, entry := range entries {
		name := entry.Name()
		path := filepath.Join(dir, name)
		switch {
		case entry.IsDir():
		case name == "dataset_info.json", name == "dataset_infos.json", name == "dataset_dict.json", name == "state.json": // the hub's descriptions
		case IsTable(name):
			all = append(all, path)
			if inSplit || s.isOfSplit(name) {
				split = append(split, path)
			}
		case isOtherData(name) && other == "":
			other = path
		}
	}
	switch split, all := preferred(split), preferred(all); {
	case len(split) > 0:
		return split, nil
	case len(all) == 1:
		return all, nil
	case len(all) > 1:
		return nil, fmt.Errorf("%w: %s holds %d data files and none is named %s…; name the one to read", ErrFormat, dir, len(all), s.Split)
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
