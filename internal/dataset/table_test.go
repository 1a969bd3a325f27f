package dataset_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/dataset"
)

func rowsOf(t *testing.T, path string, options dataset.TableOptions) []dataset.Row {
	t.Helper()
	var rows []dataset.Row
	for row, err := range dataset.Rows(path, options) {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	return rows
}

// The files are pyarrow's (scripts/table_goldens.py): each codec and encoding that data sets on the hub have.
func TestParquetEqualsPyarrow(t *testing.T) {
	data, err := os.ReadFile("testdata/rows.json")
	require.NoError(t, err)
	var want []struct {
		ID, Highlights *string
		Article        string
		Choices        []*string
		Answer         json.Number
		Score          json.Number
		Flag           bool
	}
	require.NoError(t, json.Unmarshal(data, &want))
	require.Len(t, want, 40)
	for _, name := range []string{"snappy", "zstd", "gzip", "brotli", "delta"} {
		t.Run(name, func(t *testing.T) {
			rows := rowsOf(t, filepath.Join("testdata", name+".parquet"), dataset.TableOptions{})
			require.Len(t, rows, len(want))
			for i, row := range rows {
				w := want[i]
				require.Equal(t, i+1, row.Number)
				require.Equal(t, []string{"id", "article", "highlights", "choices", "answer", "score", "flag", "nested", "binary"}, row.Names())
				require.Equal(t, w.ID != nil, row.Has("id"))
				if w.ID != nil {
					require.Equal(t, *w.ID, text(t, row, "id"))
				}
				require.Equal(t, w.Article, text(t, row, "article"))
				require.Equal(t, *w.Highlights, text(t, row, "highlights"))
				for column, number := range map[string]json.Number{"answer": w.Answer, "score": w.Score} {
					got, err := row.Scalar(column)
					require.NoError(t, err)
					require.JSONEq(t, number.String(), got)
				}
				flag, err := row.Scalar("flag")
				require.NoError(t, err)
				require.Equal(t, map[bool]string{true: "true", false: "false"}[w.Flag], flag)
				requireTexts(t, w.Choices, row)
				_, err = row.Text("binary")
				require.ErrorContains(t, err, `column "binary" is binary where a string should be`)
				_, err = row.Texts("nested")
				require.ErrorContains(t, err, `column "nested" is nested where a list of strings should be`)
			}
		})
	}
}

func text(t *testing.T, row dataset.Row, column string) string {
	t.Helper()
	got, err := row.Text(column)
	require.NoError(t, err)
	return got
}

// requireTexts compares the list of a row, in which element 2 is null.
func requireTexts(t *testing.T, want []*string, row dataset.Row) {
	t.Helper()
	got, err := row.Texts("choices")
	switch {
	case want == nil:
		require.ErrorContains(t, err, `column "choices" is null where a list of strings should be`)
	case len(want) > 2:
		require.ErrorContains(t, err, `column "choices": element 3 is null where a string should be`)
	default:
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range got {
			require.Equal(t, *want[i], got[i])
		}
	}
}

func TestParquetColumns(t *testing.T) {
	path := filepath.Join("testdata", "snappy.parquet")
	rows := rowsOf(t, path, dataset.TableOptions{Columns: []string{"answer", "article"}})
	require.Len(t, rows, 40)
	require.Equal(t, []string{"article", "answer"}, rows[0].Names())
	for _, err := range dataset.Rows(path, dataset.TableOptions{Columns: []string{"question"}}) {
		require.ErrorIs(t, err, dataset.ErrFormat)
		require.ErrorContains(t, err, `snappy.parquet: no column "question"; the file has id, article,`)
	}
}

func TestParquetWithLZ4(t *testing.T) {
	type row struct {
		Article string `parquet:"article"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.Compression(&parquet.Lz4Raw))
	_, err := w.Write([]row{{"text"}})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for _, err := range dataset.Rows(write(t, "a.parquet", b.String()), dataset.TableOptions{}) {
		require.ErrorIs(t, err, dataset.ErrUnsupported)
		require.ErrorContains(t, err, `a.parquet: column "article" is compressed with LZ4_RAW, which is not read; write it with snappy or zstd`)
	}
}

// A file that is damaged anywhere is an error or gives rows, never a panic.
func TestDamagedParquet(t *testing.T) {
	for _, name := range []string{"snappy", "brotli", "delta"} {
		whole, err := os.ReadFile(filepath.Join("testdata", name+".parquet"))
		require.NoError(t, err)
		failures := 0
		for at := 0; at < len(whole); at += 7 {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 0xff
			for _, err := range dataset.Rows(write(t, "a.parquet", string(damaged)), dataset.TableOptions{}) {
				if err != nil {
					require.ErrorIs(t, err, dataset.ErrFormat, "byte %d", at)
					failures++
				}
			}
		}
		require.Greater(t, failures, 10)
		for _, content := range []string{"", "PAR1", "x", string(whole[:len(whole)/2]), string(whole[8:])} {
			var last error
			for _, err := range dataset.Rows(write(t, "a.parquet", content), dataset.TableOptions{}) {
				last = err
			}
			require.ErrorIs(t, last, dataset.ErrFormat)
			require.ErrorContains(t, last, "a.parquet: not a parquet file")
		}
	}
}

func TestCSV(t *testing.T) {
	path := write(t, "a.CSV", "\ufeffid,article,highlights\n1,\"several\nlines, \"\"quoted\"\"\",h\n\n2,it is \"so\",\n")
	rows := rowsOf(t, path, dataset.TableOptions{})
	require.Len(t, rows, 2)
	require.Equal(t, []int{2, 5}, []int{rows[0].Number, rows[1].Number})
	require.Equal(t, "several\nlines, \"quoted\"", text(t, rows[0], "article"))
	require.Equal(t, `it is "so"`, text(t, rows[1], "article"))
	require.Empty(t, text(t, rows[1], "highlights"))

	rows = rowsOf(t, write(t, "a.tsv", "q\t\"a\tb\"\tA\n"), dataset.TableOptions{Header: []string{"question", "choice", "answer"}})
	require.Len(t, rows, 1)
	require.Equal(t, "a\tb", text(t, rows[0], "choice"))
}

func TestBadTables(t *testing.T) {
	for _, c := range []struct{ name, file, content, says string }{
		{"fields", "a.csv", "article,b\n1,2\n3\n", "a.csv, line 3: the row has another number of fields than the first row"},
		{"twice", "a.csv", "a,b,a\n1,2,3\n", `a.csv, line 1: the column "a" is there twice`},
		{"encoding", "a.csv", "a,b\n1,\xff\n", "a.csv, line 2: field 2 is not valid UTF-8"},
		{"missing", "a.csv", "a,b\n1,2\n", `a.csv, line 2: no column "article"; the line has a, b`},
		{"list", "a.jsonl", `{"article": ["a"]}`, `a.jsonl, line 1: field "article" is a list where a string should be`},
		{"number", "a.jsonl", `{"article": 1.50}`, `a.jsonl, line 1: field "article" is a number where a string should be`},
		{"long", "a.csv", "a\n\"" + strings.Repeat("x", 65<<20), "a row is longer than 64 MiB; a quote may lack its counterpart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var last error
			for row, err := range dataset.Rows(write(t, c.file, c.content), dataset.TableOptions{}) {
				if last = err; err == nil {
					_, last = row.Text("article")
				}
				if last != nil {
					break
				}
			}
			require.ErrorIs(t, last, dataset.ErrFormat)
			require.ErrorContains(t, last, c.says)
		})
	}
	path := write(t, "a.csv", "1,2\n")
	for _, err := range dataset.Rows(path, dataset.TableOptions{Header: []string{"a", "b", "c"}}) {
		require.ErrorContains(t, err, "a.csv, line 1: the row has 2 fields where 3 columns are expected: a, b, c")
	}
	for _, err := range dataset.Rows(filepath.Join(t.TempDir(), "a.csv"), dataset.TableOptions{}) {
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

func TestArticlesOfEveryFormat(t *testing.T) {
	want := []dataset.Article{{Text: "text, with", Highlights: "a\nb", ID: "7"}}
	for name, content := range map[string]string{
		"a.jsonl": `{"article": "text, with", "highlights": "a\nb", "id": 7}`,
		"a.csv":   "id,highlights,article\n7,\"a\nb\",\"text, with\"\n",
		"a.tsv":   "article\thighlights\tid\ntext, with\t\"a\nb\"\t7\n",
	} {
		got, err := dataset.ReadArticles(write(t, name, content), dataset.CNNDailyMail)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	// As the hub has it: a directory of shards.
	dir := t.TempDir()
	for _, name := range []string{"test-00001-of-00002.parquet", "test-00000-of-00002.parquet", "train-00000-of-00001.parquet"} {
		data, err := os.ReadFile("testdata/snappy.parquet")
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "ccdv", "cnn_dailymail", "3.0.0"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "ccdv", "cnn_dailymail", "3.0.0", name), data, 0o600))
	}
	got, err := dataset.ReadArticles(dir, dataset.CNNDailyMail)
	require.NoError(t, err)
	require.Len(t, got, 80)
	require.Equal(t, got[:40], got[40:])
	require.Empty(t, got[7].ID)
	require.Equal(t, "id8", got[8].ID)
}

// Parquet is left to TestDamagedParquet: its library believes what a page says of its size, up to 2 GiB.
func FuzzRows(f *testing.F) {
	f.Add("a.csv", []byte("a,b\n1,\"2\n3\"\n"))
	f.Add("a.tsv", []byte("a\tb\n1\t2"))
	f.Add("a.jsonl", []byte(`{"a": [1, null, "x"]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		path := filepath.Join(dir, "a"+filepath.Ext(filepath.Base(name)))
		if !dataset.IsTable(path) || filepath.Ext(path) == ".parquet" || len(content) > 64<<10 || strings.ContainsRune(path, 0) {
			t.Skip()
		}
		require.NoError(t, os.WriteFile(path, content, 0o600))
		count := 0
		for row, err := range dataset.Rows(path, dataset.TableOptions{}) {
			if err != nil {
				require.ErrorIs(t, err, dataset.ErrFormat)
				break
			}
			for _, name := range row.Names() {
				_, _ = row.Scalar(name)
				_, _ = row.Texts(name)
			}
			if count++; count > 10000 {
				break
			}
		}
	})
}
