package evaluation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/tokenizer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// byteTokenizer has one token for each byte, and the special tokens below.
type byteTokenizer struct {
	prefix, suffix []int32
	template       bool
}

const (
	bosID, eosID, userID, replyID = 1, 2, 3, 4
	firstByte                     = 10
)

var specials = map[string]int32{"<s>": bosID, "</s>": eosID, "<|user|>": userID, "<|reply|>": replyID}

var errBroken = errors.New("broken tokenizer")

func (b byteTokenizer) Encode(text string, o tokenizer.EncodeOptions) ([]int32, error) {
	if strings.Contains(text, "BROKEN") {
		return nil, errBroken
	}
	var ids []int32
	if o.AddSpecialTokens {
		ids = append(ids, b.prefix...)
	}
next:
	for text != "" {
		for special, id := range specials {
			if rest, found := strings.CutPrefix(text, special); found && !o.PlainSpecialTokens {
				ids, text = append(ids, id), rest
				continue next
			}
		}
		ids, text = append(ids, firstByte+int32(text[0])), text[1:]
	}
	if o.AddSpecialTokens {
		ids = append(ids, b.suffix...)
	}
	return ids, nil
}

func (b byteTokenizer) Decode(ids []int32, o tokenizer.DecodeOptions) (string, error) {
	var text strings.Builder
	for _, id := range ids {
		switch {
		case id >= firstByte && id < firstByte+256:
			text.WriteByte(byte(id - firstByte))
		case id < bosID || id > replyID:
			return "", fmt.Errorf("id %d: %w", id, errBroken)
		case !o.SkipSpecialTokens:
			for special, its := range specials {
				if its == id {
					text.WriteString(special)
				}
			}
		}
	}
	return strings.ToValidUTF8(text.String(), "\ufffd"), nil
}

func (b byteTokenizer) HasChatTemplate() bool { return b.template }

func (b byteTokenizer) ApplyChatTemplate(messages []tokenizer.Message, o tokenizer.ChatOptions) (string, error) {
	if !b.template {
		return "", tokenizer.ErrNoChatTemplate
	}
	if len(messages) != 1 || messages[0].Role != "user" || !o.AddGenerationPrompt {
		return "", errBroken
	}
	return "<s><|user|>" + messages[0].Content + "<|reply|>", nil
}

func textOf(t testing.TB, ids []int32) string {
	t.Helper()
	text, err := byteTokenizer{}.Decode(ids, tokenizer.DecodeOptions{})
	require.NoError(t, err)
	return text
}

func idsOf(t testing.TB, text string) []int32 {
	t.Helper()
	ids, err := byteTokenizer{}.Encode(text, tokenizer.EncodeOptions{})
	require.NoError(t, err)
	return ids
}

// articles makes n articles with words of their own: article 3 is "word3 word3 …", its highlights "third3 …".
func articles(n int) []dataset.Article {
	var all []dataset.Article
	for i := range n {
		all = append(all, dataset.Article{
			Text:       fmt.Sprintf("article%d %s", i, strings.Repeat(fmt.Sprintf("word%d ", i), 3+i)),
			Highlights: fmt.Sprintf("highlight%d one\nhighlight%d two", i, i),
			ID:         fmt.Sprintf("id%d", i),
		})
	}
	return all
}

// parrot answers each article with its own highlights, and keeps the prompts that it saw.
type parrot struct {
	t       testing.TB
	batches [][]string
	answer  func(article int) [][]int32
}

func (p *parrot) generate(_ context.Context, prompts [][]int32, onTokens func(int, []int32)) ([][][]int32, error) {
	var seen []string
	outputs := make([][][]int32, len(prompts))
	for i, ids := range prompts {
		text := textOf(p.t, ids)
		seen = append(seen, text)
		var article int
		_, err := fmt.Sscanf(text[strings.LastIndex(text, "word")+len("word"):], "%d", &article)
		require.NoError(p.t, err)
		if p.answer != nil {
			outputs[i] = p.answer(article)
			continue
		}
		answer := append(idsOf(p.t, articles(article + 1)[article].Highlights), eosID)
		onTokens(i, answer[:5])
		onTokens(i, answer[5:])
		outputs[i] = [][]int32{answer}
	}
	p.batches = append(p.batches, seen)
	return outputs, nil
}

// options are upstream's, made small.
func options(t byteTokenizer) evaluation.SummarizeOptions {
	return evaluation.SummarizeOptions{
		Prompter:  evaluation.Prompter{Tokenizer: t, MaxInputLength: 923, AddSpecialTokens: true},
		BatchSize: 1, MaxIterations: 20,
	}
}

// The command hands over a tokenizer of the public package.
var _ evaluation.Tokenizer = (*tokenizer.Tokenizer)(nil)
