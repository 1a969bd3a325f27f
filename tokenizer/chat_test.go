package tokenizer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

type conversation struct {
	Case                string
	AddGenerationPrompt bool `json:"add_generation_prompt"`
	Messages, Tools     json.RawMessage
}

type rendering struct{ Template, Case, Text, Error string }

// templateNow is the clock of the goldens.
var templateNow = time.Date(2026, 7, 4, 9, 5, 3, 0, time.UTC)

func conversations(t *testing.T) map[string]conversation {
	data, err := os.ReadFile("testdata/chat/conversations.json")
	require.NoError(t, err)
	var list []conversation
	require.NoError(t, json.Unmarshal(data, &list))
	m := make(map[string]conversation)
	for _, c := range list {
		m[c.Case] = c
	}
	return m
}

// withTemplate is the small Llama-3-like tokenizer with a chat template beside it.
func withTemplate(t *testing.T, source string) *tokenizer.Tokenizer {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile("testdata/hf_bbpe_llama3/tokenizer.json")
	require.NoError(t, err)
	write(t, dir, "tokenizer.json", string(data))
	write(t, dir, "tokenizer_config.json", `{"bos_token":"<s>","eos_token":{"content":"</s>","special":true},"unk_token":"<unk>","pad_token":"<pad>"}`)
	write(t, dir, "chat_template.jinja", source)
	tok, err := tokenizer.Open(dir)
	require.NoError(t, err)
	require.True(t, tok.HasChatTemplate())
	return tok
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
}

