package main

import (
	"fmt"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// textStreams prints the texts of sequences that are generated side by side, one
// after the other: the first lives on the terminal while the later ones gather.
type textStreams struct {
	c       *cli.Context
	engine  *trtllm.Engine
	prompts []*prompt
	streams [][]*textStream // of each prompt, one for each sequence
}

// textStream gathers one sequence's text.
type textStream struct {
	mu      sync.Mutex
	changed sync.Cond
	text    strings.Builder
	state   streamState
}

type streamState int

const (
	streamOpen streamState = iota
	streamDone
	streamFailed // nothing is printed of it but what was printed already
)

// newTextStreams is nil when no text is printed as it comes.
func newTextStreams(c *cli.Context, engine *trtllm.Engine, prompts []*prompt) *textStreams {
	if !streamsText(c, engine) {
		return nil
	}
	s := &textStreams{c: c, engine: engine, prompts: prompts, streams: make([][]*textStream, len(prompts))}
	for i := range s.streams {
		for range sequencesOf(c) {
			stream := &textStream{}
			stream.changed.L = &stream.mu
			s.streams[i] = append(s.streams[i], stream)
		}
	}
	return s
}

// streamsText tells whether text goes to stdout as it comes.
func streamsText(c *cli.Context, engine *trtllm.Engine) bool {
	_, noText := engine.Tokenizer()
	return c.Bool("streaming") && noText == nil && !c.Bool("json") && !writesFiles(c)
}

// of returns the streams of a prompt's sequences, nil when none are printed.
func (s *textStreams) of(prompt int) []*textStream {
	if s == nil {
		return nil
	}
	return s.streams[prompt]
}

// print writes all streams in order and returns when the last is closed.
func (s *textStreams) print() error {
	if s == nil {
		return nil
	}
	for i, streams := range s.streams {
		for n, stream := range streams {
			if err := s.printOne(s.prompts[i], n, stream); err != nil {
				return err // of stdout; the streams gather without being read
			}
		}
	}
	return nil
}

func (s *textStreams) printOne(p *prompt, n int, stream *textStream) error {
	begun := false
	for {
		text, state := stream.next()
		if !begun && (text != "" || state == streamDone) {
			begun = true
			if err := printHead(s.c, s.engine, p, n); err != nil {
				return err
			}
			text = "\"" + text
		}
		if state != streamOpen && begun {
			text += "\"\n"
		}
		if err := printf(s.c, "%s", text); err != nil || state != streamOpen {
			return err
		}
	}
}

// next waits for text or the stream's end, and takes what there is.
func (t *textStream) next() (string, streamState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.text.Len() == 0 && t.state == streamOpen {
		t.changed.Wait()
	}
	text := t.text.String()
	t.text.Reset()
	return text, t.state
}

func (t *textStream) write(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.WriteString(text)
	t.changed.Signal()
}

func (t *textStream) close(state streamState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = state
	t.changed.Signal()
}

// printHead writes what stands before a sequence's text: upstream's first line,
// once for each prompt, and the name of the sequence.
func printHead(c *cli.Context, engine *trtllm.Engine, p *prompt, sequence int) error {
	if sequence == 0 {
		if err := printf(c, "Input [Text %d]: %s\n", p.index, inputText(engine, p)); err != nil {
			return err
		}
	}
	return printf(c, "Output [Text %d Beam %d]: ", p.index, sequence)
}

// inputText is the prompt as the model got it, special tokens included; its ids
// where there is no tokenizer or no such token.
func inputText(engine *trtllm.Engine, p *prompt) string {
	if t, err := engine.Tokenizer(); err == nil {
		if text, err := t.Decode(p.ids, tokenizer.DecodeOptions{}); err == nil {
			return "\"" + text + "\""
		}
	}
	return fmt.Sprint(p.ids)
}

// printSequence writes a sequence as upstream's run.py prints it.
func printSequence(c *cli.Context, engine *trtllm.Engine, s sequence) error {
	if err := printHead(c, engine, s.prompt, s.sequence); err != nil {
		return err
	}
	if !s.hasText {
		return printf(c, "%v\n", s.OutputIDs)
	}
	return printf(c, "\"%s\"\n", s.Text)
}
