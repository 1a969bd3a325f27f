package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/npy"
	"github.com/trtgo/trtgo/internal/outputfile"
	"github.com/trtgo/trtgo/trtllm"
)

// jsonSequence is a line of run --json.
type jsonSequence struct {
	Index        int       `json:"index"`
	Sequence     int       `json:"sequence"`
	InputIDs     []int32   `json:"input_ids"`
	OutputIDs    []int32   `json:"output_ids"`
	Text         *string   `json:"text,omitempty"`
	FinishReason string    `json:"finish_reason"`
	CumLogProb   *float32  `json:"cum_log_prob,omitempty"`
	LogProbs     []float32 `json:"log_probs,omitempty"`

	TopLogProbs [][]jsonLogProb `json:"top_log_probs,omitempty"`
	// Of the prompt: in the line of its first sequence.
	PromptLogProbs    []float32       `json:"prompt_log_probs,omitempty"`
	PromptTopLogProbs [][]jsonLogProb `json:"prompt_top_log_probs,omitempty"`
}

type jsonLogProb struct {
	Token   int32   `json:"token"`
	LogProb float32 `json:"log_prob"`
}

// jsonFailure is the line of a request that failed.
type jsonFailure struct {
	Index    int     `json:"index"`
	InputIDs []int32 `json:"input_ids"`
	Error    string  `json:"error"`
}

// writesFiles tells whether token ids go to a file, in which case, as upstream,
// nothing is printed.
func writesFiles(c *cli.Context) bool {
	return c.String("output-csv") != "" || c.String("output-npy") != ""
}