// renderAll renders every conversation with every template of dir and compares with golden.
func renderAll(t *testing.T, dir, golden string) {
	cases := conversations(t)
	rows := readLines[rendering](t, golden)
	toks := make(map[string]*tokenizer.Tokenizer)
	for _, r := range rows {
		tok := toks[r.Template]
		if tok == nil {
			source, err := os.ReadFile(filepath.Join(dir, r.Template))
			require.NoError(t, err)
			tok = withTemplate(t, string(source))
			toks[r.Template] = tok
		}
		t.Run(r.Template+"/"+r.Case, func(t *testing.T) {
			c, ok := cases[r.Case]
			require.True(t, ok)
			got, err := tok.RenderChat(c.Messages, tokenizer.ChatOptions{
				AddGenerationPrompt: c.AddGenerationPrompt, Tools: c.Tools, Now: templateNow})
			if r.Error != "" {
				require.ErrorIs(t, err, tokenizer.ErrChatTemplate, "jinja2 says %s; got %q", r.Error, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, r.Text, got)
		})
	}
	entries, err := filepath.Glob(filepath.Join(dir, "*.jinja"))
	require.NoError(t, err)
	require.Len(t, toks, len(entries), "every template has goldens")
}

func TestChatTemplates(t *testing.T) {
	renderAll(t, "testdata/chat", "testdata/chat/golden.jsonl")
}

// TestRealChatTemplates renders the templates of a directory, compared with
// `tokenizer_goldens.py render DIR/*.jinja > DIR/golden.jsonl`.
func TestRealChatTemplates(t *testing.T) {
	dir := os.Getenv("TRTGO_CHAT_TEMPLATES")
	if dir == "" {
		t.Skip("TRTGO_CHAT_TEMPLATES names no directory of templates")
	}
	renderAll(t, dir, filepath.Join(dir, "golden.jsonl"))
}

func TestChatErrors(t *testing.T) {
	user := []tokenizer.Message{{Role: "user", Content: "hi"}}
	plain, err := tokenizer.Open("testdata/hf_bbpe_llama3")
	require.NoError(t, err)
	require.False(t, plain.HasChatTemplate())
	_, err = plain.ApplyChatTemplate(user, tokenizer.ChatOptions{})
	require.ErrorIs(t, err, tokenizer.ErrNoChatTemplate)

	for source, words := range map[string]string{
		`{{ raise_exception('roles must alternate') }}`: "roles must alternate",
		`{% if true %}open`:                             "parsed",
		"a\n{# no end":                                  "line 2",
		`{{ messages | nosuchfilter }}`:                 "nosuchfilter",
		"a\n{{ nosuchfunction() }}":                     "line 2: 'nosuchfunction' is undefined",
		`{{ strftime_now(1) }}`:                         "wants a format",
	} {
		_, err := withTemplate(t, source).ApplyChatTemplate(user, tokenizer.ChatOptions{})
		require.ErrorIs(t, err, tokenizer.ErrChatTemplate, source[:min(len(source), 80)])
		require.ErrorContains(t, err, words)
	}
	tok := withTemplate(t, "x")
	for _, bad := range []string{``, `{`, `{}`, `[]`, `[1]`, `[{}] x`, `[{"role":`, strings.Repeat("[", 100000)} {
		_, err := tok.RenderChat(json.RawMessage(bad), tokenizer.ChatOptions{})
		require.ErrorContains(t, err, "messages", bad[:min(len(bad), 20)])
	}
	_, err = tok.ApplyChatTemplate(user, tokenizer.ChatOptions{Tools: json.RawMessage(`{}`)})
	require.ErrorContains(t, err, "tools")
	_, err = tok.ApplyChatTemplate(user, tokenizer.ChatOptions{Variables: json.RawMessage(`[]`)})
	require.ErrorContains(t, err, "variables")
	_, err = tok.ApplyChatTemplate([]tokenizer.Message{{Role: "assistant", ToolCalls: json.RawMessage(`[`)}}, tokenizer.ChatOptions{})
	require.ErrorContains(t, err, "tool calls of message 0")
	_, err = tok.ApplyChatTemplate(user, tokenizer.ChatOptions{Template: "rag"})
	require.ErrorIs(t, err, tokenizer.ErrNoChatTemplate)
}

func TestMessagesAndVariables(t *testing.T) {
	tok := withTemplate(t, `{% for m in messages %}{{ m | tojson }}{% endfor %}{{ tools | tojson }}{{ style }}`)
	got, err := tok.ApplyChatTemplate([]tokenizer.Message{
		{Role: "assistant", ToolCalls: json.RawMessage(`[{"z":1,"a":{"y":2.0,"b":12345678901234567}}]`)},
		{Role: "tool", Content: "4", Name: "f", ToolCallID: "c1"},
	}, tokenizer.ChatOptions{Tools: json.RawMessage(`[{"b":1,"a":2}]`), Variables: json.RawMessage(`{"style":"plain"}`)})
	require.NoError(t, err)
	require.Equal(t, `{"role": "assistant", "content": "", "tool_calls": [{"z": 1, "a": {"y": 2.0, "b": 12345678901234567}}]}`+
		`{"role": "tool", "content": "4", "name": "f", "tool_call_id": "c1"}[{"b": 1, "a": 2}]plain`, got)
}

// TestNullsAreLeftOut: as in transformers 5, a message's null fields are undefined, and null variables
// are none.
func TestNullsAreLeftOut(t *testing.T) {
	tok := withTemplate(t, `{{ messages[0] | tojson }}{{ messages[0].content is defined }}`)
	got, err := tok.RenderChat(json.RawMessage(`[{"role":"assistant","content":null,"tool_calls":[{"id":null}],"reasoning":null}]`),
		tokenizer.ChatOptions{Variables: json.RawMessage(`null`)})
	require.NoError(t, err)
	require.Equal(t, `{"role": "assistant", "tool_calls": [{"id": null}]}False`, got)
}

func TestTemplateSources(t *testing.T) {
	data, err := os.ReadFile("testdata/hf_bbpe_llama3/tokenizer.json")
	require.NoError(t, err)
	user := json.RawMessage(`[{"role":"user","content":"x"}]`)
	open := func(files map[string]string) *tokenizer.Tokenizer {
		dir := t.TempDir()
		write(t, dir, "tokenizer.json", string(data))
		for name, text := range files {
			write(t, filepath.Dir(filepath.Join(dir, name)), filepath.Base(name), text)
		}
		tok, err := tokenizer.Open(dir)
		require.NoError(t, err)
		return tok
	}
	render := func(tok *tokenizer.Tokenizer, o tokenizer.ChatOptions) string {
		s, err := tok.RenderChat(user, o)
		require.NoError(t, err)
		return s
	}
	tools := tokenizer.ChatOptions{Tools: json.RawMessage(`[{}]`)}

	one := open(map[string]string{"tokenizer_config.json": `{"chat_template":"config"}`})
	require.Equal(t, "config", render(one, tools))
	list := open(map[string]string{"tokenizer_config.json": `{"chat_template":[{"name":"default","template":"d"},{"name":"tool_use","template":"t"},{"name":"rag","template":"r"}]}`})
	require.Equal(t, "d", render(list, tokenizer.ChatOptions{}))
	require.Equal(t, "t", render(list, tools))
	require.Equal(t, "r", render(list, tokenizer.ChatOptions{Template: "rag"}))
	both := open(map[string]string{"tokenizer_config.json": `{"chat_template":"config"}`, "chat_template.jinja": "file\n",
		"additional_chat_templates/tool_use.jinja": "more"})
	require.Equal(t, "file", render(both, tokenizer.ChatOptions{}))
	require.Equal(t, "more", render(both, tools))
	old := open(map[string]string{"chat_template.json": `{"chat_template":"old"}`})
	require.Equal(t, "old", render(old, tokenizer.ChatOptions{}))
}
