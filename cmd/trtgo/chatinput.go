package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxInputLine bounds a line of a chat, in bytes.
const maxInputLine = 16 << 20

// block begins and ends a message of several lines.
const block = `"""`

// chatInput reads what is said to a chat: a message is a line, or several lines that
// each but the last end with a backslash, or all between two """.
type chatInput struct {
	lines      <-chan string
	failure    error // of reading; set before lines is closed
	interrupts <-chan struct{}
	prompter   io.Writer // where "> " goes; nil when nobody waits for it
	warned     bool      // whether the last thing was a Ctrl-C
}

// newChatInput begins to read r, until done is closed: then at the next line, since
// a read cannot be interrupted.
func newChatInput(r io.Reader, done <-chan struct{}) *chatInput {
	lines := make(chan string)
	input := &chatInput{lines: lines}
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(r)
		scanner.Buffer(nil, maxInputLine)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-done:
				return
			}
		}
		if input.failure = scanner.Err(); errors.Is(input.failure, bufio.ErrTooLong) {
			input.failure = fmt.Errorf("stdin: a line of more than %d bytes", maxInputLine)
		}
	}()
	return input
}

// said is a message, or a command like /clear, which has no more than its own line.
type said struct {
	text    string
	command bool
}

var (
	errFirstInterrupt = errors.New("first Ctrl-C")
	errOpenBlock      = errors.New(`stdin ends inside a message that """ began; it was not sent`)
)

// next waits for what is said. The error is io.EOF at the end, errFirstInterrupt for
// a Ctrl-C, errInterrupted for a second one with nothing between, or ctx's.
func (in *chatInput) next(ctx context.Context) (said, error) {
	line, err := in.line(ctx, "> ")
	if err != nil {
		return said{}, err
	}
	if text, ok := strings.CutPrefix(strings.TrimLeft(line, " \t"), block); ok {
		text, err = in.block(ctx, text)
		return said{text: text}, err
	}
	if isChatCommand(line) {
		return said{text: strings.TrimSpace(line), command: true}, nil
	}
	var text strings.Builder
	for strings.HasSuffix(line, `\`) {
		text.WriteString(strings.TrimSuffix(line, `\`) + "\n")
		line, err = in.line(ctx, ". ")
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return said{}, err
		}
	}
	text.WriteString(line)
	return said{text: strings.TrimSpace(text.String())}, nil
}

// block reads on to the """ that ends a message.
func (in *chatInput) block(ctx context.Context, line string) (string, error) {
	var lines []string
	for {
		last, closed := strings.CutSuffix(strings.TrimRight(line, " \t"), block)
		if closed {
			lines = append(lines, last)
			return strings.Trim(strings.Join(lines, "\n"), "\n"), nil
		}
		lines = append(lines, line)
		var err error
		if line, err = in.line(ctx, ". "); errors.Is(err, io.EOF) {
			return "", errOpenBlock
		} else if err != nil {
			return "", err
		}
	}
}

// line waits for a line. What was typed of it before a Ctrl-C, the terminal drops.
func (in *chatInput) line(ctx context.Context, mark string) (string, error) {
	if in.prompter != nil {
		if _, err := io.WriteString(in.prompter, mark); err != nil {
			return "", err
		}
	}
	select {
	case line, open := <-in.lines:
		in.warned = false
		if !open {
			return "", firstError(in.failure, io.EOF)
		}
		return line, nil
	case <-in.interrupts:
		if in.warned {
			return "", errInterrupted
		}
		in.warned = true
		return "", errFirstInterrupt
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// isChatCommand tells whether a line is a slash and a word, and no path or text.
func isChatCommand(line string) bool {
	word, ok := strings.CutPrefix(strings.TrimSpace(line), "/")
	return ok && word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == ""
}
