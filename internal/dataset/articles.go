package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Article is a row of cnn_dailymail.
type Article struct {
	// Text is the article itself, column "article".
	Text string `json:"article"`
	// Highlights is the reference summary, its sentences separated by newlines.
	Highlights string `json:"highlights"`
	// ID may be empty.
	ID string `json:"id"`
}

// Articles yields the articles at path, one by one: a file of JSON lines (or, if its name ends in .json, a list), or a directory
// that holds such files. Of a directory the files whose names begin with "test" are read, in the order of their names; without
// such files, the only one there is. cnn_dailymail and ccdv/cnn_dailymail below the directory are looked into too.
//
// Fields article and highlights must be there; id, a string or a number, may be absent, and others are ignored. After an error
// nothing more comes; it wraps ErrFormat (as a *LineError), ErrUnsupported or an error of the file system.
func Articles(path string) iter.Seq2[Article, error] {
	return func(yield func(Article, error) bool) {
		files, err := articleFiles(path)
		if err != nil {
			yield(Article{}, err)
			return
		}
		for _, file := range files {
			if !yieldArticles(file, yield) {
				return
			}
		}
	}
}

// ReadArticles returns all articles at path. None at all is an error.
func ReadArticles(path string) ([]Article, error) {
	var articles []Article
	for article, err := range Articles(path) {
		if err != nil {
			return nil, err
		}
		articles = append(articles, article)
	}
	if len(articles) == 0 {
		return nil, fmt.Errorf("%w: %s holds no articles", ErrFormat, path)
	}
	return articles, nil
}

func yieldArticles(file string, yield func(Article, error) bool) bool {
	f, err := os.Open(file)
	if err != nil {
		yield(Article{}, err)
		return false
	}
	defer f.Close()
	for line, err := range elements(file, f) {
		var article Article
		if err == nil {
			article, err = parseArticle(line)
		}
		if !yield(article, err) || err != nil {
			return false
		}
	}
	return true
}

func parseArticle(line Line) (Article, error) {
	o, err := line.Object()
	if err != nil {
		return Article{}, err
	}
	var a Article
	if a.Text, err = line.Field(o, "article"); err != nil {
		return Article{}, err
	}
	if a.Highlights, err = line.Field(o, "highlights"); err != nil {
		return Article{}, err
	}
	switch id := o["id"]; kindOf(id) {
	case "nothing", "null":
	case "a number":
		var number json.Number
		if err := json.Unmarshal(id, &number); err != nil {
			return Article{}, line.Errorf("field \"id\": %w", err)
		}
		a.ID = number.String()
	default:
		if a.ID, err = line.stringOf("id", id); err != nil {
			return Article{}, err
		}
	}
	return a, nil
}

// articleFiles resolves path to the files that are to be read.
func articleFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if !isJSON(path) {
			return nil, refuse(path)
		}
		return []string{path}, nil
	}
	var nothing error
	for _, below := range []string{"", "ccdv/cnn_dailymail", "cnn_dailymail"} {
		files, err := directoryFiles(filepath.Join(path, filepath.FromSlash(below)))
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
	return nil, nothing
}

var errNoFiles = errors.New("no files")

// directoryFiles chooses among the files of one directory.
func directoryFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all, test []string
	var other string
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case entry.IsDir():
		case name == "dataset_info.json", name == "dataset_infos.json", name == "dataset_dict.json": // the hub's descriptions
		case isJSON(name):
			all = append(all, filepath.Join(dir, name))
			if strings.HasPrefix(strings.ToLower(name), "test") {
				test = append(test, filepath.Join(dir, name))
			}
		case isOtherData(name) && other == "":
			other = filepath.Join(dir, name)
		}
	}
	switch {
	case len(test) > 0:
		return test, nil
	case len(all) == 1:
		return all, nil
	case len(all) > 1:
		return nil, fmt.Errorf("%w: %s holds %d files of JSON lines and none is named test…; name the one to read", ErrFormat, dir, len(all))
	case other != "":
		return nil, refuse(other)
	}
	return nil, fmt.Errorf("%w: %w: %s holds no .jsonl file", ErrFormat, errNoFiles, dir)
}

func isJSON(name string) bool {
	return slices.Contains([]string{".json", ".jsonl", ".ndjson"}, strings.ToLower(filepath.Ext(name)))
}

func isOtherData(name string) bool {
	return slices.Contains([]string{".parquet", ".csv", ".tsv", ".arrow", ".gz", ".zst", ".story"}, strings.ToLower(filepath.Ext(name)))
}

// refuse says what to do with a file that is not read.
func refuse(path string) error {
	advice := "articles are read from JSON lines (.jsonl) with the fields article, highlights and id"
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".parquet", ".csv", ".tsv", ".arrow":
		advice = ext[1:] + " comes later; convert it to JSON lines with the fields article, highlights and id"
	case ".gz", ".zst", ".bz2", ".xz", ".zip":
		advice = "decompress it first"
	}
	return fmt.Errorf("%w: %s: %s", ErrUnsupported, path, advice)
}
