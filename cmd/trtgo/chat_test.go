//go:build cgo && linux && (amd64 || arm64)

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/tokenizer"
)

// talking is a chat with a person, who is the test.
type talking struct {
	t          *testing.T
	keys       *io.PipeWriter
	answers    textStream
	failing    error // of stdout
	marks      marks
	interrupts chan struct{}
	log        bytes.Buffer // to be read when the chat has ended
	ended      chan error
}

// Write makes the test the chat's stdout.
func (p *talking) Write(text []byte) (int, error) {
	p.answers.write(string(text))
	return len(text), p.failing
}

// startTalking starts a chat as on a terminal.
func startTalking(t *testing.T, failing error, args ...string) *talking {
	stdin, keys := io.Pipe()
	p := &talking{t: t, keys: keys, failing: failing, marks: make(marks), interrupts: make(chan struct{}), ended: make(chan error, 1)}
	p.answers.changed.L = &p.answers.mu
	app := newApp(stdin, p, &p.log)
	findCommand(app.Commands, "chat").Action = func(c *cli.Context) error {
		return talk(c, terminal{interactive: true, prompter: p.marks, interrupts: func(context.Context) <-chan struct{} { return p.interrupts }})
	}
	argv, err := normalizeArgs(app, append([]string{"trtgo", "chat"}, args...))
	require.NoError(t, err)
	go func() { p.ended <- app.RunContext(t.Context(), argv) }()
	t.Cleanup(func() { keys.Close() })
	return p
}

// mark waits for what the chat tells a person.
func (p *talking) mark(want string) { require.Equal(p.t, want, <-p.marks) }

func (p *talking) say(line string) {
	_, err := io.WriteString(p.keys, line+"\n")
	require.NoError(p.t, err)
}

// answer waits for the mark after an answer, and gives the answer.
func (p *talking) answer() string {
	p.mark("> ")
	p.answers.mu.Lock()
	defer p.answers.mu.Unlock()
	text := p.answers.text.String()
	p.answers.text.Reset()
	return strings.TrimSuffix(text, "\n")
}

// stopped interrupts an answer that has begun, and gives what there was of it.
func (p *talking) stopped() string {
	begin, _ := p.answers.next()
	p.interrupts <- struct{}{}
	return begin + p.answer()
}

// end is Ctrl-D.
func (p *talking) end() error {
	p.keys.Close()
	p.mark("\n")
	return <-p.ended
}

func TestChatOfAPerson(t *testing.T) {
	engine, tok := longEngine(t)
	t.Run("stopped answers", func(t *testing.T) { stopAnswers(t, engine, tok) })
	t.Run("interrupted prompt", func(t *testing.T) { interruptPrompt(t, engine) })
	t.Run("failures", func(t *testing.T) { failTurns(t, engine) })
	t.Run("no reader", func(t *testing.T) { breakStdout(t, engine) })
}

// Ctrl-C stops an answer and not the program: what there was of it stays in the
// conversation, and is what the model sees next.
func stopAnswers(t *testing.T, engine string, tok *tokenizer.Tokenizer) {
	p := startTalking(t, nil, "--engine_dir", engine, "--max_output_len", "50000", "--end_id", "-1", "--log_level", "debug")
	p.mark("> ")
	p.say("a")
	first := p.stopped()
	p.say("b")
	p.stopped()
	require.NoError(t, p.end())

	var lengths []int
	for _, messages := range [][]tokenizer.Message{
		{{Role: "user", Content: "a"}},
		{{Role: "user", Content: "a"}, {Role: "assistant", Content: first}, {Role: "user", Content: "b"}},
	} {
		ids, err := templateEncoder(tok)(messages)
		require.NoError(t, err)
		lengths = append(lengths, len(ids))
	}
	require.Greater(t, lengths[1], 2*lengths[0])
	require.Regexp(t, fmt.Sprintf(`\(stopped\)\ndebug: %d tokens of conversation(.|\n)*\(stopped\)\ndebug: %d tokens of conversation`, lengths[0], lengths[1]), p.log.String())
}

// At the prompt the first Ctrl-C tells how to leave, the second leaves.
func interruptPrompt(t *testing.T, engine string) {
	const hint = "\n(Ctrl-C again, Ctrl-D or /exit leaves)\n"
	p := startTalking(t, nil, "--engine_dir", engine, "--max_output_len", "3")
	p.mark("> ")
	p.interrupts <- struct{}{}
	p.mark(hint)
	p.mark("> ")
	p.say("a")
	require.NotEmpty(t, p.answer())
	p.interrupts <- struct{}{}
	p.mark(hint)
	p.mark("> ")
	p.interrupts <- struct{}{}
	require.ErrorIs(t, <-p.ended, errInterrupted)
}

// A person has seen what failed; only a script's status tells.
func failTurns(t *testing.T, engine string) {
	p := startTalking(t, nil, "--engine_dir", engine, "--max_output_len", "3")
	p.mark("> ")
	p.say("/nonsense")
	p.mark("> ")
	p.say(strings.Repeat("1 ", 60_000))
	require.Empty(t, p.answer())
	p.say("/exit")
	require.NoError(t, <-p.ended)
	require.Regexp(t, `error: unknown command /nonsense; .*\nerror: the message takes [0-9]+ tokens`, p.log.String())
}

// A chat whose answers nobody can read ends.
func breakStdout(t *testing.T, engine string) {
	broken := errors.New("broken pipe")
	p := startTalking(t, broken, "--engine_dir", engine, "--max_output_len", "3")
	p.mark("> ")
	p.say("a")
	require.ErrorIs(t, <-p.ended, broken)
}
