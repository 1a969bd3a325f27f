package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trtgo/trtgo/internal/npy"
)

// Prompt is a text or a list of token ids.
type Prompt struct {
	Text string
	// IDs is nil for a text.
	IDs []int32
}

// ReadPrompts reads the prompts of a file, by the ending of its name:
//
//   - .txt: one text a line, the newline at its end kept, as TensorRT-LLM's run.py does; "\r\n" and "\r" become "\n";
//   - .csv: one prompt a row, its fields the token ids; blank rows are skipped;
//   - .npy: int32 or int64, one prompt a row; ids equal to padID are removed, wherever they stand (a negative padID removes none);
//   - .jsonl (or .ndjson): a string, {"text": …}, {"prompt": …}, {"input_ids": […]} or a list of ids a line;
//   - .json: a list of such values, or values one after the other.
//
// Other endings are refused, as are negative ids, prompts without ids and files without prompts. Errors wrap ErrFormat,
// ErrUnsupported, those of package npy or of the file system.
func ReadPrompts(path string, padID int32) ([]Prompt, error) {
	read := map[string]func(string, io.Reader) ([]Prompt, error){
		".txt": readTextPrompts, ".csv": readCSVPrompts, ".json": readJSONPrompts, ".jsonl": readJSONPrompts, ".ndjson": readJSONPrompts,
		".npy": func(name string, r io.Reader) ([]Prompt, error) { return readNPYPrompts(name, r, padID) },
	}[strings.ToLower(filepath.Ext(path))]
	if read == nil {
		return nil, fmt.Errorf("%w: %s: prompts are read from .txt, .csv, .npy, .json and .jsonl", ErrUnsupported, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	prompts, err := read(path, f)
	if err != nil {
		return nil, err
	}
	if len(prompts) == 0 {
		return nil, fmt.Errorf("%w: %s holds no prompts", ErrFormat, path)
	}
	return prompts, nil
}

// readTextPrompts splits as Python's readlines does in text mode.
func readTextPrompts(name string, r io.Reader) ([]Prompt, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	raw = bytes.ReplaceAll(raw, []byte("\r"), []byte("\n"))
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	var prompts []Prompt
	for number := 1; len(raw) > 0; number++ {
		end := bytes.IndexByte(raw, '\n') + 1
		if end == 0 {
			end = len(raw)
		}
		if !utf8.Valid(raw[:end]) {
			return nil, Line{File: name, Number: number}.Errorf("the line is not valid UTF-8")
		}
		prompts = append(prompts, Prompt{Text: string(raw[:end])})
		raw = raw[end:]
	}
	return prompts, nil
}

func readCSVPrompts(name string, r io.Reader) ([]Prompt, error) {
	var prompts []Prompt
	for line, err := range Lines(name, bufio.NewReader(r)) {
		if err != nil {
			return nil, err
		}
		var ids []int32
		column := 0
		for field := range strings.SplitSeq(string(line.Text), ",") {
			column++
			field = strings.Trim(strings.TrimSpace(field), `"`)
			id, err := strconv.ParseInt(field, 10, 32)
			if err != nil {
				return nil, line.Errorf("column %d: %q is not a token id", column, shorten(field))
			}
			ids = append(ids, int32(id))
		}
		if err := checkIDs(ids); err != nil {
			return nil, line.Errorf("%w", err)
		}
		prompts = append(prompts, Prompt{IDs: ids})
	}
	return prompts, nil
}

func readNPYPrompts(name string, r io.Reader, padID int32) ([]Prompt, error) {
	array, err := npy.Read[int32](bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	rows, err := array.Rows()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, name, err)
	}
	var prompts []Prompt
	for i, row := range rows {
		ids := row
		if padID >= 0 {
			ids = slices.DeleteFunc(slices.Clone(row), func(id int32) bool { return id == padID })
		}
		if err := checkIDs(ids); err != nil {
			return nil, fmt.Errorf("%w: %s, row %d: %w", ErrFormat, name, i+1, err)
		}
		prompts = append(prompts, Prompt{IDs: ids})
	}
	return prompts, nil
}

func readJSONPrompts(name string, r io.Reader) ([]Prompt, error) {
	var prompts []Prompt
	for line, err := range elements(name, r) {
		if err != nil {
			return nil, err
		}
		prompt, err := parsePrompt(line)
		if err != nil {
			return nil, err
		}
		prompts = append(prompts, prompt)
	}
	return prompts, nil
}

func parsePrompt(line Line) (Prompt, error) {
	if !json.Valid(line.Text) {
		return Prompt{}, line.Errorf("not valid JSON")
	}
	switch kindOf(line.Text) {
	case "a string":
		text, err := line.stringOf("", line.Text)
		return Prompt{Text: text}, err
	case "a list":
		return parseIDs(line, line.Text)
	}
	o, err := line.Object()
	if err != nil {
		return Prompt{}, err
	}
	var found []string
	for _, name := range []string{"text", "prompt", "input_ids"} {
		if _, has := o[name]; has {
			found = append(found, name)
		}
	}
	if len(found) > 1 {
		return Prompt{}, line.Errorf("both %q and %q; one of them must go", found[0], found[1])
	}
	if len(found) == 0 {
		return Prompt{}, line.Errorf("none of the fields text, prompt and input_ids; the line has %s", listNames(o.sortedNames()))
	}
	if found[0] == "input_ids" {
		return parseIDs(line, o["input_ids"])
	}
	text, err := line.Field(o, found[0])
	return Prompt{Text: text}, err
}

func parseIDs(line Line, raw json.RawMessage) (Prompt, error) {
	var numbers []json.RawMessage
	if err := json.Unmarshal(raw, &numbers); err != nil {
		return Prompt{}, line.Errorf("input_ids is %s where a list of token ids should be", kindOf(raw))
	}
	ids := make([]int32, len(numbers))
	for i, number := range numbers {
		id, err := strconv.ParseInt(string(number), 10, 32)
		if err != nil {
			return Prompt{}, line.Errorf("input_ids: element %d, %s, is not a token id", i+1, shorten(string(number)))
		}
		ids[i] = int32(id)
	}
	if err := checkIDs(ids); err != nil {
		return Prompt{}, line.Errorf("%w", err)
	}
	return Prompt{IDs: ids}, nil
}

func checkIDs(ids []int32) error {
	if len(ids) == 0 {
		return errors.New("no token ids")
	}
	for i, id := range ids {
		if id < 0 {
			return fmt.Errorf("token id %d at position %d is negative", id, i+1)
		}
	}
	return nil
}

func shorten(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "…"
	}
	return text
}
