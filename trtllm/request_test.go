package trtllm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// Every field of a request arrives at the executor.
func TestRequestFields(t *testing.T) {
	x := &scripted{answer: saying("a")}
	e := scriptedEngine(t, x)
	early := 0
	data := new(int)
	_, err := e.Generate(t.Context(), Request{
		InputIDs: []int32{1, 2}, MaxTokens: 9, StopSequences: [][]int32{{3}}, BadSequences: [][]int32{{4}}, BadWords: []string{"Hello"},
		EndIDs: []int32{5}, LogProbs: true, TopLogProbs: 6, PromptLogProbs: true, PromptTopLogProbs: 7,
		ContextLogits: true, PromptFrom: 2, GenerationLogits: true, ProcessorData: data, CacheSalt: 8, Timeout: time.Hour, Priority: 0.75,
		Sampling: Sampling{
			Temperature: 1, TopK: 2, TopP: 0.3, MinP: 0.4, Seed: 5, NumReturnSequences: 1, MinTokens: 8,
			TopPDecay: 0.5, TopPMin: 0.25, TopPResetIDs: []int32{6}, RepetitionPenalty: 9, PresencePenalty: 10, FrequencyPenalty: 11,
			PromptIgnoreLength: 12, NoRepeatNgramSize: 13, Bias: map[int32]float32{1: 2},
			BeamWidth: 1, LengthPenalty: 14, EarlyStopping: &early, BeamSearchDiversityRate: 15,
		},
	})
	require.NoError(t, err)
	require.Equal(t, executor.Request{
		ClientID: 1, InputIDs: []int32{1, 2}, MaxTokens: 9, StopSequences: [][]int32{{3}}, BadSequences: [][]int32{{idHello}, {4}},
		EndIDs: []int32{5}, LogProbs: true, TopLogProbs: 6, PromptLogProbs: true, PromptTopLogProbs: 7,
		ContextLogits: true, PromptFrom: 2, GenerationLogits: true, ProcessorData: data, CacheSalt: 8, AllottedTime: time.Hour, Priority: 0.75,
		Sampling: executor.Sampling{
			Temperature: 1, TopK: 2, TopP: 0.3, MinP: 0.4, Seed: 5, NumReturnSequences: 1, MinTokens: 8,
			TopPDecay: 0.5, TopPMin: 0.25, TopPResetIDs: []int32{6}, RepetitionPenalty: 9, PresencePenalty: 10, FrequencyPenalty: 11,
			PromptIgnoreLength: 12, NoRepeatNgramSize: 13, Bias: map[int32]float32{1: 2},
			BeamWidth: 1, LengthPenalty: 14, EarlyStopping: &early, BeamSearchDiversityRate: 15,
		},
	}, x.last(t))
}

// What is not set is upstream's default.
func TestRequestDefaults(t *testing.T) {
	x := &scripted{answer: saying("a")}
	e := scriptedEngine(t, x)
	_, err := e.Generate(t.Context(), Request{InputIDs: []int32{1, 2}})
	require.NoError(t, err)
	require.Equal(t, executor.Request{
		ClientID: 1, InputIDs: []int32{1, 2}, MaxTokens: 190, EndIDs: []int32{idEnd}, Priority: 0.5, Sampling: executor.Sampling{TopK: 1},
	}, x.last(t))
	for _, p := range []float32{1e-6, 1} {
		_, err := e.Generate(t.Context(), Request{InputIDs: []int32{1}, Priority: p})
		require.NoError(t, err)
		require.InDelta(t, p, x.last(t).Priority, 0)
	}
	require.False(t, x.last(t).Streaming)
	_, err = chunksOf(t.Context(), e, Request{InputIDs: []int32{1}})
	require.NoError(t, err)
	require.True(t, x.last(t).Streaming)
}

// How many sequences come back.
func TestSequences(t *testing.T) {
	for _, c := range []struct {
		sampling Sampling
		want     int
	}{
		{Sampling{}, 1}, {Sampling{NumReturnSequences: 1}, 1}, {Sampling{NumReturnSequences: 5}, 5}, {Sampling{BeamWidth: 1}, 1},
		{Sampling{BeamWidth: 4}, 4}, {Sampling{BeamWidth: 4, NumReturnSequences: 2}, 2}, {Sampling{NumReturnSequences: -3}, 1}, {Sampling{BeamWidth: -3}, 1},
	} {
		require.Equal(t, c.want, c.sampling.sequences(), "%+v", c.sampling)
		require.Equal(t, c.want > 1 && c.sampling.BeamWidth > 1, c.sampling.beams(), "%+v", c.sampling)
	}
}

