package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/tokenizer"
)

// clockLayout is how --now is written.
const clockLayout = "2006-01-02T15:04:05"

func tokenizeCommand() *cli.Command {
	return &cli.Command{
		Name:  "tokenize",
		Usage: "text to token ids and back, JSON lines on stdin and stdout",
		Description: "Each line of stdin is {\"text\":\"…\"} or {\"ids\":[…]} and is answered by {\"ids\":[…]} or {\"text\":\"…\"}.\n" +
			"With --apply_chat_template a line is {\"messages\":[…],\"tools\":[…],\"add_generation_prompt\":true}, answered by\n" +
			"{\"text\":\"…\",\"ids\":[…]}; it may also have \"documents\", \"chat_template\" (the name of one of several),\n" +
			"\"continue_final_message\" (true, or the name of a field) and \"chat_template_kwargs\", as transformers. A line that fails ends the command and is named.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "tokenizer-dir", Usage: "directory with tokenizer.json or tokenizer.model"},
			&cli.StringFlag{Name: "vocab-file", Usage: "tokenizer file instead of a directory"},
			&cli.BoolFlag{Name: "no-add-special-tokens", Usage: "encode without begin and end tokens"},
			&cli.BoolFlag{Name: "skip-special-tokens", Usage: "decode without special tokens"},
			&cli.BoolFlag{Name: "apply-chat-template", Usage: "lines are conversations"},
			&cli.StringFlag{Name: "now", DefaultText: "now", Usage: "the time that templates see, e.g. 2026-07-04T09:05:03"},
			jsonAlways(),
		},
		Action: tokenize,
	}
}

type tokenizeRequest struct {
	Text                *string         `json:"text"`
	IDs                 *[]int32        `json:"ids"`
	Messages            json.RawMessage `json:"messages"`
	Tools               json.RawMessage `json:"tools"`
	AddGenerationPrompt bool            `json:"add_generation_prompt"`
	Documents           json.RawMessage `json:"documents"`
	ChatTemplate        string          `json:"chat_template"`
	Variables           json.RawMessage `json:"chat_template_kwargs"`
	ContinueFinal       json.RawMessage `json:"continue_final_message"`
}

type tokenizeAnswer struct {
	Text *string  `json:"text,omitempty"`
	IDs  *[]int32 `json:"ids,omitempty"`
}

func tokenize(c *cli.Context) error {
	if err := noOperands(c); err != nil {
		return err
	}
	now, err := clockOf(c)
	if err != nil {
		return err
	}
	t, err := openTokenizer(c.String("tokenizer-dir"), c.String("vocab-file"))
	if err != nil {
		return err
	}
	for line, err := range dataset.Lines("stdin", c.App.Reader) {
		if err != nil {
			return err
		}
		answer, err := answerTokenize(c, t, line.Text, now)
		if err != nil {
			return line.Errorf("%w", err)
		}
		if err := printJSON(c, answer); err != nil {
			return err
		}
	}
	return nil
}

func answerTokenize(c *cli.Context, t *tokenizer.Tokenizer, line []byte, now time.Time) (tokenizeAnswer, error) {
	var r tokenizeRequest
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return tokenizeAnswer{}, plainJSONError(err)
	}
	if decoder.More() {
		return tokenizeAnswer{}, errors.New("more text after the object")
	}
	switch {
	case r.Messages != nil && !c.Bool("apply-chat-template"):
		return tokenizeAnswer{}, errors.New(`"messages" need --apply_chat_template`)
	case c.Bool("apply-chat-template"):
		if r.Messages == nil || r.Text != nil || r.IDs != nil {
			return tokenizeAnswer{}, errors.New(`a line needs "messages", and neither "text" nor "ids", with --apply_chat_template`)
		}
		options, err := r.chatOptions(now)
		if err != nil {
			return tokenizeAnswer{}, err
		}
		text, err := t.RenderChat(r.Messages, options)
		if err != nil {
			return tokenizeAnswer{}, err
		}
		ids, err := t.Encode(text, tokenizer.EncodeOptions{})
		return tokenizeAnswer{Text: &text, IDs: nonNil(ids)}, err
	case r.Text != nil && r.IDs == nil:
		ids, err := t.Encode(*r.Text, tokenizer.EncodeOptions{AddSpecialTokens: !c.Bool("no-add-special-tokens")})
		return tokenizeAnswer{IDs: nonNil(ids)}, err
	case r.IDs != nil && r.Text == nil:
		text, err := t.Decode(*r.IDs, tokenizer.DecodeOptions{SkipSpecialTokens: c.Bool("skip-special-tokens")})
		return tokenizeAnswer{Text: &text}, err
	default:
		return tokenizeAnswer{}, errors.New(`a line needs either "text" or "ids"`)
	}
}

// chatOptions has the arguments of transformers' apply_chat_template under their names there.
func (r tokenizeRequest) chatOptions(now time.Time) (tokenizer.ChatOptions, error) {
	o := tokenizer.ChatOptions{
		Tools: r.Tools, Documents: r.Documents, AddGenerationPrompt: r.AddGenerationPrompt, Now: now, Template: r.ChatTemplate, Variables: r.Variables,
	}
	switch string(r.ContinueFinal) {
	case "", "null", "false":
		return o, nil
	case "true":
		o.ContinueFinalMessage = "content"
		return o, nil
	}
	if err := json.Unmarshal(r.ContinueFinal, &o.ContinueFinalMessage); err != nil {
		return o, errors.New(`"continue_final_message" is true, false or the name of a field of the last message`)
	}
	return o, nil
}

func nonNil(ids []int32) *[]int32 {
	if ids == nil {
		ids = []int32{}
	}
	return &ids
}

func openTokenizer(dir, file string) (*tokenizer.Tokenizer, error) {
	switch {
	case dir != "" && file != "":
		return nil, usagef("--tokenizer_dir and --vocab_file exclude each other")
	case file != "":
		return tokenizer.OpenFile(file)
	case dir != "":
		return tokenizer.Open(dir)
	default:
		return nil, usagef("--tokenizer_dir or --vocab_file is needed")
	}
}

func clockOf(c *cli.Context) (time.Time, error) {
	if c.String("now") == "" {
		return time.Now(), nil
	}
	now, err := time.ParseInLocation(clockLayout, c.String("now"), time.Local)
	if err != nil {
		return time.Time{}, &usageError{fmt.Errorf("--now %q is not like 2026-07-04T09:05:03", c.String("now"))}
	}
	return now, nil
}
