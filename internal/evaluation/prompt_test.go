package evaluation_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/evaluation"
	"github.com/trtgo/trtgo/tokenizer"
)

func raw(t byteTokenizer, limit int) evaluation.Prompter {
	return evaluation.Prompter{Tokenizer: t, MaxInputLength: limit, AddSpecialTokens: true}
}

// Expected texts are those of upstream's expression (article + " TL;DR: ").strip().replace(" n't", "n't") in Python.
func TestRawPrompt(t *testing.T) {
	for article, want := range map[string]string{
		"A ferry broke down.":       "A ferry broke down. TL;DR:",
		"":                          "TL;DR:",
		" \n\t A\u00a0\u3000":       "A\u00a0\u3000 TL;DR:",
		"\x1c\x1d\x1e\x1f\u0085A":   "A TL;DR:",
		"\u200bA":                   "\u200bA TL;DR:",
		"It did n't. It does n't":   "It didn't. It doesn't TL;DR:",
		" n't":                      "n't TL;DR:",
		"did  n't":                  "did n't TL;DR:",
		"a\nb":                      "a\nb TL;DR:",
		"<s> in the text is parsed": "<s> in the text is parsed TL;DR:",
	} {
		ids, err := raw(byteTokenizer{}, 923).Prompt(article)
		require.NoError(t, err)
		require.Equal(t, want, textOf(t, ids), "%q", article)
	}
	ids, err := raw(byteTokenizer{}, 923).Prompt("<s>x")
	require.NoError(t, err)
	require.Equal(t, int32(bosID), ids[0], "as upstream, the text of a special token is that token")
}

// The article's beginning is lost, special tokens and suffix stay, and all of them count.
func TestRawPromptIsCutFromTheLeft(t *testing.T) {
	for _, c := range []struct {
		name string
		tok  byteTokenizer
		want string
	}{
		{"none", byteTokenizer{}, "efghij TL;DR:"},
		{"bos", byteTokenizer{prefix: []int32{bosID}}, "<s>fghij TL;DR:"},
		{"eos", byteTokenizer{suffix: []int32{eosID}}, "fghij TL;DR:</s>"},
		{"both", byteTokenizer{prefix: []int32{bosID}, suffix: []int32{eosID}}, "<s>ghij TL;DR:</s>"},
		{"two", byteTokenizer{prefix: []int32{bosID, userID}, suffix: []int32{eosID}}, "<s><|user|>hij TL;DR:</s>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ids, err := raw(c.tok, 13).Prompt("abcdefghij")
			require.NoError(t, err)
			require.Len(t, ids, 13)
			require.Equal(t, c.want, textOf(t, ids))
		})
	}
}

func TestRawPromptWithoutSpecialTokens(t *testing.T) {
	p := raw(byteTokenizer{prefix: []int32{bosID}, suffix: []int32{eosID}}, 10)
	p.AddSpecialTokens = false
	ids, err := p.Prompt("abcdefghij")
	require.NoError(t, err)
	require.Equal(t, "hij TL;DR:", textOf(t, ids))
}

func TestRawPromptThatFitsExactly(t *testing.T) {
	tok := byteTokenizer{prefix: []int32{bosID}}
	for limit, want := range map[int]string{12: "<s>abcd TL;DR:", 13: "<s>abcd TL;DR:", 11: "<s>bcd TL;DR:", 2: "<s>:"} {
		ids, err := raw(tok, limit).Prompt("abcd")
		require.NoError(t, err)
		require.Equal(t, want, textOf(t, ids), "limit %d", limit)
	}
	_, err := raw(byteTokenizer{prefix: []int32{bosID}, suffix: []int32{eosID}}, 2).Prompt("abcd")
	require.ErrorIs(t, err, evaluation.ErrOptions)
	require.ErrorContains(t, err, "2 tokens of input leave no room for text beside the 2 special tokens")
}

// A text of the very tokens that are put around it must not be mistaken for them.
func TestRawPromptOfSpecialTokens(t *testing.T) {
	tok := byteTokenizer{prefix: []int32{bosID}, suffix: []int32{eosID}}
	ids, err := raw(tok, 10).Prompt("<s><s><s></s></s></s>")
	require.NoError(t, err)
	require.Equal(t, "<s></s> TL;DR:</s>", textOf(t, ids))
}

