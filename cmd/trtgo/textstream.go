package main

import (
	"fmt"
	"sync"

	"github.com/urfave/cli/v2"
)

// textStreams prints the texts of requests that run side by side, one after the
// other: the first lives on the terminal while the later ones gather.
type textStreams struct {
	c       *cli.Context
	prompts []*prompt
	streams []*textStream // nil when nothing is streamed
}

// textStream gathers one request's text. A nil *textStream takes everything and
// keeps nothing.
type textStream struct {
	mu      sync.Mutex
	changed sync.Cond
	pieces  []textPiece
	closed  bool
}

type textPiece struct {
	sequence int
	text     string
}

func newTextStreams(c *cli.Context, prompts []*prompt) *textStreams {
	s := &textStreams{c: c, prompts: prompts}
	if streamsText(c) {
		s.streams = make([]*textStream, len(prompts))
		for i := range s.streams {
			stream := &textStream{}
			stream.changed.L = &stream.mu
			s.streams[i] = stream
		}
	}
	return s
}

// streamsText tells whether text goes to stdout as it comes.
func streamsText(c *cli.Context) bool {
	return c.Bool("streaming") && !c.Bool("json") && !writesFiles(c)
}

func (s *textStreams) writer(i int) *textStream {
	if s.streams == nil {
		return nil
	}
	return s.streams[i]
}

// print writes all streams in order and returns when the last is closed.
func (s *textStreams) print() error {
	var failed error
	for i, stream := range s.streams {
		open := -1
		for piece, ok := stream.next(); ok; piece, ok = stream.next() {
			if failed != nil {
				continue // drain: the requests must not wait for a broken pipe
			}
			if open != piece.sequence {
				failed = firstError(s.end(open), s.begin(s.prompts[i], open < 0, piece.sequence))
				open = piece.sequence
			}
			if failed == nil {
				failed = printf(s.c, "%s", piece.text)
			}
		}
		if failed == nil {
			failed = s.end(open)
		}
	}
	return failed
}

func (s *textStreams) begin(p *prompt, first bool, sequence int) error {
	if first {
		if err := printInput(s.c, p); err != nil {
			return err
		}
	}
	return printf(s.c, "Output [Text %d Beam %d]: \"", p.index, sequence)
}

func (s *textStreams) end(open int) error {
	if open < 0 {
		return nil
	}
	return printf(s.c, "\"\n")
}

// next waits for a piece; ok is false at the end.
func (t *textStream) next() (piece textPiece, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.pieces) == 0 && !t.closed {
		t.changed.Wait()
	}
	if len(t.pieces) == 0 {
		return textPiece{}, false
	}
	piece, t.pieces = t.pieces[0], t.pieces[1:]
	return piece, true
}

func (t *textStream) write(sequence int, text string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pieces = append(t.pieces, textPiece{sequence, text})
	t.changed.Signal()
}

func (t *textStream) close() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.changed.Signal()
}

// printInput writes upstream's first line of a text.
func printInput(c *cli.Context, p *prompt) error {
	if !p.hasText {
		return printf(c, "Input [Text %d]: %v\n", p.index, p.ids)
	}
	return printf(c, "Input [Text %d]: \"%s\"\n", p.index, p.text)
}

// printSequence writes a sequence as upstream's run.py prints it.
func printSequence(c *cli.Context, s sequence) error {
	if s.sequence == 0 {
		if err := printInput(c, s.prompt); err != nil {
			return err
		}
	}
	if !s.hasText {
		return printf(c, "Output [Text %d Beam %d]: %s\n", s.prompt.index, s.sequence, fmt.Sprint(s.OutputIDs))
	}
	return printf(c, "Output [Text %d Beam %d]: \"%s\"\n", s.prompt.index, s.sequence, s.Text)
}
