package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ardanlabs/jinja"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string // "system", "user", "assistant", "tool"
	Content string

	// Name, ToolCallID and ToolCalls are left out when empty. ToolCalls is a JSON array; the order
	// of its keys is kept, since templates print it.
	Name       string
	ToolCallID string
	ToolCalls  json.RawMessage
}

// ChatOptions says how a conversation is rendered.
type ChatOptions struct {
	// AddGenerationPrompt ends the text with the beginning of the assistant's turn.
	AddGenerationPrompt bool
	// Tools is a JSON array of tool descriptions, in the order of keys that the model shall see.
	Tools json.RawMessage
	// Now is what strftime_now prints; the zero time means the present.
	Now time.Time
	// Template names one of a model's several templates. Empty: "tool_use" when there are tools and
	// the model has it, otherwise "default".
	Template string
	// Variables is a JSON object of further variables, for instance {"enable_thinking":false}.
	Variables json.RawMessage
}

// HasChatTemplate reports whether the model has a chat template.
func (t *Tokenizer) HasChatTemplate() bool { return len(t.chat.byName) > 0 }

// ApplyChatTemplate renders messages with the model's chat template, as transformers'
// apply_chat_template(tokenize=False). The text holds its special tokens spelled out: encode it
// without AddSpecialTokens and without PlainSpecialTokens.
//
// Errors wrap ErrNoChatTemplate when the model has none, ErrChatTemplate when the template cannot be
// parsed, or refuses the messages; they then hold its own words.
func (t *Tokenizer) ApplyChatTemplate(messages []Message, o ChatOptions) (string, error) {
	list := make([]jinja.Value, len(messages))
	for i, m := range messages {
		v := jinja.NewDict()
		d := v.AsDict()
		d.Set("role", jinja.NewString(m.Role))
		d.Set("content", jinja.NewString(m.Content))
		if m.Name != "" {
			d.Set("name", jinja.NewString(m.Name))
		}
		if len(m.ToolCalls) > 0 {
			calls, err := parseValue(m.ToolCalls)
			if err != nil {
				return "", fmt.Errorf("tool calls of message %d: %w", i, err)
			}
			d.Set("tool_calls", calls)
		}
		if m.ToolCallID != "" {
			d.Set("tool_call_id", jinja.NewString(m.ToolCallID))
		}
		list[i] = v
	}
	return t.render(list, o)
}

// RenderChat is ApplyChatTemplate for messages as a JSON array of objects. The template sees all of
// their fields that are not null, in their order.
func (t *Tokenizer) RenderChat(messages json.RawMessage, o ChatOptions) (string, error) {
	v, err := parseValue(messages)
	if err != nil {
		return "", fmt.Errorf("messages: %w", err)
	}
	if !v.IsList() {
		return "", errors.New("messages: want a JSON array of objects")
	}
	list := v.AsList().Items
	for i, m := range list {
		if !m.IsDict() {
			return "", fmt.Errorf("messages: element %d is not an object", i)
		}
		list[i] = aliasReasoning(withoutNulls(m))
	}
	return t.render(list, o)
}

// withoutNulls leaves out the fields that are null, as transformers does: templates that look at
// "content" or "tool_calls" seldom expect one.
func withoutNulls(message jinja.Value) jinja.Value {
	d := message.AsDict()
	out := jinja.NewDict()
	for _, k := range d.Keys {
		if !d.Data[k].IsNone() {
			out.AsDict().Set(k, d.Data[k])
		}
	}
	return out
}

// aliasReasoning fills reasoning_content from the older names for it, and thinking for templates that
// read that, as transformers does.
func aliasReasoning(message jinja.Value) jinja.Value {
	d := message.AsDict()
	for _, key := range []string{"reasoning_content", "thinking", "reasoning"} {
		reasoning, ok := d.Get(key)
		if !ok {
			continue
		}
		out := jinja.NewDict()
		o := out.AsDict()
		o.Set("thinking", reasoning)
		for _, k := range d.Keys {
			o.Set(k, d.Data[k])
		}
		o.Set("reasoning_content", reasoning)
		return out
	}
	return message
}

