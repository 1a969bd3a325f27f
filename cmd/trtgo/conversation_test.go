package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// wordConversation has a token for each word, and one before each message.
func wordConversation(system string, r room, turns ...turn) *conversation {
	return &conversation{system: system, turns: turns, room: r, encode: func(messages []tokenizer.Message) ([]int32, error) {
		var ids []int32
		for _, m := range messages {
			ids = append(ids, -1)
			for _, word := range strings.Fields(m.Content) {
				ids = append(ids, int32(word[0]))
			}
		}
		return ids, nil
	}}
}

func TestRoomOf(t *testing.T) {
	config := trtllm.Config{MaxInputLen: 900, MaxSeqLen: 2000, KVCacheTokens: 4096}
	small := trtllm.Config{MaxInputLen: 900, MaxSeqLen: 2000, KVCacheTokens: 63}
	tests := []struct {
		name   string
		config trtllm.Config
		answer int
		want   room
	}{
		{"default", config, 0, room{900, 2000, defaultAnswer}},
		{"default in a small cache", small, 0, room{900, 64, 32}},
		{"given", config, 1999, room{900, 2000, 1999}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := roomOf(tt.config, tt.answer)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	_, err := roomOf(small, 64)
	require.EqualError(t, err, "--max_output_len is 64, the engine has room for 64 tokens of conversation and answer: lower it, or build with a larger max_seq_len")
}

// The oldest turns go until an answer fits; the system message stays.
func TestPromptForgetsTheOldestTurns(t *testing.T) {
	turns := []turn{{"a", "b c"}, {"d", "e"}, {"f", "g"}} // 5, 4 and 4 tokens; system and message have 2 each
	tests := []struct {
		name      string
		room      room
		message   string
		length    int // of the prompt
		answer    int
		forgotten int
	}{
		{"all fits", room{100, 20, 3}, "m", 17, 3, 0},
		{"the first goes", room{100, 19, 3}, "m", 12, 3, 1},
		{"it goes for max_input_len", room{16, 100, 3}, "m", 12, 3, 1},
		{"two go", room{100, 14, 3}, "m", 8, 3, 2},
		{"all go", room{100, 10, 3}, "m", 4, 3, 3},
		{"a long message", room{100, 20, 16}, "m n o p", 7, 13, 3},
		{"a message that leaves one token", room{100, 8, 4}, "m n o p", 7, 1, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := wordConversation("s", tt.room, turns...)
			ids, answer, forgotten, err := v.prompt(tt.message)
			require.NoError(t, err)
			require.Equal(t, int32('s'), ids[1])
			require.Equal(t, []int{tt.length, tt.answer, tt.forgotten}, []int{len(ids), answer, forgotten})
			require.Len(t, v.turns, 3, "kept until there is an answer")
			v.add(turn{tt.message, "z"}, forgotten)
			require.Len(t, v.turns, 4-tt.forgotten)
			require.Equal(t, turn{tt.message, "z"}, v.turns[3-tt.forgotten])
		})
	}
}

func TestPromptThatDoesNotFit(t *testing.T) {
	for _, r := range []room{{input: 4, all: 100, answer: 1}, {input: 100, all: 5, answer: 1}} {
		t.Run(fmt.Sprint(r), func(t *testing.T) {
			_, _, _, err := wordConversation("s", r, turn{"a", "b"}).prompt("m n")
			require.EqualError(t, err, "the message takes 5 tokens, with what always stands before it; the engine takes 4: shorten it, or build with larger max_input_len and max_seq_len")
		})
	}
	refusal := errors.New("no")
	v := wordConversation("", room{10, 10, 1})
	v.encode = func([]tokenizer.Message) ([]int32, error) { return nil, refusal }
	_, _, _, err := v.prompt("m")
	require.ErrorIs(t, err, refusal)
}
