package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChatInput(t *testing.T) {
	tests := []struct {
		name  string
		stdin string
		want  []said
		end   error
	}{
		{"nothing", "", nil, io.EOF},
		{"lines", "one\n two \n\nthree", []said{{text: "one"}, {text: "two"}, {}, {text: "three"}}, io.EOF},
		{"carriage returns", "one\r\ntwo\r\n", []said{{text: "one"}, {text: "two"}}, io.EOF},
		{"backslashes", "one\\\ntwo\\\nthree\nfour\n", []said{{text: "one\ntwo\nthree"}, {text: "four"}}, io.EOF},
		{"a backslash at the end", "one\\\n", []said{{text: "one"}}, io.EOF},
		{"a backslash before an empty line", "one\\\n\ntwo\n", []said{{text: "one"}, {text: "two"}}, io.EOF},
		{"a block", "\"\"\"\none\\\n\n /exit\n\"\"\"\ntwo\n", []said{{text: "one\\\n\n /exit"}, {text: "two"}}, io.EOF},
		{"a block that begins and ends beside text", `"""one` + "\n" + `  two"""` + "\n", []said{{text: "one\n  two"}}, io.EOF},
		{"a block on a line", `"""one"""` + "\n" + `two"""` + "\n", []said{{text: "one"}, {text: `two"""`}}, io.EOF},
		{"an empty block", `""""""` + "\n", []said{{}}, io.EOF},
		{"an open block", "\"\"\"\none\n", nil, errOpenBlock},
		{"commands", "/exit\n /clear \n/nonsense\n", []said{{"/exit", true}, {"/clear", true}, {"/nonsense", true}}, io.EOF},
		{"no commands", "/etc/passwd\n/ x\n/\nhow /exit\n/exit now\n", []said{{text: "/etc/passwd"}, {text: "/ x"}, {text: "/"}, {text: "how /exit"}, {text: "/exit now"}}, io.EOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			done := make(chan struct{})
			defer close(done)
			in := newChatInput(strings.NewReader(tt.stdin), done)
			for _, want := range tt.want {
				got, err := in.next(t.Context())
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			_, err := in.next(t.Context())
			require.ErrorIs(t, err, tt.end)
		})
	}
}

func TestChatInputFails(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	_, err := newChatInput(strings.NewReader(strings.Repeat("x", maxInputLine+1)), done).next(t.Context())
	require.EqualError(t, err, "stdin: a line of more than 16777216 bytes")

	broken := errors.New("broken")
	_, err = newChatInput(io.MultiReader(strings.NewReader("x"), errorReader{broken}), done).next(t.Context())
	require.NoError(t, err, "what came before is a message")
	_, err = newChatInput(errorReader{broken}, done).next(t.Context())
	require.ErrorIs(t, err, broken)
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// marks hands over what is written, which is a chat's marks when it waits for a line.
type marks chan string

func (m marks) Write(p []byte) (int, error) {
	m <- string(p)
	return len(p), nil
}

// A Ctrl-C drops the message that was begun; a second one with nothing between ends.
func TestChatInputInterrupted(t *testing.T) {
	stdin, keys := io.Pipe()
	defer keys.Close()
	interrupts, shown, done := make(chan struct{}), make(marks), make(chan struct{})
	defer close(done)
	in := newChatInput(stdin, done)
	in.interrupts, in.prompter = interrupts, shown

	type event struct{ mark, typed string } // "" is a Ctrl-C
	person := func(events ...event) {
		for _, e := range events {
			if mark := <-shown; mark != e.mark {
				t.Errorf("mark %q, want %q", mark, e.mark)
			}
			if e.typed == "" {
				interrupts <- struct{}{}
			} else if _, err := io.WriteString(keys, e.typed); err != nil {
				t.Error(err)
			}
		}
	}
	go person(event{"> ", ""}, event{"> ", `"""` + "\n"}, event{". ", "one\n"}, event{". ", ""}, event{"> ", "two\n"}, event{"> ", "three\\\n"}, event{". ", ""}, event{"> ", ""})
	for _, want := range []error{errFirstInterrupt, errFirstInterrupt, nil, errFirstInterrupt, errInterrupted} {
		got, err := in.next(t.Context())
		require.ErrorIs(t, err, want)
		if want == nil {
			require.Equal(t, said{text: "two"}, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in.prompter = nil
	_, err := in.next(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
