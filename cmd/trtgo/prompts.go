package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/tokenizer"
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
		ids, err := parseIDs(list)
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
		if c.IsSet("input-file") {
			return nil, fmt.Errorf("%s holds no prompt", c.String("input-file"))
		}
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

// encodePrompt gives a text its ids and cuts it to its last --max_input_length tokens.
func encodePrompt(c *cli.Context, engine *trtllm.Engine, p *prompt) error {
	limit := c.Int("max-input-length")
	if !p.hasText {
		p.ids = lastTokens(p.ids, limit)
		return nil
	}
	t, err := engine.Tokenizer()
	if err != nil {
		return fmt.Errorf("%w (--input_ids takes token ids)", err)
	}
	if c.String("chat-template") == "on" {
		text, err := chatMessage(t, p.text)
		if err != nil {
			return err
		}
		ids, err := t.Encode(text, tokenizer.EncodeOptions{})
		p.ids = lastTokens(ids, limit)
		return err
	}
	p.ids, err = encodeTail(t, p.text, !c.Bool("no-add-special-tokens"), limit)
	return err
}

// encodeTail encodes a text and cuts it from the left so that limit tokens are
// left, the special tokens around it among them and kept, as upstream's tokenizers do.
func encodeTail(t *tokenizer.Tokenizer, text string, addSpecial bool, limit int) ([]int32, error) {
	body, err := t.Encode(text, tokenizer.EncodeOptions{})
	if err != nil || !addSpecial {
		return lastTokens(body, limit), err
	}
	whole, err := t.Encode(text, tokenizer.EncodeOptions{AddSpecialTokens: true})
	if err != nil || len(whole) <= limit {
		return whole, err
	}
	extra := len(whole) - len(body)
	for before := 0; before <= extra; before++ {
		if slices.Equal(whole[before:before+len(body)], body) {
			kept := append([]int32{}, whole[:before]...)
			kept = append(kept, lastTokens(body, max(limit-extra, 0))...)
			return append(kept, whole[before+len(body):]...), nil
		}
	}
	return lastTokens(whole, limit), nil
}

func lastTokens(ids []int32, limit int) []int32 {
	return ids[max(len(ids)-limit, 0):]
}

func parseIDs(list string) ([]int32, error) {
	fields := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '[' || r == ']' })
	ids := make([]int32, 0, len(fields))
	for _, field := range fields {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil {
			return nil, usagef("--input_ids %q: %q is no token id", list, field)
		}
		ids = append(ids, int32(id))
	}
	if len(ids) == 0 {
		return nil, usagef("--input_ids %q holds no token id", list)
	}
	return ids, nil
}
