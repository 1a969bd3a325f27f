package dataset_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/dataset"
)

// write makes a file in a fresh directory, or in dir if that is given.
func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

func collect(r io.Reader) (lines []string, numbers []int, err error) {
	for line, err := range dataset.Lines("in.jsonl", r) {
		if err != nil {
			return lines, numbers, err
		}
		lines, numbers = append(lines, string(line.Text)), append(numbers, line.Number)
	}
	return lines, numbers, nil
}

func TestLinesSkipsBlankLinesButCountsThem(t *testing.T) {
	lines, numbers, err := collect(strings.NewReader("\ufeff{}\r\n\n  \t\n{\"a\": 1} \n\nlast"))
	require.NoError(t, err)
	require.Equal(t, []string{"{}", `{"a": 1}`, "last"}, lines)
	require.Equal(t, []int{1, 4, 6}, numbers)
}

func TestLinesReadsLongLines(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	lines, _, err := collect(strings.NewReader(long + "\n" + long))
	require.NoError(t, err)
	require.Equal(t, []string{long, long}, lines)
}

func TestLinesRefusesAnEndlessLine(t *testing.T) {
	_, _, err := collect(io.MultiReader(strings.NewReader("short\n"), io.LimitReader(endless{}, 80<<20)))
	require.ErrorIs(t, err, dataset.ErrFormat)
	require.EqualError(t, err, "in.jsonl, line 2: the line is longer than 64 MiB")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestLinesRefusesInvalidUTF8(t *testing.T) {
	lines, _, err := collect(strings.NewReader("good\nbad \xff\nnever"))
	require.EqualError(t, err, "in.jsonl, line 2: the line is not valid UTF-8")
	require.Equal(t, []string{"good"}, lines)
}

func TestLinesReportsItsReader(t *testing.T) {
	broken := errors.New("cable pulled")
	_, _, err := collect(io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, dataset.ErrFormat)
}

func TestLinesStopsWhenToldTo(t *testing.T) {
	for line, err := range dataset.Lines("x", strings.NewReader("1\n2\n")) {
		require.NoError(t, err)
		require.Equal(t, 1, line.Number)
		break
	}
}

func TestObjectAndField(t *testing.T) {
	at := func(text string) dataset.Line { return dataset.Line{File: "f", Number: 7, Text: []byte(text)} }
	line := at(`{"a": "x\u00e9", "b": 1, "c": null}`)
	o, err := line.Object()
	require.NoError(t, err)
	text, err := line.Field(o, "a")
	require.NoError(t, err)
	require.Equal(t, "xé", text)

	_, err = line.Field(o, "b")
	require.EqualError(t, err, `f, line 7: field "b" is a number where a string should be`)
	_, err = line.Field(o, "c")
	require.EqualError(t, err, `f, line 7: field "c" is null where a string should be`)
	_, err = line.Field(o, "A")
	require.EqualError(t, err, `f, line 7: no field "A"; the line has a, b, c`)
	var lineError *dataset.LineError
	require.ErrorAs(t, err, &lineError)
	require.Equal(t, 7, lineError.Line)

	for text, says := range map[string]string{
		`[1]`: "a list where a JSON object", `"x"`: "a string where", `null`: "null where", `true`: "a boolean where", `3`: "a number where",
		`{"a": }`: "not valid JSON", `{} {}`: "not valid JSON", `{`: "unexpected end",
	} {
		_, err := at(text).Object()
		require.ErrorIs(t, err, dataset.ErrFormat, text)
		require.ErrorContains(t, err, says, text)
	}
	empty := at(`{}`)
	o, err = empty.Object()
	require.NoError(t, err)
	_, err = empty.Field(o, "a")
	require.ErrorContains(t, err, "the line has none")
}

func FuzzJSONL(f *testing.F) {
	f.Add([]byte(`{"article": "a", "highlights": "b", "id": "c"}`+"\n"), true)
	f.Add([]byte(`[{"text": "a"}, "b", {"input_ids": [1, 2]}, [3]]`), false)
	f.Add([]byte("\ufeff\n[\n1\n,2]x"), false)
	f.Add([]byte(`{"article": 1}`), true)
	f.Add([]byte(strings.Repeat("[", 20000)), false)
	f.Fuzz(func(t *testing.T, content []byte, lines bool) {
		name := "in.json"
		if lines {
			name = "in.jsonl"
		}
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, content, 0o644))
		if articles, err := dataset.ReadArticles(path, dataset.CNNDailyMail); err == nil {
			require.NotEmpty(t, articles)
		} else {
			require.ErrorIs(t, err, dataset.ErrFormat)
		}
		prompts, err := dataset.ReadPrompts(path, -1)
		if err != nil {
			require.ErrorIs(t, err, dataset.ErrFormat)
			var at *dataset.LineError
			if errors.As(err, &at) {
				require.True(t, at.Line >= 1 && at.Line <= bytes.Count(content, []byte("\n"))+1, "line %d", at.Line)
			}
			return
		}
		for _, p := range prompts {
			for _, id := range p.IDs {
				require.GreaterOrEqual(t, id, int32(0))
			}
		}
	})
}

func Example() {
	path := filepath.Join(os.TempDir(), "trtgo-example-articles.jsonl")
	defer os.Remove(path)
	line := `{"article": "A ferry broke down.", "highlights": "Ferry fails.", "id": "ferry"}`
	if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
		fmt.Println(err)
	}
	for article, err := range dataset.Articles(path, dataset.CNNDailyMail) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(article.ID, "→", article.Highlights)
	}
	// Output: ferry → Ferry fails.
}
