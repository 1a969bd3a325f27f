package evaluation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trtgo/trtgo/tokenizer"
)

// Suffix is what upstream appends to an article.
const Suffix = " TL;DR: "

// Instruction stands before the article in the user's message when a chat template is used.
const Instruction = "Summarize the following news article in two or three short sentences. Answer with the summary only.\n\n"

// Prompter turns articles into prompts. It is safe for use by several goroutines at once if its Tokenizer is.
type Prompter struct {
	Tokenizer Tokenizer
	// MaxInputLength is the largest number of tokens of a prompt. What is too long is cut at the article's beginning.
	MaxInputLength int
	// AddSpecialTokens adds the model's tokens to a raw prompt; their number counts, and they are never cut.
	AddSpecialTokens bool
	// ChatTemplate asks by the model's chat template, with Instruction before the article, instead of upstream's raw prompt.
	ChatTemplate bool
	// Plain leaves Suffix and Instruction out: the text is the prompt, as in upstream's tasks other than summarize.
	Plain bool
}

// Prompt returns the token ids of the prompt for one article: upstream's raw prompt, or with ChatTemplate the conversation with
// Instruction before the article.
//
// The raw prompt is the article and Suffix, white space at both ends removed, " n't" joined to the word before it.
func (p Prompter) Prompt(article string) ([]int32, error) {
	instruction, suffix := Instruction, Suffix
	if p.Plain {
		instruction, suffix = "", ""
	}
	if p.ChatTemplate {
		return p.Message(instruction, clean(article))
	}
	return p.Text(clean(article + suffix))
}

// clean is upstream's strip and its undoing of a data set's tokenisation.
func clean(text string) string {
	return strings.ReplaceAll(strings.TrimFunc(text, isPythonSpace), " n't", "n't")
}

// isPythonSpace is Python's str.isspace: Unicode's white space and four control characters.
func isPythonSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}

// Text encodes text as it stands and cuts it to MaxInputLength tokens from the left, as upstream's tokenizers do: the special
// tokens around it count, and survive.
func (p Prompter) Text(text string) ([]int32, error) {
	ids, err := p.Tokenizer.Encode(text, tokenizer.EncodeOptions{AddSpecialTokens: p.AddSpecialTokens})
	if err != nil || len(ids) <= p.MaxInputLength {
		return ids, err
	}
	if !p.AddSpecialTokens {
		return ids[len(ids)-p.MaxInputLength:], nil
	}
	plain, err := p.Tokenizer.Encode(text, tokenizer.EncodeOptions{})
	if err != nil {
		return nil, err
	}
	prefix, suffix := surroundings(ids, plain)
	room := p.MaxInputLength - len(prefix) - len(suffix)
	if room < 1 {
		return nil, fmt.Errorf("%w: %d tokens of input leave no room for text beside the %d special tokens of this model; raise max_input_length",
			ErrOptions, p.MaxInputLength, len(prefix)+len(suffix))
	}
	return slices.Concat(prefix, plain[max(0, len(plain)-room):], suffix), nil
}

// surroundings finds the special tokens around plain in ids. A tokenizer that puts them elsewhere is taken to put them first.
func surroundings(ids, plain []int32) (prefix, suffix []int32) {
	extra := max(0, len(ids)-len(plain))
	for at := range extra + 1 {
		if end := at + len(plain); end <= len(ids) && slices.Equal(ids[at:end], plain) {
			return ids[:at], ids[end:]
		}
	}
	return ids[:extra], nil
}

// Message renders instruction and text as a user's message by the model's chat template. Tokens are cut from the beginning of the
// text alone until the conversation fits MaxInputLength.
func (p Prompter) Message(instruction, text string) ([]int32, error) {
	frame, err := p.render(instruction)
	if err != nil {
		return nil, err
	}
	ids, err := p.render(instruction + text)
	if err != nil || len(ids) <= p.MaxInputLength {
		return ids, err
	}
	own, err := p.Tokenizer.Encode(text, tokenizer.EncodeOptions{PlainSpecialTokens: true})
	if err != nil {
		return nil, err
	}
	// Text that was cut and rendered may take more tokens than its ids did, hence more than one round.
	room := p.MaxInputLength - len(frame)
	keep := min(len(own), room)
	for keep > 0 {
		rest, err := p.Tokenizer.Decode(own[len(own)-keep:], tokenizer.DecodeOptions{})
		if err != nil {
			return nil, err
		}
		if ids, err = p.render(instruction + trimBroken(rest)); err != nil {
			return nil, err
		}
		if len(ids) <= p.MaxInputLength {
			return ids, nil
		}
		keep = min(keep-1, keep*room/(len(ids)-len(frame)))
	}
	return nil, fmt.Errorf("%w: %d tokens of input leave no room for text beside the %d tokens of the chat template and what it says; raise max_input_length",
		ErrOptions, p.MaxInputLength, len(frame))
}

// trimBroken removes what is left of a character that was cut in two, and white space.
func trimBroken(text string) string {
	return strings.TrimLeftFunc(text, func(r rune) bool { return r == utf8.RuneError || isPythonSpace(r) })
}

// render returns the ids of the whole conversation. The template writes its special tokens as text, so none are added.
func (p Prompter) render(message string) ([]int32, error) {
	text, err := p.Tokenizer.ApplyChatTemplate([]tokenizer.Message{{Role: "user", Content: message}},
		tokenizer.ChatOptions{AddGenerationPrompt: true})
	if err != nil {
		return nil, err
	}
	return p.Tokenizer.Encode(text, tokenizer.EncodeOptions{})
}

// UseChatTemplate decides for --chat_template: "on", "off" or "auto", which means: if the model has one and upstream's raw prompt
// was not asked for. "on" for a model without a template is an error that wraps tokenizer.ErrNoChatTemplate.
func UseChatTemplate(choice string, t Tokenizer, rawPrompt bool) (bool, error) {
	switch choice {
	case "off":
		return false, nil
	case "on":
		if !t.HasChatTemplate() {
			return false, fmt.Errorf("the chat template was asked for: %w", tokenizer.ErrNoChatTemplate)
		}
		return true, nil
	case "auto", "":
		return !rawPrompt && t.HasChatTemplate(), nil
	}
	return false, fmt.Errorf("%w: the chat template can be auto, on or off, not %q", ErrOptions, choice)
}

// validate checks what does not depend on an article.
func (p Prompter) validate() error {
	if p.Tokenizer == nil {
		return errors.New("evaluation: no tokenizer given")
	}
	if p.MaxInputLength < 1 {
		return fmt.Errorf("%w: max_input_length is %d, at least 1 is needed", ErrOptions, p.MaxInputLength)
	}
	return nil
}
