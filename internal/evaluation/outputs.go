package evaluation

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/internal/outputfile"
	"github.com/trtgo/trtgo/rouge"
)

// Outputs say where the summaries are kept. Files appear when the evaluation is complete, and replace older ones
// (see package outputfile). Of one that ends early they have ".partial" behind their names.
type Outputs struct {
	// File gets a JSON object a line for each sample: article, summary, reference, lengths and scores. Empty: none.
	File string
	// Dir gets upstream's trtllm.out: two lines of head, then "[index] [Beam b] summary". Empty: none. It is made if needed.
	Dir string
	// EngineDir and TokenizerDir are named in the head of trtllm.out.
	EngineDir, TokenizerDir string
}

// record is a line of Outputs.File.
type record struct {
	Index        int            `json:"index"`
	Row          int            `json:"row"`
	ID           string         `json:"id"`
	Article      string         `json:"article"`
	PromptTokens int            `json:"prompt_tokens"`
	OutputTokens int            `json:"output_tokens"`
	Summary      string         `json:"summary"`
	Summaries    []string       `json:"summaries,omitempty"` // of all beams, if there are several
	Reference    string         `json:"reference"`
	Scores       []rouge.Scores `json:"scores"`
	Perplexities []float64      `json:"perplexities,omitempty"`
}

// outputWriter writes the files of Outputs as samples come. They are opened before anything is generated, so that a path which
// cannot be written is known at once.
type outputWriter struct {
	records, upstream *outputfile.File // nil where not asked for
}

func (o Outputs) open() (*outputWriter, error) {
	w := &outputWriter{}
	if err := o.openInto(w); err != nil {
		w.discard()
		return nil, fmt.Errorf("keep the summaries: %w", err)
	}
	return w, nil
}

func (o Outputs) openInto(w *outputWriter) (err error) {
	if o.File != "" {
		if w.records, err = outputfile.Create(o.File); err != nil {
			return err
		}
	}
	if o.Dir == "" {
		return nil
	}
	if err = os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	if w.upstream, err = outputfile.Create(filepath.Join(o.Dir, "trtllm.out")); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.upstream, "Engine path: %s\nTokenizer path: %s\n", o.EngineDir, o.TokenizerDir)
	return err
}

func (w *outputWriter) add(s Sample) error {
	if w.records != nil {
		encoder := json.NewEncoder(w.records)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(recordOf(s)); err != nil {
			return fmt.Errorf("keep the summaries: %w", err)
		}
	}
	if w.upstream == nil {
		return nil
	}
	for beam, summary := range s.Summaries {
		if _, err := fmt.Fprintf(w.upstream, "[%d] [Beam %d] %s\n", s.Index, beam, summary); err != nil {
			return fmt.Errorf("keep the summaries: %w", err)
		}
	}
	return nil
}

func recordOf(s Sample) record {
	r := record{
		Index: s.Index, Row: s.Row, ID: s.Article.ID, Article: s.Article.Text, PromptTokens: s.PromptTokens, OutputTokens: s.OutputTokens,
		Summary: s.Summaries[0], Reference: s.Article.Highlights, Scores: s.Scores, Perplexities: s.Perplexities,
	}
	if len(s.Summaries) > 1 {
		r.Summaries = s.Summaries
	}
	return r
}

// commit gives the files their names.
func (w *outputWriter) commit() error {
	for _, f := range []*outputfile.File{w.records, w.upstream} {
		if f == nil {
			continue
		}
		if err := f.Commit(); err != nil {
			return fmt.Errorf("keep the summaries: %w", err)
		}
	}
	return nil
}

// keep gives the files of an evaluation that ended early their names with ".partial" behind, and returns those.
func (w *outputWriter) keep() ([]string, error) {
	var names []string
	for _, f := range []*outputfile.File{w.records, w.upstream} {
		if f == nil {
			continue
		}
		name, err := f.Keep()
		if err != nil {
			return names, fmt.Errorf("keep the summaries: %w", err)
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}

// discard removes what was not committed.
func (w *outputWriter) discard() {
	for _, f := range []*outputfile.File{w.records, w.upstream} {
		if f != nil {
			f.Discard()
		}
	}
}
