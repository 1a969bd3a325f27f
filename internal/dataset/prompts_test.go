package dataset_test

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/npy"
)

func npyFile[T npy.Element](t *testing.T, shape []int, data ...T) string {
	var out bytes.Buffer
	require.NoError(t, npy.Write(&out, npy.Array[T]{Shape: shape, Data: data}))
	return write(t, "p.npy", out.String())
}

func TestTextPromptsKeepTheirNewline(t *testing.T) {
	for content, want := range map[string][]string{
		"one\ntwo\n":         {"one\n", "two\n"},
		"one\ntwo":           {"one\n", "two"},
		"\n a \n":            {"\n", " a \n"},
		"dos\r\nmac\runix\n": {"dos\n", "mac\n", "unix\n"},
		"\ufeffmark, é":      {"mark, é"},
	} {
		got, err := dataset.ReadPrompts(write(t, "p.txt", content), -1)
		require.NoError(t, err)
		var texts []string
		for _, p := range got {
			require.Nil(t, p.IDs)
			texts = append(texts, p.Text)
		}
		require.Equal(t, want, texts, "%q", content)
	}
}

func TestCSVPrompts(t *testing.T) {
	got, err := dataset.ReadPrompts(write(t, "p.csv", "1,2,3\r\n\n4 , \"5\"\n2147483647"), 5)
	require.NoError(t, err)
	require.Equal(t, []dataset.Prompt{{IDs: []int32{1, 2, 3}}, {IDs: []int32{4, 5}}, {IDs: []int32{2147483647}}}, got, "csv rows keep pad ids")
}

func TestNPYPromptsLoseThePadding(t *testing.T) {
	got, err := dataset.ReadPrompts(npyFile(t, []int{2, 4}, int32(1), 2, 0, 0, 0, 3, 0, 4), 0)
	require.NoError(t, err)
	require.Equal(t, []dataset.Prompt{{IDs: []int32{1, 2}}, {IDs: []int32{3, 4}}}, got)

	got, err = dataset.ReadPrompts(npyFile(t, []int{3}, int64(1), 0, 2), -1)
	require.NoError(t, err)
	require.Equal(t, []dataset.Prompt{{IDs: []int32{1, 0, 2}}}, got)
}

func TestJSONPrompts(t *testing.T) {
	want := []dataset.Prompt{{Text: "a\n"}, {Text: ""}, {Text: "bench"}, {IDs: []int32{1, 2}}, {IDs: []int32{3}}}
	values := []string{`"a\n"`, `{"text": ""}`, `{"task_id": 1, "prompt": "bench", "output_tokens": 8}`, `{"input_ids": [1, 2]}`, `[3]`}
	lines, list := "", "["
	for i, v := range values {
		lines += v + "\n"
		if i > 0 {
			list += ",\n"
		}
		list += v
	}
	for name, content := range map[string]string{"p.jsonl": lines, "p.ndjson": lines, "p.json": list + "]"} {
		got, err := dataset.ReadPrompts(write(t, name, content), 1)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

func TestBadPrompts(t *testing.T) {
	for _, c := range []struct{ name, file, content, says string }{
		{"empty text", "p.txt", "", "holds no prompts"},
		{"text encoding", "p.txt", "a\n\xff\n", "line 2: the line is not valid UTF-8"},
		{"word", "p.csv", "1,2\n3,four\n", `line 2: column 2: "four" is not a token id`},
		{"fraction", "p.csv", "1.5", `"1.5" is not a token id`},
		{"trailing comma", "p.csv", "1,", `column 2: "" is not a token id`},
		{"too large", "p.csv", "2147483648", "not a token id"},
		{"negative", "p.csv", "1,-2", "line 1: token id -2 at position 2 is negative"},
		{"no npy", "p.npy", "1,2", "p.npy: not a valid .npy file"},
		{"both", "p.jsonl", `{"text": "a", "input_ids": [1]}`, `both "text" and "input_ids"`},
		{"neither", "p.jsonl", "\"a\"\n{\"messages\": []}", "line 2: none of the fields text, prompt and input_ids; the line has messages"},
		{"number", "p.jsonl", "7", "a number where a JSON object should be"},
		{"syntax", "p.jsonl", "\"a", "line 1: not valid JSON"},
		{"ids", "p.jsonl", `{"input_ids": "1 2"}`, "input_ids is a string where a list"},
		{"id", "p.jsonl", `{"input_ids": [1, 2.5]}`, "element 2, 2.5, is not a token id"},
		{"id text", "p.jsonl", `["1"]`, `element 1, "1", is not a token id`},
		{"negative id", "p.json", "[\n[-1]]", "line 2: token id -1 at position 1 is negative"},
		{"no ids", "p.jsonl", "[]", "line 1: no token ids"},
		{"text type", "p.jsonl", `{"text": 1}`, `field "text" is a number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := dataset.ReadPrompts(write(t, c.file, c.content), -1)
			require.Error(t, err)
			require.ErrorContains(t, err, c.says)
			if c.file == "p.npy" {
				require.ErrorIs(t, err, npy.ErrFormat)
			} else {
				require.ErrorIs(t, err, dataset.ErrFormat)
			}
		})
	}
}

func TestBadNPYPrompts(t *testing.T) {
	_, err := dataset.ReadPrompts(npyFile(t, []int{2, 2}, int32(1), 2, 0, 0), 0)
	require.ErrorIs(t, err, dataset.ErrFormat)
	require.ErrorContains(t, err, "row 2: no token ids")
	_, err = dataset.ReadPrompts(npyFile(t, []int{1, 2}, int32(1), -1), 0)
	require.ErrorContains(t, err, "row 1: token id -1 at position 2 is negative")
	_, err = dataset.ReadPrompts(npyFile(t, []int{1, 1, 1}, int32(1)), 0)
	require.ErrorContains(t, err, "3 dimensions")
	_, err = dataset.ReadPrompts(npyFile[int32](t, []int{0, 5}), 0)
	require.ErrorContains(t, err, "holds no prompts")
	_, err = dataset.ReadPrompts(npyFile(t, []int{1, 1}, float32(1)), 0)
	require.ErrorIs(t, err, npy.ErrUnsupported)
}

func TestPromptFilesOfOtherKinds(t *testing.T) {
	for _, name := range []string{"p.yaml", "prompts", "p.parquet"} {
		_, err := dataset.ReadPrompts(write(t, name, "x"), -1)
		require.ErrorIs(t, err, dataset.ErrUnsupported)
		require.ErrorContains(t, err, "prompts are read from .txt, .csv, .npy, .json and .jsonl")
	}
	_, err := dataset.ReadPrompts(filepath.Join(t.TempDir(), "gone.TXT"), -1)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
