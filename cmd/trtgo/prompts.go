package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/trtllm"
)

// prompt is one request's input. text is empty when ids were given.
type prompt struct {
	index   int
	text    string
	hasText bool
	ids     []int32
}

// readPrompts gathers the prompts: --input_ids, then --input_file, then
// --input_text, upstream's default text when there is none of them.
func readPrompts(c *cli.Context, engine *trtllm.Engine) ([]*prompt, error) {
	var prompts []*prompt
	for _, list := range listValues(c, "input-ids") {
		ids, err := parseIDs("input-ids", list)
		if err != nil {
			return nil, err
		}
		prompts = append(prompts, &prompt{ids: ids})
	}
	if path := c.String("input-file"); path != "" {
		file, err := dataset.ReadPrompts(path, padID(c, engine))
		if err != nil {
			return nil, err
		}
		for _, p := range file {
			prompts = append(prompts, &prompt{text: p.Text, hasText: p.IDs == nil, ids: p.IDs})
		}
	}
	for _, text := range listValues(c, "input-text") {
		prompts = append(prompts, &prompt{text: text, hasText: true})
	}
	if len(prompts) == 0 {
		prompts = append(prompts, &prompt{text: defaultPrompt, hasText: true})
	}
	for i, p := range prompts {
		p.index = i
		if err := encodePrompt(c, engine, p); err != nil {
			return nil, fmt.Errorf("text %d: %w", i, err)
		}
	}
	return prompts, nil
}

// encodePrompt gives a text its ids, cut to --max_input_length from the left; with
// --chat_template on it becomes a user's message, and only the text's own tokens
// are cut.
func encodePrompt(c *cli.Context, engine *trtllm.Engine, p *prompt) error {
	limit := c.Int("max-input-length")
	if !p.hasText {
		p.ids = p.ids[max(len(p.ids)-limit, 0):]
		return nil
	}
	t, err := engine.Tokenizer()
	if err != nil {
		return fmt.Errorf("%w (--input_ids takes token ids)", err)
	}
	prompter := evaluation.Prompter{Tokenizer: t, MaxInputLength: limit, AddSpecialTokens: !c.Bool("no-add-special-tokens")}
	if c.String("chat-template") == "on" {
		p.ids, err = prompter.Message("", p.text)
		return err
	}
	p.ids, err = prompter.Text(p.text)
	return err
}

func parseIDs(flag, list string) ([]int32, error) {
	fields := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '[' || r == ']' })
	ids := make([]int32, 0, len(fields))
	for _, field := range fields {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil {
			return nil, usagef("--%s %q: %q is no token id", flag, list, field)
		}
		ids = append(ids, int32(id))
	}
	if len(ids) == 0 {
		return nil, usagef("--%s %q holds no token id", flag, list)
	}
	return ids, nil
}