func printSequences(c *cli.Context, engine *trtllm.Engine, sequences []sequence) error {
	for _, s := range sequences {
		var err error
		switch {
		case c.Bool("json"):
			err = printJSON(c, jsonOf(c, s))
		case s.err != nil || streamsText(c, engine) || writesFiles(c):
		default:
			err = printSequence(c, engine, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeFiles writes the files asked for. In each, a prompt has as many rows as it
// was to get sequences; those of one that failed are padding after the prompt.
func writeFiles(c *cli.Context, engine *trtllm.Engine, prompts []*prompt, sequences []sequence) error {
	sequences = withFailedRows(c, sequences)
	rows := paddedRows(c, engine, prompts, sequences)
	outputs := []struct {
		flag  string
		write func(path string) error
	}{
		{"output-csv", func(path string) error { return writeFile(path, func(w io.Writer) error { return writeCSV(w, rows) }) }},
		{"output-npy", func(path string) error { return writeIDs(npyPath(path), rows) }},
		{"output-log-probs-npy", func(path string) error { return writeLogProbs(npyPath(path), c.Int("max-output-len"), sequences) }},
		{"output-cum-log-probs-npy", func(path string) error { return writeCumLogProbs(npyPath(path), sequences) }},
		{"output-logits-npy", func(path string) error { return writeLogits(c, engine, path, prompts, sequences) }},
		{"iteration-stats", func(path string) error { return writeLines(path, engine.IterationStats()) }},
		{"request-stats", func(path string) error { return writeLines(path, engine.RequestStats()) }},
	}
	for _, o := range outputs {
		if path := c.String(o.flag); path != "" {
			if err := o.write(path); err != nil {
				return fmt.Errorf("--%s: %w", o.flag, err)
			}
		}
	}
	return nil
}

func withFailedRows(c *cli.Context, sequences []sequence) []sequence {
	var rows []sequence
	for _, s := range sequences {
		rows = append(rows, s)
		for n := 1; s.err != nil && n < sequencesOf(c); n++ {
			rows = append(rows, s)
		}
	}
	return rows
}

// npyPath adds .npy where it is missing, as numpy.save does, which upstream writes
// with; not to a device.
func npyPath(path string) string {
	if info, err := os.Stat(path); strings.HasSuffix(path, ".npy") || err == nil && !info.Mode().IsRegular() {
		return path
	}
	return path + ".npy"
}

func jsonOf(c *cli.Context, s sequence) any {
	if s.err != nil {
		return jsonFailure{s.prompt.index, s.prompt.ids, s.err.Error()}
	}
	line := jsonSequence{
		Index: s.prompt.index, Sequence: s.sequence,
		InputIDs: s.prompt.ids, OutputIDs: *nonNil(s.OutputIDs), FinishReason: s.FinishReason.String(),
	}
	if s.hasText {
		line.Text = &s.Text
	}
	if c.Bool("return-log-probs") {
		line.CumLogProb, line.LogProbs = &s.CumLogProb, s.LogProbs
		if line.LogProbs == nil {
			line.LogProbs = []float32{}
		}
	}
	line.TopLogProbs = jsonLogProbs(s.TopLogProbs)
	line.PromptLogProbs, line.PromptTopLogProbs = s.promptLogProbs, jsonLogProbs(s.promptTopLogProbs)
	return line
}

// jsonLogProbs is nil, and so is left out, for nothing.
func jsonLogProbs(all [][]trtllm.LogProb) [][]jsonLogProb {
	var lists [][]jsonLogProb
	for _, best := range all {
		list := make([]jsonLogProb, len(best)) // the first prompt token has none
		for i, p := range best {
			list[i] = jsonLogProb(p)
		}
		lists = append(lists, list)
	}
	return lists
}

// paddedRows are prompt and output ids, padded with the end id to the longest
// prompt plus --max_output_len, as upstream writes them.
func paddedRows(c *cli.Context, engine *trtllm.Engine, prompts []*prompt, sequences []sequence) [][]int32 {
	width := longestPrompt(prompts) + c.Int("max-output-len")
	pad := padID(c, engine)
	var rows [][]int32
	for _, s := range sequences {
		row := append(append(make([]int32, 0, width), s.prompt.ids...), s.OutputIDs...)
		for len(row) < width {
			row = append(row, pad)
		}
		rows = append(rows, row)
	}
	return rows
}

func longestPrompt(prompts []*prompt) int {
	longest := 0
	for _, p := range prompts {
		longest = max(longest, len(p.ids))
	}
	return longest
}

// padID is the end id, which upstream pads with; 0 for an engine that has none.
func padID(c *cli.Context, engine *trtllm.Engine) int32 {
	if id := c.Int("end-id"); id > 0 {
		return int32(id)
	}
	if t, err := engine.Tokenizer(); err == nil && len(t.EOS()) > 0 {
		return t.EOS()[0]
	}
	return 0
}

func writeCSV(w io.Writer, rows [][]int32) error {
	for _, row := range rows {
		text := strings.Trim(strings.ReplaceAll(fmt.Sprint(row), " ", ","), "[]")
		if _, err := fmt.Fprintln(w, text); err != nil {
			return err
		}
	}
	return nil
}

func writeIDs(path string, rows [][]int32) error {
	width := 0
	if len(rows) > 0 {
		width = len(rows[0])
	}
	return writeRows(path, []int{len(rows), width}, rows)
}

// writeLogProbs writes [sequences, max_output_len], zero after a sequence's end.
func writeLogProbs(path string, width int, sequences []sequence) error {
	rows := make([][]float32, len(sequences))
	for i, s := range sequences {
		rows[i] = append(append(make([]float32, 0, width), s.LogProbs...), make([]float32, width-len(s.LogProbs))...)
	}
	return writeRows(path, []int{len(rows), width}, rows)
}

func writeCumLogProbs(path string, sequences []sequence) error {
	row := make([]float32, len(sequences))
	for i, s := range sequences {
		row[i] = s.CumLogProb
	}
	return writeRows(path, []int{len(row)}, [][]float32{row})
}

// writeLogits writes X_context.npy [prompts·longest prompt, vocabulary] and
// X_generation.npy [prompts, 1, max_output_len, vocabulary], zero where there is no token.
func writeLogits(c *cli.Context, engine *trtllm.Engine, path string, prompts []*prompt, sequences []sequence) error {
	base := strings.TrimSuffix(path, ".npy")
	vocabulary := engine.Config().VocabSize
	wanted, err := logitsOf(c)
	if err != nil {
		return err
	}
	if wanted.context {
		var rows [][]float32
		longest := longestPrompt(prompts)
		for _, s := range sequences {
			rows = append(rows, padRows(s.contextLogits, longest, vocabulary)...)
		}
		if err := writeRows(base+"_context.npy", []int{len(rows), vocabulary}, rows); err != nil {
			return err
		}
	}
	if !wanted.generation {
		return nil
	}
	steps := c.Int("max-output-len")
	var rows [][]float32
	for _, s := range sequences {
		rows = append(rows, padRows(s.Logits, steps, vocabulary)...)
	}
	return writeRows(base+"_generation.npy", []int{len(sequences), 1, steps, vocabulary}, rows)
}

func padRows(rows [][]float32, n, width int) [][]float32 {
	padded := append(make([][]float32, 0, n), rows...)
	zero := make([]float32, width)
	for len(padded) < n {
		padded = append(padded, zero)
	}
	return padded
}

func writeRows[T npy.Element](path string, shape []int, rows [][]T) error {
	return writeFile(path, func(w io.Writer) error {
		array, err := npy.NewWriter[T](w, shape...)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := array.Write(row); err != nil {
				return err
			}
		}
		return array.Close()
	})
}

// writeFile writes a file that appears only when it is complete. Its directory is
// made if needed, as upstream does.
func writeFile(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := outputfile.Create(path)
	if err != nil {
		return err
	}
	defer file.Discard()
	if err := write(file); err != nil {
		return err
	}
	return file.Commit()
}
