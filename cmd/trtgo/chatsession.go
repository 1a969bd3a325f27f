package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/trtllm"
)

// chatSession is a running chat.
type chatSession struct {
	c            *cli.Context
	engine       *trtllm.Engine
	request      trtllm.Request // without its prompt
	conversation *conversation
	input        *chatInput
	log          *slog.Logger
	interactive  bool
	messages     int   // so far
	failed       bool  // whether a message has no answer
	broken       error // of stdout
}

// jsonTurn is a line of chat --json.
type jsonTurn struct {
	Index          int     `json:"index"`
	InputIDs       []int32 `json:"input_ids"`
	OutputIDs      []int32 `json:"output_ids"`
	Text           string  `json:"text"`
	FinishReason   string  `json:"finish_reason"`
	ReusedTokens   int     `json:"reused_tokens"`
	ForgottenTurns int     `json:"forgotten_turns"`
}

// jsonTurnFailure is the line of a message that has no answer.
type jsonTurnFailure struct {
	Index int    `json:"index"`
	Error string `json:"error"`
}

const chatHelp = `/clear  forget what was said, but for the system message
/help   this list
/exit   leave; also /quit and Ctrl-D
A message of several lines: each but the last ends with a backslash, or all stand between two """.
Ctrl-C stops an answer; twice at the prompt, it leaves.
`

// run takes what is said until the end.
func (s *chatSession) run(ctx context.Context) error {
	for {
		said, err := s.input.next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return s.end()
		case errors.Is(err, errFirstInterrupt):
			s.tell("\n(Ctrl-C again, Ctrl-D or /exit leaves)\n")
		case err != nil:
			return err
		case said.command:
			if leave, err := s.command(said.text); leave || err != nil {
				return firstError(err, s.failure())
			}
		case said.text != "":
			if err := s.turn(ctx, said.text); err != nil {
				return err
			}
		}
	}
}

// end is after Ctrl-D, or a script's last line.
func (s *chatSession) end() error {
	s.tell("\n") // the shell's prompt begins a line
	return s.failure()
}

// failure is the exit status of a script; a person has seen what failed.
func (s *chatSession) failure() error {
	if s.failed && !s.interactive {
		return errReported
	}
	return nil
}

// tell writes to a person at the prompt.
func (s *chatSession) tell(text string) {
	if s.input.prompter != nil {
		_, _ = io.WriteString(s.input.prompter, text) // what cannot be read is missed by nobody
	}
}

func (s *chatSession) command(name string) (leave bool, err error) {
	switch name {
	case "/exit", "/quit":
		return true, nil
	case "/clear":
		s.conversation.turns = nil
		s.log.Info("all turns are forgotten")
	case "/help":
		_, err = io.WriteString(s.c.App.ErrWriter, chatHelp)
	default:
		s.failed = true
		s.log.Error(fmt.Sprintf("unknown command %s; /help lists the commands", name))
	}
	return false, err
}

// turn answers a message. The error ends the chat; what concerns the message alone is
// printed, and the message forgotten.
func (s *chatSession) turn(ctx context.Context, message string) error {
	index := s.messages
	s.messages++
	ids, length, forgotten, err := s.conversation.prompt(message)
	if err != nil {
		return s.failTurn(index, err)
	}
	if forgotten > 0 {
		s.log.Warn(fmt.Sprintf("the conversation is longer than the engine takes (%d tokens): the oldest %s forgotten", s.conversation.room.all, turns(forgotten)))
	}
	request := s.request
	request.InputIDs, request.MaxTokens = ids, length
	began := time.Now()
	answer, err := s.answer(ctx, request)
	switch {
	case ctx.Err() != nil || s.broken != nil:
		return firstError(ctx.Err(), s.broken)
	case err != nil:
		return s.failTurn(index, err)
	case answer.FinishReason == trtllm.FinishCancelled && len(answer.OutputIDs) == 0:
		s.log.Info("(stopped before the answer began; the message is forgotten)")
		return nil
	}
	s.conversation.add(turn{message, answer.Text}, forgotten)
	s.report(answer, len(ids), time.Since(began))
	if !s.c.Bool("json") {
		return nil
	}
	return printJSON(s.c, jsonTurn{
		Index: index, InputIDs: ids, OutputIDs: *nonNil(answer.OutputIDs), Text: answer.Text, FinishReason: answer.FinishReason.String(),
		ReusedTokens: answer.Cache.ReusedTokens, ForgottenTurns: forgotten,
	})
}

func turns(n int) string {
	if n == 1 {
		return "turn is"
	}
	return fmt.Sprintf("%d turns are", n)
}

func (s *chatSession) failTurn(index int, err error) error {
	s.failed = true
	if s.c.Bool("json") {
		return printJSON(s.c, jsonTurnFailure{index, err.Error()})
	}
	s.log.Error(err.Error())
	return nil
}

// answer generates an answer and prints it as it comes. A Ctrl-C stops it: then it is
// what there was.
func (s *chatSession) answer(ctx context.Context, r trtllm.Request) (trtllm.Sequence, error) {
	ctx, stop := context.WithCancel(ctx)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		select {
		case <-s.input.interrupts:
			stop()
		case <-ctx.Done():
		}
	}()
	defer func() { // a later Ctrl-C is not for this answer
		stop()
		<-listening
	}()
	var answer trtllm.Sequence
	var failure error
	for chunk, err := range s.engine.Stream(ctx, r) {
		if err != nil {
			failure = err
			break
		}
		answer.Text += chunk.Text
		answer.OutputIDs = append(answer.OutputIDs, chunk.OutputIDs...)
		answer.FinishReason, answer.Timing, answer.Cache = chunk.FinishReason, chunk.Timing, chunk.Cache
		s.print(chunk.Text)
		if s.broken != nil {
			break
		}
	}
	if answer.Text != "" || failure == nil {
		s.print("\n")
	}
	if failure != nil && ctx.Err() != nil {
		answer.FinishReason, failure = trtllm.FinishCancelled, nil
	}
	return answer, failure
}

// print writes an answer's text, unless it comes as JSON.
func (s *chatSession) print(text string) {
	if !s.c.Bool("json") && s.broken == nil {
		s.broken = printf(s.c, "%s", text)
	}
}

// report tells what an answer's end does not show, and in the debug log its speed.
func (s *chatSession) report(answer trtllm.Sequence, prompt int, took time.Duration) {
	switch answer.FinishReason {
	case trtllm.FinishLength:
		if s.c.Bool("json") {
			break // it says so
		}
		s.log.Warn(fmt.Sprintf("the answer ends at its limit of %d tokens (--max_output_len)", len(answer.OutputIDs)))
	case trtllm.FinishCancelled:
		s.log.Info("(stopped)")
	}
	s.log.Debug(fmt.Sprintf("%d tokens of conversation, of which %d were computed before; first token after %v, %d tokens in %v", prompt,
		answer.Cache.ReusedTokens, answer.Timing.FirstToken.Round(100*time.Microsecond), len(answer.OutputIDs), took.Round(100*time.Microsecond)))
}
