package dataset_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/dataset"
)

const oneArticle = `{"article": "text", "highlights": "a\nb", "id": "x"}` + "\n"

func TestReadArticles(t *testing.T) {
	path := write(t, "a.jsonl", oneArticle+`
{"id": 12345678901234567890, "extra": [1], "highlights": "", "article": "zwei ü"}
{"article": "", "highlights": "h", "id": null}
{"article": "", "highlights": "h"}`)
	got, err := dataset.ReadArticles(path, dataset.CNNDailyMail)
	require.NoError(t, err)
	require.Equal(t, []dataset.Article{
		{Text: "text", Highlights: "a\nb", ID: "x"},
		{Text: "zwei ü", ID: "12345678901234567890"},
		{Highlights: "h"},
		{Highlights: "h"},
	}, got)
}

func TestReadArticlesFromAList(t *testing.T) {
	for name, content := range map[string]string{
		"compact": "[" + strings.TrimSpace(oneArticle) + "," + oneArticle + "]",
		"pretty":  "\ufeff \n [\n  {\n\"article\": \"text\",\n \"highlights\": \"a\\nb\", \"id\": \"x\"},\n" + oneArticle + "\n]\n\n",
		"lines":   oneArticle + oneArticle,
		"objects": "{\n\"article\": \"text\",\n \"highlights\": \"a\\nb\", \"id\": \"x\"}\n" + oneArticle,
	} {
		got, err := dataset.ReadArticles(write(t, "a.json", content), dataset.CNNDailyMail)
		require.NoError(t, err, name)
		article := dataset.Article{Text: "text", Highlights: "a\nb", ID: "x"}
		require.Equal(t, []dataset.Article{article, article}, got, name)
	}
}

func TestBadArticles(t *testing.T) {
	for _, c := range []struct{ name, file, content, says string }{
		{"field", "a.jsonl", oneArticle + "\n" + `{"text": "t", "summary": "s"}`, `line 3: no field "article"; the line has summary, text`},
		{"reference", "a.jsonl", `{"article": "t"}`, `line 1: no field "highlights"; the line has article`},
		{"type", "a.jsonl", `{"article": ["t"], "highlights": ""}`, `field "article" is a list where a string should be`},
		{"id", "a.jsonl", `{"article": "", "highlights": "", "id": {}}`, `field "id" is an object`},
		{"syntax", "a.jsonl", oneArticle + "{\"article\": \"\n", "line 2: not valid JSON"},
		{"list in lines", "a.jsonl", "[" + oneArticle + "]", "line 1: not valid JSON"},
		{"empty", "a.jsonl", "\n\n", "holds no articles"},
		{"empty list", "a.json", "[]", "holds no articles"},
		{"empty json", "a.json", " \n", "holds no articles"},
		{"open list", "a.json", "[\n" + oneArticle, "line 2: not valid JSON: unexpected EOF"},
		{"comma", "a.json", "[\n" + oneArticle + oneArticle + "]", "line 3: not valid JSON"},
		{"after list", "a.json", "[\n" + oneArticle + "]\n{}", "more text after the list"},
		{"element", "a.json", "[\n" + oneArticle + ",\n7]", "line 4: a number where a JSON object should be"},
		{"half", "a.json", `{"article": "`, "line 1: not valid JSON"},
		{"encoding", "a.json", "[\n{\"article\": \"\xff\"}]", "line 2: the text is not valid UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := dataset.ReadArticles(write(t, c.file, c.content), dataset.CNNDailyMail)
			require.ErrorIs(t, err, dataset.ErrFormat)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, c.file)
		})
	}
}

func TestOtherFormatsAreRefusedByName(t *testing.T) {
	for name, says := range map[string]string{
		"a.arrow":    "tables are read from JSON lines (.jsonl), .json, .csv, .tsv and .parquet; convert it to one of them",
		"a.jsonl.gz": "decompress it first", "a.txt": "tables are read from JSON lines",
	} {
		_, err := dataset.ReadArticles(write(t, name, "x"), dataset.CNNDailyMail)
		require.ErrorIs(t, err, dataset.ErrUnsupported, name)
		require.ErrorContains(t, err, says, name)
	}
}

