package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// conversation is what was said in a chat: a system message, if there is one, and
// whole turns.
type conversation struct {
	system string
	turns  []turn
	encode func([]tokenizer.Message) ([]int32, error)
	room   room
}

// turn is a message and its answer.
type turn struct{ user, assistant string }

// room are the tokens that an engine has for a conversation.
type room struct {
	input  int // of a prompt
	all    int // of a prompt and its answer
	answer int // kept free for an answer
}

// roomOf divides what the engine has. An answer of 0 tokens is a default: half of
// the room, at most defaultAnswer.
func roomOf(c trtllm.Config, answer int) (room, error) {
	// The last token's keys and values are never needed.
	r := room{input: c.MaxInputLen, all: min(c.MaxSeqLen, c.KVCacheTokens+1), answer: answer}
	if answer == 0 {
		r.answer = max(1, min(defaultAnswer, r.all/2))
	}
	if r.answer >= r.all {
		return r, fmt.Errorf("--max_output_len is %d, the engine has room for %d tokens of conversation and answer: lower it, or build with a larger max_seq_len", answer, r.all)
	}
	return r, nil
}

// prompt is the conversation with one more message, as token ids, and how many
// tokens its answer may have. The oldest turns are left out of it until an answer
// fits; their number is told, and add forgets them. A message that is long in itself
// gets a shorter answer.
func (v *conversation) prompt(message string) (ids []int32, answer, forgotten int, err error) {
	limit := min(v.room.input, v.room.all-v.room.answer)
	for ; forgotten <= len(v.turns); forgotten++ {
		if ids, err = v.encode(v.messages(v.turns[forgotten:], message)); err != nil {
			return nil, 0, 0, err
		}
		if len(ids) <= limit {
			return ids, v.room.answer, forgotten, nil
		}
	}
	if len(ids) > v.room.input || len(ids) >= v.room.all {
		return nil, 0, 0, fmt.Errorf("the message takes %d tokens, with what always stands before it; the engine takes %d: shorten it, or build with larger max_input_len and max_seq_len",
			len(ids), min(v.room.input, v.room.all-1))
	}
	return ids, min(v.room.answer, v.room.all-len(ids)), len(v.turns), nil
}

// add keeps a turn, and forgets the oldest ones.
func (v *conversation) add(t turn, forgotten int) {
	v.turns = append(v.turns[forgotten:], t)
}

func (v *conversation) messages(turns []turn, message string) []tokenizer.Message {
	var messages []tokenizer.Message
	if v.system != "" {
		messages = append(messages, tokenizer.Message{Role: "system", Content: v.system})
	}
	for _, t := range turns {
		messages = append(messages, tokenizer.Message{Role: "user", Content: t.user}, tokenizer.Message{Role: "assistant", Content: t.assistant})
	}
	return append(messages, tokenizer.Message{Role: "user", Content: message})
}

// templateEncoder renders messages by the model's chat template, up to the beginning
// of the answer.
func templateEncoder(t *tokenizer.Tokenizer) func([]tokenizer.Message) ([]int32, error) {
	now := time.Now() // a template that prints the time does not change what was said before
	return func(messages []tokenizer.Message) ([]int32, error) {
		text, err := t.ApplyChatTemplate(messages, tokenizer.ChatOptions{AddGenerationPrompt: true, Now: now})
		if err != nil {
			return nil, err
		}
		return t.Encode(text, tokenizer.EncodeOptions{})
	}
}

// plainEncoder puts messages one below the other, so that a model without a template
// continues the text.
func plainEncoder(t *tokenizer.Tokenizer, addSpecialTokens bool) func([]tokenizer.Message) ([]int32, error) {
	return func(messages []tokenizer.Message) ([]int32, error) {
		texts := make([]string, len(messages))
		for i, m := range messages {
			texts[i] = m.Content
		}
		return t.Encode(strings.Join(texts, "\n"), tokenizer.EncodeOptions{AddSpecialTokens: addSpecialTokens})
	}
}