func TestChatPrompt(t *testing.T) {
	p := raw(byteTokenizer{template: true, prefix: []int32{bosID}}, 923)
	p.ChatTemplate = true
	ids, err := p.Prompt("  A ferry did n't sail. ")
	require.NoError(t, err)
	require.Equal(t, "<s><|user|>"+evaluation.Instruction+"A ferry didn't sail.<|reply|>", textOf(t, ids),
		"the template brings its own first token, and no suffix is added")
}

func TestChatPromptCutsTheArticleAlone(t *testing.T) {
	frame := len(evaluation.Instruction) + 3
	p := raw(byteTokenizer{template: true}, frame+10)
	p.ChatTemplate = true
	ids, err := p.Prompt("0123456789abcdefghij")
	require.NoError(t, err)
	require.Len(t, ids, frame+10)
	require.Equal(t, "<s><|user|>"+evaluation.Instruction+"abcdefghij<|reply|>", textOf(t, ids))

	// A cut within a character loses the rest of it, and a cut before white space loses that.
	ids, err = p.Prompt("0123456789éabcdefghi")
	require.NoError(t, err)
	require.Equal(t, "<s><|user|>"+evaluation.Instruction+"abcdefghi<|reply|>", strings.ReplaceAll(textOf(t, ids), "é", ""))
	ids, err = p.Prompt("0123456789 \nabcdefgh")
	require.NoError(t, err)
	require.Equal(t, "<s><|user|>"+evaluation.Instruction+"abcdefgh<|reply|>", textOf(t, ids))
	for limit := frame + 1; limit < frame+30; limit++ {
		p.MaxInputLength = limit
		ids, err = p.Prompt(strings.Repeat("日本", 20))
		require.NoError(t, err)
		require.LessOrEqual(t, len(ids), limit)
		require.NotContains(t, textOf(t, ids), "\ufffd")
	}
}

// stretching needs two tokens for each "x" once it stands in a conversation, so the first cut is not enough.
type stretching struct{ byteTokenizer }

func (s stretching) Encode(text string, o tokenizer.EncodeOptions) ([]int32, error) {
	if strings.HasPrefix(text, "<s>") {
		text = strings.ReplaceAll(text, "x", "yy")
	}
	return s.byteTokenizer.Encode(text, o)
}

func TestChatPromptCutsAgainIfNeeded(t *testing.T) {
	frame, err := evaluation.Prompter{Tokenizer: stretching{byteTokenizer{template: true}}, MaxInputLength: 1000, ChatTemplate: true}.Prompt("")
	require.NoError(t, err)
	p := evaluation.Prompter{Tokenizer: stretching{byteTokenizer{template: true}}, MaxInputLength: len(frame) + 11, ChatTemplate: true}
	ids, err := p.Prompt(strings.Repeat("x", 100))
	require.NoError(t, err)
	require.LessOrEqual(t, len(ids), p.MaxInputLength)
	require.Greater(t, len(ids), len(frame))
}

func TestChatPromptWithoutRoom(t *testing.T) {
	p := raw(byteTokenizer{template: true}, 40)
	p.ChatTemplate = true
	_, err := p.Prompt("an article")
	require.ErrorIs(t, err, evaluation.ErrOptions)
	require.ErrorContains(t, err, "40 tokens of input leave no room for text")
	p.Tokenizer = byteTokenizer{}
	_, err = p.Prompt("an article")
	require.ErrorIs(t, err, tokenizer.ErrNoChatTemplate)
}

func TestPromptReportsTheTokenizer(t *testing.T) {
	for _, chat := range []bool{false, true} {
		p := raw(byteTokenizer{template: true}, 500)
		p.ChatTemplate = chat
		_, err := p.Prompt("BROKEN")
		require.ErrorIs(t, err, errBroken)
	}
}

func TestUseChatTemplate(t *testing.T) {
	with, without := byteTokenizer{template: true}, byteTokenizer{}
	for _, c := range []struct {
		choice  string
		tok     byteTokenizer
		rawOnly bool
		want    bool
	}{
		{"auto", with, false, true}, {"auto", with, true, false}, {"auto", without, false, false}, {"", with, false, true},
		{"on", with, true, true}, {"on", with, false, true}, {"off", with, false, false}, {"off", without, true, false},
	} {
		got, err := evaluation.UseChatTemplate(c.choice, c.tok, c.rawOnly)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%+v", c)
	}
	_, err := evaluation.UseChatTemplate("on", without, false)
	require.ErrorIs(t, err, tokenizer.ErrNoChatTemplate)
	_, err = evaluation.UseChatTemplate("yes", with, false)
	require.ErrorIs(t, err, evaluation.ErrOptions)
	require.ErrorContains(t, err, `auto, on or off, not "yes"`)
}