// directory makes files that each hold one article whose text is the file's name.
func directory(t *testing.T, names ...string) string {
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		content := `{"article": "` + name + `", "highlights": ""}`
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

func TestDirectories(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  []string
	}{
		{"one", []string{"articles.jsonl", "README.md", "dataset_infos.json"}, []string{"articles.jsonl"}},
		{"splits", []string{"train.jsonl", "test.jsonl", "validation.jsonl"}, []string{"test.jsonl"}},
		{"shards", []string{"test-00001-of-00002.jsonl", "test-00000-of-00002.jsonl", "train.jsonl"},
			[]string{"test-00000-of-00002.jsonl", "test-00001-of-00002.jsonl"}},
		{"hub", []string{"ccdv/cnn_dailymail/test.json", "ccdv/cnn_dailymail/train.json"}, []string{"ccdv/cnn_dailymail/test.json"}},
		{"name", []string{"cnn_dailymail/a.ndjson", "notes.txt"}, []string{"cnn_dailymail/a.ndjson"}},
		{"beside parquet", []string{"test.parquet", "test.jsonl", "test.csv"}, []string{"test.jsonl"}},
		{"converted", []string{"3.0.0/test/0000.jsonl", "3.0.0/train/0000.jsonl", "1.0.0/test/0000.jsonl"}, []string{"3.0.0/test/0000.jsonl"}},
		{"data", []string{"data/cnn-test-00000-of-00001.jsonl", "data/train.jsonl"}, []string{"data/cnn-test-00000-of-00001.jsonl"}},
		{"a word that begins so", []string{"testimony.jsonl", "articlestest.jsonl", "a.test.jsonl", "b.jsonl"}, []string{"a.test.jsonl"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := dataset.ReadArticles(directory(t, c.files...), dataset.CNNDailyMail)
			require.NoError(t, err)
			var texts []string
			for _, a := range got {
				texts = append(texts, a.Text)
			}
			require.Equal(t, c.want, texts)
		})
	}
}

func TestDirectoriesWithoutAnAnswer(t *testing.T) {
	_, err := dataset.ReadArticles(directory(t, "a.jsonl", "b.jsonl"), dataset.CNNDailyMail)
	require.ErrorIs(t, err, dataset.ErrFormat)
	require.ErrorContains(t, err, "holds 2 data files and none is named test")

	_, err = dataset.ReadArticles(directory(t, "README.md"), dataset.CNNDailyMail)
	require.ErrorIs(t, err, dataset.ErrFormat)
	require.ErrorContains(t, err, "holds no .jsonl, .parquet or .csv file")

	_, err = dataset.ReadArticles(directory(t, "ccdv/cnn_dailymail/test-00000-of-00001.arrow"), dataset.CNNDailyMail)
	require.ErrorIs(t, err, dataset.ErrUnsupported)
	require.ErrorContains(t, err, "convert it to one of them")

	_, err = dataset.ReadArticles(filepath.Join(t.TempDir(), "nowhere"), dataset.CNNDailyMail)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestArticlesComesOneByOne(t *testing.T) {
	path := write(t, "a.jsonl", oneArticle+"{broken")
	for article, err := range dataset.Articles(path, dataset.CNNDailyMail) {
		require.NoError(t, err)
		require.Equal(t, "text", article.Text)
		break // the broken line is not reached
	}
	count := 0
	for _, err := range dataset.Articles(path, dataset.CNNDailyMail) {
		count++
		require.Equal(t, count == 2, err != nil)
	}
	require.Equal(t, 2, count)
}

// The articles that come with the example.
func TestExampleArticles(t *testing.T) {
	articles, err := dataset.ReadArticles(filepath.Join("..", "..", "examples", "summarize", "testdata", "articles.jsonl"), dataset.CNNDailyMail)
	require.NoError(t, err)
	require.Len(t, articles, 10)
	seen := map[string]bool{}
	for _, a := range articles {
		words := len(strings.Fields(a.Text))
		require.True(t, words >= 120 && words <= 300, "%s has %d words", a.ID, words)
		sentences := strings.Count(a.Highlights, "\n") + 1
		require.True(t, sentences == 2 || sentences == 3, "%s has %d highlights", a.ID, sentences)
		require.False(t, seen[a.ID], a.ID)
		seen[a.ID] = true
	}
}