// Everything of a response is in the Response, and what is about the prompt is in the
// stream's first chunk alone.
func TestResponseFields(t *testing.T) {
	best := func(id int32) []executor.LogProb {
		return []executor.LogProb{{Token: id, LogProb: -0.5}, {Token: id + 1, LogProb: -2}}
	}
	x := &scripted{answer: func(executor.Request) ([]executor.Response, error) {
		first := executor.Response{
			OutputIDs: []int32{'a'}, LogProbs: []float32{-1}, TopLogProbs: [][]executor.LogProb{best(3)}, CumLogProb: -1, Logits: [][]float32{{1, 2}},
			ContextLogits: [][]float32{{5}, {6}}, PromptLogProbs: []float32{0, -3}, PromptTopLogProbs: [][]executor.LogProb{nil, best(7)},
			Timing: executor.Timing{Scheduled: 1, FirstToken: 2, LastToken: 2}, KVCache: executor.RequestCache{ReusedTokens: 4},
		}
		second := executor.Response{
			OutputIDs: []int32{'b'}, LogProbs: []float32{-2}, TopLogProbs: [][]executor.LogProb{best(5)}, CumLogProb: -3, Logits: [][]float32{{3, 4}},
			Timing: executor.Timing{Scheduled: 1, FirstToken: 2, LastToken: 9}, KVCache: executor.RequestCache{ReusedTokens: 4, Paused: 2},
			FinishReason: executor.FinishEnd, SequenceFinal: true, Final: true,
		}
		return []executor.Response{first, second}, nil
	}}
	e := scriptedEngine(t, x)
	r := Request{InputIDs: []int32{1, 2}, LogProbs: true}
	response, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	want := Sequence{
		OutputIDs: []int32{'a', 'b'}, Text: "ab", FinishReason: FinishEnd, LogProbs: []float32{-1, -2}, CumLogProb: -3,
		TopLogProbs: [][]LogProb{{{3, -0.5}, {4, -2}}, {{5, -0.5}, {6, -2}}}, Logits: [][]float32{{1, 2}, {3, 4}},
		Timing: Timing{Scheduled: 1, FirstToken: 2, LastToken: 9}, Cache: SequenceCache{ReusedTokens: 4, Paused: 2},
	}
	require.Equal(t, &Response{
		RequestID: 1, InputIDs: []int32{1, 2}, Sequence: want, Sequences: []Sequence{want}, ContextLogits: [][]float32{{5}, {6}},
		PromptLogProbs: []float32{0, -3}, PromptTopLogProbs: [][]LogProb{{}, {{7, -0.5}, {8, -2}}},
	}, response)

	chunks, err := chunksOf(t.Context(), e, r)
	require.NoError(t, err)
	require.Equal(t, []Chunk{
		{
			RequestID: 2, Text: "a", OutputIDs: []int32{'a'}, LogProbs: []float32{-1}, TopLogProbs: [][]LogProb{{{3, -0.5}, {4, -2}}}, CumLogProb: -1,
			Logits: [][]float32{{1, 2}}, Timing: Timing{Scheduled: 1, FirstToken: 2, LastToken: 2}, Cache: SequenceCache{ReusedTokens: 4},
			ContextLogits: [][]float32{{5}, {6}}, PromptLogProbs: []float32{0, -3}, PromptTopLogProbs: [][]LogProb{{}, {{7, -0.5}, {8, -2}}},
		},
		{
			RequestID: 2, Text: "b", OutputIDs: []int32{'b'}, LogProbs: []float32{-2}, TopLogProbs: [][]LogProb{{{5, -0.5}, {6, -2}}}, CumLogProb: -3,
			Logits: [][]float32{{3, 4}}, FinishReason: FinishEnd, Timing: Timing{Scheduled: 1, FirstToken: 2, LastToken: 9},
			Cache: SequenceCache{ReusedTokens: 4, Paused: 2},
		},
	}, chunks)
}

// A prompt's log-probs may come before the first token, in a chunk of their own.
func TestPromptBeforeTheFirstToken(t *testing.T) {
	e := scriptedEngine(t, &scripted{answer: func(executor.Request) ([]executor.Response, error) {
		return final([]executor.Response{{PromptLogProbs: []float32{0, -1}}}, tokens(0, executor.FinishEnd, 'a')), nil
	}})
	chunks, err := chunksOf(t.Context(), e, Request{InputIDs: []int32{1, 2}, PromptLogProbs: true})
	require.NoError(t, err)
	require.Len(t, chunks, 2)
	require.Equal(t, []float32{0, -1}, chunks[0].PromptLogProbs)
	require.Nil(t, chunks[1].PromptLogProbs)
}