func (t *Tokenizer) render(messages []jinja.Value, o ChatOptions) (string, error) {
	if len(messages) == 0 {
		return "", errors.New("messages: want at least one")
	}
	tools := jinja.None()
	if len(o.Tools) > 0 {
		var err error
		if tools, err = parseValue(o.Tools); err != nil {
			return "", fmt.Errorf("tools: %w", err)
		}
		if !tools.IsList() && !tools.IsNone() {
			return "", errors.New("tools: want a JSON array")
		}
	}
	template, err := t.chat.pick(o.Template, !tools.IsNone())
	if err != nil {
		return "", err
	}
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	data := templateGlobals(now)
	for name, token := range t.named {
		data[name] = jinja.NewString(token)
	}
	data["messages"] = jinja.NewList(messages)
	data["tools"] = tools
	data["documents"] = jinja.None()
	data["add_generation_prompt"] = jinja.NewBool(o.AddGenerationPrompt)
	if len(o.Variables) > 0 {
		v, err := parseValue(o.Variables)
		if err != nil {
			return "", fmt.Errorf("template variables: %w", err)
		}
		if !v.IsDict() && !v.IsNone() {
			return "", errors.New("template variables: want a JSON object")
		}
		if v.IsDict() {
			maps.Copy(data, v.AsDict().Data)
		}
	}
	return template.render(data)
}

// chatTemplates are a model's templates by name; nearly always there is one, "default".
type chatTemplates struct {
	byName map[string]*chatTemplate
}

func (c *chatTemplates) set(name, source string) {
	if c.byName == nil {
		c.byName = make(map[string]*chatTemplate)
	}
	c.byName[name] = &chatTemplate{source: source}
}

func (c *chatTemplates) pick(name string, tools bool) (*chatTemplate, error) {
	if len(c.byName) == 0 {
		return nil, fmt.Errorf("%w: the model's files hold none", ErrNoChatTemplate)
	}
	if name == "" {
		name = "default"
		if _, ok := c.byName["tool_use"]; ok && tools {
			name = "tool_use"
		}
	}
	if t, ok := c.byName[name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("%w: the model has none named %q", ErrNoChatTemplate, name)
}

// maxTemplate bounds a template's source; the longest known has 30 kB.
const maxTemplate = 1 << 18

// readChatTemplates collects the templates of a directory. A chat_template.jinja goes before the one in
// tokenizer_config.json, as in transformers.
func readChatTemplates(dir string, config json.RawMessage) (chatTemplates, error) {
	var c chatTemplates
	if err := c.parse(config, "tokenizer_config.json"); err != nil {
		return c, err
	}
	var legacy struct {
		ChatTemplate json.RawMessage `json:"chat_template"`
	}
	if _, err := readJSON(dir, "chat_template.json", &legacy); err != nil {
		return c, err
	}
	if err := c.parse(legacy.ChatTemplate, "chat_template.json"); err != nil {
		return c, err
	}
	files := map[string]string{"default": filepath.Join(dir, "chat_template.jinja")}
	more := filepath.Join(dir, "additional_chat_templates")
	entries, err := os.ReadDir(more)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".jinja"); ok {
			files[name] = filepath.Join(more, e.Name())
		}
	}
	for name, path := range files {
		data, ok, err := readFile(path)
		if err != nil {
			return c, err
		}
		if ok {
			c.set(name, string(data))
		}
	}
	return c, nil
}

// parse takes a template, or a list of {"name","template"}.
func (c *chatTemplates) parse(raw json.RawMessage, file string) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		c.set("default", one)
		return nil
	}
	var list []struct{ Name, Template string }
	if json.Unmarshal(raw, &list) == nil {
		for _, e := range list {
			c.set(e.Name, e.Template)
		}
		return nil
	}
	var named map[string]string
	if err := json.Unmarshal(raw, &named); err != nil {
		return invalid("%s: chat_template is neither a string nor a list of named templates", file)
	}
	for name, source := range named {
		c.set(name, source)
	}
	return nil
}
