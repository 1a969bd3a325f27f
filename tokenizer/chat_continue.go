package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/tokenizer/internal/jinja"
)

// continueTag marks the end of the message that is to be continued; it is transformers' mark, since a template may treat a
// message by its text. What follows it in the rendered text is cut off.
const continueTag = "CONTINUE_FINAL_MESSAGE_TAG "

// reasoningFields are the names under which messages have their reasoning, the usual one first.
var reasoningFields = []string{"reasoning_content", "thinking", "reasoning"}

// continuation is a final message that the model is to go on with.
type continuation struct{ message string }

// markFinalMessage puts the tag behind a field of the last message: behind a text, or behind the last text of a list of parts.
func markFinalMessage(messages *jinja.List, field, template string) (continuation, error) {
	last := messages.Items[len(messages.Items)-1].(*jinja.Dict)
	value, _ := last.Get(field)
	if value == nil {
		return continuation{}, fmt.Errorf("continue_final_message: the final message has no %q to continue", field)
	}
	fields := []string{field}
	if slices.Contains(reasoningFields, field) {
		// The reasoning stands under several names; the template reads one of them.
		fields = nil
		for _, name := range reasoningFields {
			if v, _ := last.Get(name); v == value {
				fields = append(fields, name)
			}
		}
	}
	if !slices.ContainsFunc(fields, func(name string) bool { return strings.Contains(template, name) }) {
		return continuation{}, fmt.Errorf("continue_final_message: the template does not read %q", field)
	}
	switch value := value.(type) {
	case string:
		for _, name := range fields {
			last.Set(name, value+continueTag)
		}
		return continuation{value}, nil
	case *jinja.List:
		for _, part := range slices.Backward(value.Items) {
			block, _ := part.(*jinja.Dict)
			if block == nil {
				continue
			}
			if text, there := block.Get("text"); there {
				text, ok := text.(string)
				if !ok {
					return continuation{}, errors.New("continue_final_message: the final message's last text is not a string")
				}
				block.Set("text", text+continueTag)
				return continuation{text}, nil
			}
		}
		return continuation{}, errors.New("continue_final_message: the final message has no text to continue")
	}
	return continuation{}, fmt.Errorf("continue_final_message: %q of the final message is neither a string nor a list", field)
}

// cut takes the tag and what follows it off. A template that trims messages has trimmed the tag's space too; then the space
// before it goes as well.
func (c continuation) cut(text string) (string, error) {
	at := strings.LastIndex(text, strings.TrimSpace(continueTag))
	if at < 0 || !strings.Contains(text, strings.TrimFunc(c.message, jinja.IsSpace)) {
		return "", fmt.Errorf("%w: continue_final_message: the final message does not appear in what the template makes of the conversation", ErrChatTemplate)
	}
	if strings.HasPrefix(text[at:], continueTag) {
		return text[:at], nil
	}
	return strings.TrimRightFunc(text[:at], jinja.IsSpace), nil
}
