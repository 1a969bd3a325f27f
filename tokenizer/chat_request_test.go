package tokenizer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

// TestChatRequests compares everything that ChatOptions can ask for with apply_chat_template itself (verify_templates.py --goldens).
func TestChatRequests(t *testing.T) {
	type row struct {
		Template, Case, Error string
		Text                  *string
		Request               struct {
			Messages, Tools, Documents json.RawMessage
			Variables                  json.RawMessage `json:"chat_template_kwargs"`
			AddGenerationPrompt        bool            `json:"add_generation_prompt"`
			ContinueFinal              string          `json:"continue_final_message"`
		}
	}
	rows := readLines[row](t, "testdata/chat/requests.jsonl")
	require.Len(t, rows, 28)
	for _, r := range rows {
		t.Run(r.Template+"/"+r.Case, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join("testdata/chat", r.Template))
			require.NoError(t, err)
			got, err := withTemplate(t, string(source)).RenderChat(r.Request.Messages, tokenizer.ChatOptions{
				AddGenerationPrompt: r.Request.AddGenerationPrompt, Tools: r.Request.Tools, Documents: r.Request.Documents, Now: templateNow,
				ContinueFinalMessage: r.Request.ContinueFinal, Variables: r.Request.Variables,
			})
			if r.Text == nil {
				require.Error(t, err, "transformers says %s; got %q", r.Error, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, *r.Text, got)
		})
	}
}

func TestBadChatRequests(t *testing.T) {
	tok := withTemplate(t, `{{ messages[0].content[:2] }}{{ messages[-1]["content"] if hide is undefined }}`)
	render := func(messages string, o tokenizer.ChatOptions) error {
		_, err := tok.RenderChat(json.RawMessage(messages), o)
		return err
	}
	user := `[{"role":"user","content":"hello"}]`
	for says, err := range map[string]error{
		"documents: want a JSON array of objects":                               render(user, tokenizer.ChatOptions{Documents: json.RawMessage(`{}`)}),
		"documents: element 1 is not an object":                                 render(user, tokenizer.ChatOptions{Documents: json.RawMessage(`[{}, "x"]`)}),
		`continue_final_message: the final message has no "thinking" to`:        render(user, tokenizer.ChatOptions{ContinueFinalMessage: "thinking"}),
		`continue_final_message: the template does not read "role"`:             render(user, tokenizer.ChatOptions{ContinueFinalMessage: "role"}),
		`continue_final_message: "content" of the final message is neither`:     render(`[{"role":"user","content":7}]`, tokenizer.ChatOptions{ContinueFinalMessage: "content"}),
		"continue_final_message: the final message has no text to continue":     render(`[{"role":"user","content":[7, {}]}]`, tokenizer.ChatOptions{ContinueFinalMessage: "content"}),
		"continue_final_message: the final message's last text is not":          render(`[{"role":"user","content":[{"text":7}]}]`, tokenizer.ChatOptions{ContinueFinalMessage: "content"}),
		"continue_final_message and add_generation_prompt exclude each other":   render(user, tokenizer.ChatOptions{ContinueFinalMessage: "content", AddGenerationPrompt: true}),
		"continue_final_message: the final message does not appear in what the": render(user, tokenizer.ChatOptions{ContinueFinalMessage: "content", Variables: json.RawMessage(`{"hide":1}`)}),
	} {
		require.ErrorContains(t, err, says)
	}
}
