package dataset

import (
	"fmt"
	"iter"
)

// Article is a text with its reference. The columns named here are cnn_dailymail's.
type Article struct {
	// Text is the article itself, column "article".
	Text string `json:"article"`
	// Highlights is the reference summary, its sentences separated by newlines.
	Highlights string `json:"highlights"`
	// ID may be empty.
	ID string `json:"id"`
}

// ArticleSource says where a data set has its articles: in which columns, and how its directories and files are named.
type ArticleSource struct {
	Text, Highlights, ID string   // columns; that of the ids may be missing
	Sets                 []string // directories below the one that is named in which the set may lie
	Configs              []string // and in them, the hub's names of the configuration
	Split                string
}

// CNNDailyMail is the set that summaries are usually judged on.
var CNNDailyMail = ArticleSource{
	Text: "article", Highlights: "highlights", ID: "id",
	Sets: []string{"ccdv/cnn_dailymail", "cnn_dailymail"}, Configs: []string{"3.0.0", "default"}, Split: "test",
}

// Articles yields the articles at path, one by one: a table (see Rows), or a directory that holds such files. Of a directory the
// files of the source's split are read, in the order of their names: those whose names have its name in them as a word
// (test-00000-of-00001.parquet) or lie in a directory of that name; without such files, the only one there is. Directories below
// are looked into too, as the hub lays data sets out: the source's sets, and in each of them its configurations, data and the
// split. If one directory has the split in several formats, JSON is read before parquet, parquet before CSV.
//
// The columns of text and highlights must be there; an id, a string or a number, may be absent, and others are ignored. After an error
// nothing more comes; it wraps ErrFormat (as a *LineError where the place is known), ErrUnsupported or an error of the file system.
func Articles(path string, source ArticleSource) iter.Seq2[Article, error] {
	return func(yield func(Article, error) bool) {
		files, err := source.files(path)
		if err != nil {
			yield(Article{}, err)
			return
		}
		for _, file := range files {
			for row, err := range Rows(file, TableOptions{}) {
				var article Article
				if err == nil {
					article, err = source.article(row)
				}
				if !yield(article, err) || err != nil {
					return
				}
			}
		}
	}
}

// ReadArticles returns all articles at path. None at all is an error.
func ReadArticles(path string, source ArticleSource) ([]Article, error) {
	var articles []Article
	for article, err := range Articles(path, source) {
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

func (s ArticleSource) article(row Row) (a Article, err error) {
	if a.Text, err = row.Text(s.Text); err != nil {
		return Article{}, err
	}
	if a.Highlights, err = row.Text(s.Highlights); err != nil {
		return Article{}, err
	}
	if row.Has(s.ID) {
		if a.ID, err = row.Scalar(s.ID); err != nil {
			return Article{}, err
		}
	}
	return a, nil
}
