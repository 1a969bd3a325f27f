package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trtgo/trtgo/tokenizer/internal/jinja"
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
	// Documents is a JSON array of objects, usually with title and text, for templates that answer from documents.
	Documents json.RawMessage
	// ContinueFinalMessage names a field of the last message, usually "content": the text then ends where that field
	// does, so that the model goes on with it. It excludes AddGenerationPrompt. Empty: the last message is complete.
	ContinueFinalMessage string
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
	list := &jinja.List{}
	for i, m := range messages {
		d := jinja.NewDict()
		d.Set("role", m.Role)
		d.Set("content", m.Content)
		if m.Name != "" {
			d.Set("name", m.Name)
		}
		if len(m.ToolCalls) > 0 {
			calls, err := jinja.ParseJSON(m.ToolCalls)
			if err != nil {
				return "", fmt.Errorf("tool calls of message %d: %w", i, err)
			}
			d.Set("tool_calls", calls)
		}
		if m.ToolCallID != "" {
			d.Set("tool_call_id", m.ToolCallID)
		}
		list.Items = append(list.Items, d)
	}
	return t.render(list, o)
}

// RenderChat is ApplyChatTemplate for messages as a JSON array of objects. The template sees all of
// their fields that are not null, in their order.
func (t *Tokenizer) RenderChat(messages json.RawMessage, o ChatOptions) (string, error) {
	v, err := jinja.ParseJSON(messages)
	if err != nil {
		return "", fmt.Errorf("messages: %w", err)
	}
	list, ok := v.(*jinja.List)
	if !ok {
		return "", errors.New("messages: want a JSON array of objects")
	}
	for i, m := range list.Items {
		d, ok := m.(*jinja.Dict)
		if !ok {
			return "", fmt.Errorf("messages: element %d is not an object", i)
		}
		list.Items[i] = normalized(d)
	}
	return t.render(list, o)
}

// normalized does what transformers does to a message: null fields go, since templates that look at
// "content" or "tool_calls" seldom expect one; reasoning_content is filled from the older names for it,
// and thinking for templates that read that.
func normalized(message *jinja.Dict) *jinja.Dict {
	out := jinja.NewDict()
	var reasoning any
	for _, name := range reasoningFields {
		if v, _ := message.Get(name); v != nil && reasoning == nil {
			reasoning = v
			out.Set("thinking", v)
		}
	}
	message.Each(func(key, value any) {
		if value != nil {
			out.Set(key, value)
		}
	})
	if reasoning != nil {
		out.Set("reasoning_content", reasoning)
	}
	return out
}

func (t *Tokenizer) render(messages *jinja.List, o ChatOptions) (string, error) {
	if len(messages.Items) == 0 {
		return "", errors.New("messages: want at least one")
	}
	tools, err := optionalJSON[*jinja.List](o.Tools, "tools: want a JSON array")
	if err != nil {
		return "", err
	}
	documents, err := documentsOf(o.Documents)
	if err != nil {
		return "", err
	}
	variables, err := optionalJSON[*jinja.Dict](o.Variables, "template variables: want a JSON object")
	if err != nil {
		return "", err
	}
	template, err := t.chat.pick(o.Template, tools != nil)
	if err != nil {
		return "", err
	}
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	data := templateFunctions(now)
	for name, token := range t.named {
		data[name] = token
	}
	data["messages"] = messages
	data["tools"], data["documents"] = nil, nil
	if tools != nil {
		data["tools"] = tools
	}
	if documents != nil {
		data["documents"] = documents
	}
	data["add_generation_prompt"] = o.AddGenerationPrompt
	if variables != nil {
		variables.Each(func(name, value any) { data[name.(string)] = value })
	}
	if o.ContinueFinalMessage == "" {
		return template.render(data)
	}
	if o.AddGenerationPrompt {
		return "", errors.New("continue_final_message and add_generation_prompt exclude each other: the one goes on with the last message, the other begins a new one")
	}
	c, err := markFinalMessage(messages, o.ContinueFinalMessage, template.source)
	if err != nil {
		return "", err
	}
	text, err := template.render(data)
	if err != nil {
		return "", err
	}
	return c.cut(text)
}

func documentsOf(raw json.RawMessage) (*jinja.List, error) {
	documents, err := optionalJSON[*jinja.List](raw, "documents: want a JSON array of objects")
	if err != nil || documents == nil {
		return nil, err
	}
	for i, d := range documents.Items {
		if _, ok := d.(*jinja.Dict); !ok {
			return nil, fmt.Errorf("documents: element %d is not an object", i)
		}
	}
	return documents, nil
}

// optionalJSON parses a value of one kind; without one, or with null, it is nil.
func optionalJSON[T any](raw json.RawMessage, want string) (v T, err error) {
	if len(raw) == 0 {
		return v, nil
	}
	parsed, err := jinja.ParseJSON(raw)
	if err != nil {
		return v, fmt.Errorf("%s: %w", want, err)
	}
	if parsed == nil {
		return v, nil
	}
	v, ok := parsed.(T)
	if !ok {
		return v, errors.New(want)
	}
	return v, nil
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
