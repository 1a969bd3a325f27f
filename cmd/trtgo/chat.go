package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// defaultAnswer is how many tokens an answer may have when nothing else is said.
const defaultAnswer = 512

func chatCommand() *cli.Command {
	own := []cli.Flag{
		&cli.StringFlag{Name: "system", Usage: "system message: what the model is told before everything else"},
		&cli.IntFlag{Name: "max-output-len", DefaultText: fmt.Sprintf("%d, at most half of what the engine takes", defaultAnswer), Usage: "tokens of an answer"},
		&cli.BoolFlag{Name: "trim-stop-words", Usage: "leave the stop word that ends a sequence out of its text"},
		&cli.BoolFlag{Name: "json", Usage: "one JSON object for each turn, when its answer is there"},
	}
	flags := append(own, engineFlags()...)
	flags = append(flags, samplingFlags()...)
	return &cli.Command{
		Name:  "chat",
		Usage: "talk to a model",
		Description: "Each line of stdin is a message; several lines are one when each but the last ends with a backslash, or when they\n" +
			"stand between two \"\"\". Answers come on stdout. The model sees all that was said before; when that is too long for the\n" +
			"engine, the oldest turns are forgotten, which is told. /clear forgets everything but the system message, /help lists\n" +
			"the commands, /exit, /quit or Ctrl-D leave.\n\n" +
			"On a terminal Ctrl-C stops an answer, which stays in the conversation as far as it came; twice at the prompt, it leaves\n" +
			"with status 130. When stdin is no terminal, a message that fails does not stop the others, and the exit status is 1.\n\n" +
			"Answers are greedy unless --top_k is given, as in run. The model needs a chat template; with --chat_template off a\n" +
			"model without one continues the text of all messages and answers, one below the other.\n\n" +
			nativeDescription,
		Flags:  append(flags, cliFlags(sharedUpstreamFlags)...),
		Action: func(c *cli.Context) error { return talk(c, terminalOf(c)) },
	}
}

// terminal is whether and how a person sits before a chat.
type terminal struct {
	interactive bool
	prompter    io.Writer // where "> " goes; may be nil
	interrupts  func(context.Context) <-chan struct{}
}

func terminalOf(c *cli.Context) terminal {
	if !isTerminal(c.App.Reader) {
		return terminal{}
	}
	t := terminal{interactive: true, interrupts: takeInterrupts}
	if isTerminal(c.App.ErrWriter) {
		t.prompter = c.App.ErrWriter
	}
	return t
}

// talk runs the chat command.
func talk(c *cli.Context, t terminal) error {
	log := newLogger(c)
	if err := firstError(noOperands(c), checkUpstreamFlags(c, sharedUpstreamFlags, log), checkChatFlags(c)); err != nil {
		return err
	}
	return withEngine(c, log, func(engine *trtllm.Engine) error {
		talk, err := newConversation(c, engine)
		if err != nil {
			return err
		}
		request, err := chatRequest(c, log)
		if err != nil {
			return err
		}
		done := make(chan struct{})
		defer close(done)
		s := &chatSession{c: c, engine: engine, request: request, conversation: talk, log: log, interactive: t.interactive, input: newChatInput(c.App.Reader, done)}
		if t.interactive {
			s.input.prompter, s.input.interrupts = t.prompter, t.interrupts(c.Context)
			log.Info("/help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves")
		}
		return s.run(c.Context)
	})
}

func checkChatFlags(c *cli.Context) error {
	for _, name := range []string{"stop-words", "bad-words"} {
		if len(listGroups(c, name)) > 1 {
			return usagef("--%s is given %d times; here one list serves all answers", name, len(listGroups(c, name)))
		}
	}
	if n := c.Int("num-return-sequences"); n > 1 {
		return usagef("--num_return_sequences is %d; a message has one answer", n)
	}
	if c.IsSet("max-output-len") {
		if err := atLeast(c, "max-output-len", 1); err != nil {
			return err
		}
	}
	return checkEngineFlags(c)
}

// chatRequest is every answer's request, without its prompt.
func chatRequest(c *cli.Context, log *slog.Logger) (trtllm.Request, error) {
	sampling, err := samplingOf(c, log)
	if err != nil {
		return trtllm.Request{}, err
	}
	sampling.NumReturnSequences = 1 // of several beams the best
	return trtllm.Request{
		Sampling: sampling, StopWords: listValues(c, "stop-words"), TrimStopWords: c.Bool("trim-stop-words"), BadWords: listValues(c, "bad-words"),
		EndIDs: endIDs(c),
	}, nil
}

// newConversation is one with nothing said yet. A template that refuses the system
// message is found out here.
func newConversation(c *cli.Context, engine *trtllm.Engine) (*conversation, error) {
	t, err := engine.Tokenizer()
	if err != nil {
		return nil, err
	}
	v := &conversation{system: c.String("system")}
	if v.room, err = roomOf(engine.Config(), c.Int("max-output-len")); err != nil {
		return nil, err
	}
	if c.String("chat-template") == "off" {
		v.encode = plainEncoder(t, !c.Bool("no-add-special-tokens"))
		return v, nil
	}
	v.encode = templateEncoder(t)
	_, err = v.encode(v.messages(nil, "Hello"))
	switch {
	case errors.Is(err, tokenizer.ErrNoChatTemplate):
		return nil, fmt.Errorf("%w: a chat needs the template of an instruction model; --chat_template off continues what is typed instead", err)
	case err != nil && v.system != "":
		return nil, fmt.Errorf("the template may have no place for --system: %w", err)
	}
	return v, err
}
