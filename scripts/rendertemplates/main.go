// Command rendertemplates renders conversations for verify_templates.py: each line of stdin is
//
//	{"dir":…,"now":"2026-07-04T09:05:03","messages":[…],…}
//
// with the directory of a tokenizer and what ChatOptions has; each is answered by {"text":…} or {"error":…}. Unlike
// trtgo tokenize it goes on after a conversation that a template refuses.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/trtgo/trtgo/tokenizer"
)

type request struct {
	Dir                 string          `json:"dir"`
	Now                 string          `json:"now"`
	Messages            json.RawMessage `json:"messages"`
	Tools               json.RawMessage `json:"tools"`
	Documents           json.RawMessage `json:"documents"`
	Variables           json.RawMessage `json:"chat_template_kwargs"`
	AddGenerationPrompt bool            `json:"add_generation_prompt"`
	ContinueFinal       string          `json:"continue_final_message"`
}

func main() {
	if err := answerAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answerAll() error {
	opened := map[string]*tokenizer.Tokenizer{}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.More() {
		var r request
		if err := in.Decode(&r); err != nil {
			return err
		}
		t := opened[r.Dir]
		if t == nil {
			var err error
			if t, err = tokenizer.Open(r.Dir); err != nil {
				return err
			}
			opened[r.Dir] = t
		}
		now, err := time.Parse("2006-01-02T15:04:05", r.Now)
		if err != nil {
			return err
		}
		answer := map[string]string{}
		text, err := t.RenderChat(r.Messages, tokenizer.ChatOptions{
			AddGenerationPrompt: r.AddGenerationPrompt, Tools: r.Tools, Documents: r.Documents, Now: now,
			ContinueFinalMessage: r.ContinueFinal, Variables: r.Variables,
		})
		answer["text"] = text
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}
