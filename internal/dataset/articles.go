package dataset

import (
	"fmt"
	"iter"
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

// Articles yields the articles at path, one by one: a table (see Rows), or a directory that holds such files. Of a directory the
// files of the test split are read, in the order of their names: those whose names have the word "test" in them
// (test-00000-of-00001.parquet) or lie in a directory of that name; without such files, the only one there is. Directories below
// are looked into too, as the hub lays data sets out: cnn_dailymail and ccdv/cnn_dailymail, and in each of them 3.0.0, data,
// default and test. If one directory has the split in several formats, JSON is read before parquet, parquet before CSV.
//
// Columns article and highlights must be there; id, a string or a number, may be absent, and others are ignored. After an error
// nothing more comes; it wraps ErrFormat (as a *LineError where the place is known), ErrUnsupported or an error of the file system.
func Articles(path string) iter.Seq2[Article, error] {
	return func(yield func(Article, error) bool) {
		files, err := articleFiles(path)
		if err != nil {
			yield(Article{}, err)
			return
		}
		for _, file := range files {
			for row, err := range Rows(file, TableOptions{}) {
				var article Article
				if err == nil {
					article, err = parseArticle(row)
				}
				if !yield(article, err) || err != nil {
					return
				}
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

func parseArticle(row Row) (a Article, err error) {
	if a.Text, err = row.Text("article"); err != nil {
		return Article{}, err
	}
	if a.Highlights, err = row.Text("highlights"); err != nil {
		return Article{}, err
	}
	if row.Has("id") {
		if a.ID, err = row.Scalar("id"); err != nil {
			return Article{}, err
		}
	}
	return a, nil
}
