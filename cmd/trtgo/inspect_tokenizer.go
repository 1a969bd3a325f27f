package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/tokenizer"
)

// tokenizerSummary is a tokenizer as inspect prints it: what it is, or why it cannot be used.
type tokenizerSummary struct {
	*tokenizer.Summary
	Problem string `json:"problem,omitempty"`
}

// lookAtTokenizer opens the tokenizer of a directory, or the one inside of a source. It is nil
// where there is none, where the source cannot be opened, which is a problem already told, and of
// a compressed archive, which would be inflated once more for it.
func lookAtTokenizer(c *cli.Context, path string, d *export.Description) *tokenizerSummary {
	t, err := openTokenizerOf(c, path, d)
	switch {
	case errors.Is(err, tokenizer.ErrNoTokenizer) || errors.Is(err, errNotOpened):
		return nil
	case err != nil:
		return &tokenizerSummary{Problem: err.Error()}
	}
	s := t.Summary()
	return &tokenizerSummary{Summary: &s}
}

func openTokenizerOf(c *cli.Context, path string, d *export.Description) (*tokenizer.Tokenizer, error) {
	switch {
	case engineconfig.IsEngine(path) || d.Format == export.FormatHF || d.Format == export.FormatCheckpoint:
		return tokenizer.Open(path) // its files lie in its own directory
	case d.Format == export.FormatNemo || d.Format == export.FormatQnemo:
		if packed, err := filetree.IsGzip(path); err == nil && packed {
			return nil, errNotOpened
		}
	}
	return openInside(c, path)
}

var errNotOpened = errors.New("the source cannot be opened")

// openInside opens the tokenizer that export would write for a source.
func openInside(c *cli.Context, path string) (*tokenizer.Tokenizer, error) {
	options, inflated := sourceOptions(c, path, os.TempDir(), newLogger(c))
	defer inflated()
	m, err := export.Open(c.Context, path, options)
	if err != nil {
		return nil, errNotOpened
	}
	defer m.Close()
	files, err := m.Files()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "trtgo-tokenizer-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, f := range files {
		if err := writeSourceFile(dir, f); err != nil {
			return nil, err
		}
	}
	t, err := tokenizer.Open(dir)
	if err != nil {
		// The directory is gone when somebody reads its name.
		return nil, &renamed{err, strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")}
	}
	return t, nil
}

// renamed is an error with another text.
type renamed struct {
	error
	text string
}

func (r *renamed) Error() string { return r.text }
func (r *renamed) Unwrap() error { return r.error }

func writeSourceFile(dir string, f source.File) error {
	to := filepath.Join(dir, f.Name)
	if f.Path == "" {
		return os.WriteFile(to, f.Data, 0o600)
	}
	from, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer from.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Close())
}

func printTokenizer(w io.Writer, t *tokenizerSummary) {
	if t == nil {
		return
	}
	if t.Summary == nil {
		fmt.Fprintf(w, "tokenizer\t%s\n", t.Problem)
		return
	}
	fmt.Fprintf(w, "tokenizer\t%s, %d tokens, %d special (%d parsed in text)\n", t.Kind, t.VocabSize, t.SpecialTokens, t.ParsedInText)
	around := "nothing"
	if len(t.Before)+len(t.After) > 0 {
		around = strings.Join(append(append(t.Before[:len(t.Before):len(t.Before)], "…"), t.After...), " ")
	}
	fmt.Fprintf(w, "around a text\t%s; ended by ids %v; chat template: %s\n", around, t.EndIDs, map[bool]string{true: "yes", false: "none"}[t.ChatTemplate])
}
