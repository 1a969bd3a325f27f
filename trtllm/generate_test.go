package trtllm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/tokenizer"
)

func TestGenerate(t *testing.T) {
	e, _ := toyEngine(t)
	response, err := e.Generate(t.Context(), Request{Prompt: "Hi", MaxTokens: 9, EndIDs: []int32{}})
	require.NoError(t, err)
	require.Equal(t, []int32{idBegin, 'H', 'i'}, response.InputIDs)
	require.Equal(t, executortest.Greedy(response.InputIDs, 9, testVocabSize), response.OutputIDs)
	require.Equal(t, FinishLength, response.FinishReason)
	require.Equal(t, []Sequence{response.Sequence}, response.Sequences)
	require.Less(t, response.CumLogProb, float32(0))
	require.Nil(t, response.LogProbs)
	require.Positive(t, response.Timing.FirstToken)
	require.GreaterOrEqual(t, response.Timing.LastToken, response.Timing.FirstToken)
}

func TestPrompts(t *testing.T) {
	e, _ := toyEngine(t)
	for _, test := range []struct {
		name    string
		request Request
		want    []int32
	}{
		{"text", Request{Prompt: "ab"}, []int32{idBegin, 'a', 'b'}},
		{"text without special tokens", Request{Prompt: "ab", NoSpecialTokens: true}, []int32{'a', 'b'}},
		{"special token in text", Request{Prompt: "a<end>", NoSpecialTokens: true}, []int32{'a', idEnd}},
		{"ids", Request{InputIDs: []int32{5, 259}}, []int32{5, 259}},
		{"messages", Request{Messages: []tokenizer.Message{{Role: "user", Content: "x"}}}, bytesOf("user: x\nassistant:")},
		{"nothing is the empty text", Request{}, []int32{idBegin}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.request.MaxTokens = 1
			response, err := e.Generate(t.Context(), test.request)
			require.NoError(t, err)
			require.Equal(t, test.want, response.InputIDs)
		})
	}
}

func TestRequestErrors(t *testing.T) {
	e, _ := toyEngine(t)
	for _, test := range []struct {
		name    string
		request Request
		want    error
		text    string
	}{
		{"two prompts", Request{Prompt: "a", InputIDs: []int32{1}}, ErrInvalidRequest, "2 are set"},
		{"three prompts", Request{Prompt: "a", InputIDs: []int32{1}, Messages: []tokenizer.Message{{}}}, ErrInvalidRequest, "3 are set"},
		{"no tokens", Request{NoSpecialTokens: true}, ErrInvalidRequest, "no input tokens"},
		{"empty ids", Request{InputIDs: []int32{}}, ErrInvalidRequest, "no input tokens"},
		{"negative max tokens", Request{Prompt: "a", MaxTokens: -3}, ErrInvalidRequest, "-3"},
		{"token outside the vocabulary", Request{InputIDs: []int32{260}}, ErrInvalidRequest, "260"},
		{"end id outside the vocabulary", Request{Prompt: "a", EndIDs: []int32{999}}, ErrInvalidRequest, "999"},
		{"negative temperature", Request{Prompt: "a", Sampling: Sampling{Temperature: -0.5}}, ErrInvalidRequest, "temperature is -0.5"},
		{"negative top_k", Request{Prompt: "a", Sampling: Sampling{TopK: -1}}, ErrInvalidRequest, "top_k is -1"},
		{"top_p above 1", Request{Prompt: "a", Sampling: Sampling{TopP: 1.01}}, ErrInvalidRequest, "top_p is 1.01"},
		{"negative sequences", Request{Prompt: "a", Sampling: Sampling{NumReturnSequences: -1}}, ErrInvalidRequest, "-1"},
		{"more beams than places", Request{Prompt: "a", Sampling: Sampling{BeamWidth: 9}}, ErrUnsupported, "beam width is 9"},
		{"priority", Request{Prompt: "a", Priority: 3}, ErrInvalidRequest, "priority is 3"},
		{"timeout", Request{Prompt: "a", Timeout: -1}, ErrInvalidRequest, "-1ns"},
		{"long prompt", Request{InputIDs: make([]int32, 151), MaxTokens: 1}, ErrTooLong, "max_input_len is 150"},
		{"long prompt, default length", Request{InputIDs: make([]int32, 1000)}, ErrTooLong, "1000 tokens"},
		{"long output", Request{InputIDs: []int32{1, 2}, MaxTokens: 191}, ErrTooLong, "max_seq_len is 192"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, err := e.Generate(t.Context(), test.request)
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, test.text)
			require.Nil(t, response)
			n := 0
			for chunk, err := range e.Stream(t.Context(), test.request) {
				require.ErrorIs(t, err, test.want)
				require.Zero(t, chunk)
				n++
			}
			require.Equal(t, 1, n)
		})
	}
	require.Empty(t, e.calls)
}

func TestWithoutTokenizer(t *testing.T) {
	e, _ := toyEngineWith(t, nil)
	_, err := e.Tokenizer()
	require.ErrorIs(t, err, ErrNoTokenizer)
	for _, r := range []Request{
		{Prompt: "a"}, {}, {Messages: []tokenizer.Message{{Role: "user", Content: "x"}}},
		{InputIDs: []int32{1}, StopWords: []string{"x"}}, {InputIDs: []int32{1}, BadWords: []string{"x"}},
	} {
		_, err := e.Generate(t.Context(), r)
		require.ErrorIs(t, err, ErrNoTokenizer)
	}
	response, err := e.Generate(t.Context(), Request{InputIDs: []int32{1, 2}, MaxTokens: 5})
	require.NoError(t, err)
	require.Len(t, response.OutputIDs, 5)
	require.Empty(t, response.Text)
}

func TestDefaultMaxTokens(t *testing.T) {
	e, _ := toyEngine(t)
	response, err := e.Generate(t.Context(), Request{InputIDs: make([]int32, 100), EndIDs: []int32{}})
	require.NoError(t, err)
	require.Len(t, response.OutputIDs, 92, "up to max_seq_len")
	e.config.KVCacheTokens = 110 // as if the cache had no more
	response, err = e.Generate(t.Context(), Request{InputIDs: make([]int32, 100), EndIDs: []int32{}})
	require.NoError(t, err)
	require.Len(t, response.OutputIDs, 11, "up to what the KV cache holds, and the last one")
}

func TestEndIDs(t *testing.T) {
	e, gate := toyEngine(t)
	say(gate, append(bytesOf("ab"), idEnd)...)
	response, err := e.Generate(t.Context(), Request{Prompt: "x", MaxTokens: 9})
	require.NoError(t, err)
	require.Equal(t, FinishEnd, response.FinishReason, "the tokenizer's end token is the default")
	require.Equal(t, "ab", response.Text)

	say(gate, append(bytesOf("ab"), idEnd, 'c', 'd')...)
	response, err = e.Generate(t.Context(), Request{Prompt: "x", MaxTokens: 4, EndIDs: []int32{}})
	require.NoError(t, err)
	require.Equal(t, FinishLength, response.FinishReason, "an empty list means none")
	require.Equal(t, "abc", response.Text)
	require.Equal(t, []int32{'a', 'b', idEnd, 'c'}, response.OutputIDs)

	say(gate, append(bytesOf("ab"), idEnd, 'c', 'd')...)
	response, err = e.Generate(t.Context(), Request{Prompt: "x", MaxTokens: 9, EndIDs: []int32{'z', 'c'}, KeepSpecialTokens: true})
	require.NoError(t, err)
	require.Equal(t, FinishEnd, response.FinishReason)
	require.Equal(t, "ab<end>", response.Text)
}

func TestUnknownTokenHasNoText(t *testing.T) {
	e, gate := toyEngine(t)
	say(gate, 'a', 259, 'b')
	response, err := e.Generate(t.Context(), Request{Prompt: "x", MaxTokens: 3})
	require.NoError(t, err)
	require.Equal(t, "ab", response.Text)
	require.Equal(t, []int32{'a', 259, 'b'}, response.OutputIDs)
}

func TestStopWords(t *testing.T) {
	e, gate := toyEngine(t)
	for _, test := range []struct {
		name      string
		say       []int32
		words     []string
		minTokens int
		text      string
		ids       int
	}{
		{"one token each byte", bytesOf("one STOP two"), []string{"STOP"}, 0, "one STOP", 8},
		{"inside a token", append(bytesOf("x"), idHello), []string{"ell"}, 0, "xHell", 2},
		{"the one that ends first", bytesOf("abcdef"), []string{"cdef", "bcd", "zz"}, 0, "abcd", 4},
		{"the shorter at the same place", bytesOf("abcdef"), []string{"abcd", "ab"}, 0, "ab", 2},
		{"beginning with itself", bytesOf("aaab"), []string{"aab"}, 0, "aaab", 4},
		{"across a character", bytesOf("né!?"), []string{"é!"}, 0, "né!", 4},
		{"empty words are none", bytesOf("ab<c"), []string{"", "<"}, 0, "ab<", 3},
		{"held back for min tokens", bytesOf("a.b.c.d"), []string{"."}, 4, "a.b.", 4},
		{"not found again later", bytesOf("..ab.d"), []string{"."}, 4, "..ab.", 5},
		{"over the prompt's end is none", bytesOf("x|"), []string{"ax", "|"}, 0, "x|", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := Request{Prompt: "a", MaxTokens: 40, StopWords: test.words, LogProbs: true, Sampling: Sampling{MinTokens: test.minTokens}}
			say(gate, test.say...)
			response, err := e.Generate(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, FinishStop, response.FinishReason)
			require.Equal(t, test.text, response.Text)
			require.Equal(t, test.say[:test.ids], response.OutputIDs)
			require.Len(t, response.LogProbs, test.ids)
			require.Positive(t, response.Timing.LastToken)

			say(gate, test.say...)
			streamed := collect(t, e, r)
			require.Equal(t, test.text, streamed[0].Text)
			require.Equal(t, test.say[:test.ids], streamed[0].OutputIDs)
			require.Equal(t, FinishStop, streamed[0].FinishReason)
		})
	}
	require.Zero(t, e.Stats().ActiveRequests, "the engine has let go of what was stopped")
}

func TestStopSequencesAndBadWords(t *testing.T) {
	e, gate := toyEngine(t)
	say(gate, 1, 2, 3, 4)
	response, err := e.Generate(t.Context(), Request{InputIDs: []int32{9}, MaxTokens: 9, StopSequences: [][]int32{{2, 3}}})
	require.NoError(t, err)
	require.Equal(t, []int32{1, 2, 3}, response.OutputIDs)
	require.Equal(t, FinishStop, response.FinishReason)

	gate.After(nil)
	r := Request{InputIDs: []int32{65, 66, 67}, MaxTokens: 8, EndIDs: []int32{}}
	free, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	r.BadSequences = [][]int32{{free.OutputIDs[0]}}
	r.BadWords = []string{"Hello", ""}
	other, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	require.NotContains(t, other.OutputIDs, free.OutputIDs[0])
	request, err := e.prepare(&r)
	require.NoError(t, err)
	require.Equal(t, [][]int32{{idHello}, {free.OutputIDs[0]}}, request.BadSequences)
}

// collect joins the chunks of a stream.
func collect(t *testing.T, e *Engine, r Request) []Sequence {
	t.Helper()
	response := Response{Sequences: make([]Sequence, max(1, r.Sampling.NumReturnSequences))}
	for chunk, err := range e.Stream(t.Context(), r) {
		require.NoError(t, err)
		require.Equal(t, FinishNone, response.Sequences[chunk.Sequence].FinishReason, "a chunk after the last")
		response.add(&chunk)
	}
	return response.Sequences
}

// Whatever the model says, chunks are whole characters and join to what Generate gives.
func TestStreamIsGenerate(t *testing.T) {
	e, _ := toyEngine(t)
	tok, err := e.Tokenizer()
	require.NoError(t, err)
	for seed := range uint64(40) {
		r := Request{
			InputIDs: []int32{int32(seed), 7}, MaxTokens: 60, EndIDs: []int32{3}, LogProbs: true, GenerationLogits: true, ContextLogits: true,
			Sampling: Sampling{Temperature: 1, Seed: seed, NumReturnSequences: 1 + int(seed%3), Bias: map[int32]float32{0xE2: 5, 0x82: 5, 0xAC: 5, 0xF0: 4, 'a': 5}},
		}
		if seed%2 == 0 {
			r.StopWords = []string{"€€", "aa"}
		}
		whole, err := e.Generate(t.Context(), r)
		require.NoError(t, err)
		streamed := collect(t, e, r)
		for i := range streamed {
			whole.Sequences[i].Timing, streamed[i].Timing = Timing{}, Timing{}
			require.Equal(t, whole.Sequences[i], streamed[i])
			require.Len(t, streamed[i].LogProbs, len(streamed[i].OutputIDs))
			require.Len(t, streamed[i].Logits, len(streamed[i].OutputIDs))
			text, err := tok.Decode(streamed[i].OutputIDs, tokenizer.DecodeOptions{SkipSpecialTokens: true})
			if err == nil && streamed[i].FinishReason != FinishStop {
				require.Equal(t, text, streamed[i].Text)
			}
		}
		require.Len(t, whole.ContextLogits, 2)
		for chunk := range e.Stream(t.Context(), r) {
			require.True(t, utf8.ValidString(chunk.Text), "%q", chunk.Text)
		}
	}
}

func TestEmojiComesWhole(t *testing.T) {
	e, gate := toyEngine(t)
	say(gate, bytesOf("a😀b\xF0\x9F")...)
	var texts []string
	for chunk, err := range e.Stream(t.Context(), Request{Prompt: "x", MaxTokens: 8}) {
		require.NoError(t, err)
		texts = append(texts, chunk.Text)
	}
	require.Equal(t, []string{"a", "", "", "", "😀", "b", "", "\uFFFD"}, texts)
}

// A loop may be left while all of the answer has come, its end too.
func TestLeaveBeforeWhatHasCome(t *testing.T) {
	e, _ := toyEngine(t)
	n := 0
	for _, err := range e.Stream(t.Context(), Request{Prompt: "a", MaxTokens: 6, EndIDs: []int32{}}) {
		require.NoError(t, err)
		if n++; n == 2 {
			break
		}
		for e.Stats().ActiveRequests > 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Millisecond) // the pump most likely has passed it on
	}
	require.Equal(t, 2, n)
}

func TestReturnSequences(t *testing.T) {
	e, _ := toyEngine(t)
	r := Request{InputIDs: []int32{4, 5, 6}, MaxTokens: 10, EndIDs: []int32{}, Sampling: Sampling{Temperature: 1, Seed: 100}}
	var alone [][]int32
	for range 3 {
		response, err := e.Generate(t.Context(), r)
		require.NoError(t, err)
		alone = append(alone, response.OutputIDs)
		r.Sampling.Seed++
	}
	r.Sampling.Seed, r.Sampling.NumReturnSequences = 100, 3
	response, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	for i, s := range response.Sequences {
		require.Equal(t, alone[i], s.OutputIDs)
	}
}

func TestSamplingZeroValueIsGreedy(t *testing.T) {
	for _, test := range []struct {
		sampling Sampling
		topK     int
	}{
		{Sampling{}, 1},
		{Sampling{Seed: 7, MinTokens: 3, RepetitionPenalty: 2}, 1},
		{Sampling{Temperature: 0.5}, 0},
		{Sampling{TopP: 0.5}, 0},
		{Sampling{MinP: 0.5}, 0},
		{Sampling{TopK: 5}, 5},
		{Sampling{TopK: 1, Temperature: 2}, 1},
	} {
		require.Equal(t, test.topK, test.sampling.leaf().TopK, "%+v", test.sampling)
	}
}

func TestTimeoutIsNoError(t *testing.T) {
	e, _ := toyEngine(t)
	response, err := e.Generate(t.Context(), Request{Prompt: "a", Timeout: 1})
	require.NoError(t, err)
	require.Equal(t, FinishTimeout, response.FinishReason)
}

func TestRunnerErrorIsTheRequests(t *testing.T) {
	e, gate := toyEngine(t)
	broken := errors.New("broken")
	steps := 0
	gate.Before(func([]executor.Sequence) error {
		if steps++; steps > 3 {
			return broken
		}
		return nil
	})
	var got string
	var failed error
	for chunk, err := range e.Stream(t.Context(), Request{Prompt: "a", MaxTokens: 9, KeepSpecialTokens: true, EndIDs: []int32{}}) {
		failed = err
		got += strings.Repeat("t", len(chunk.OutputIDs))
	}
	require.ErrorIs(t, failed, broken)
	require.Equal(t, "ttt", got)
	gate.Before(nil)
	_, err := e.Generate(t.Context(), Request{Prompt: "a", MaxTokens: 2})
	require.NoError(t, err)
	require.Empty(t, e.calls)
}

func TestManyAtOnce(t *testing.T) {
	e, _ := toyEngine(t)
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			prompt := []int32{int32(i), 3, int32(2 * i)}
			want := executortest.Greedy(prompt, 20, testVocabSize)
			r := Request{InputIDs: prompt, MaxTokens: 20, EndIDs: []int32{}}
			if i%2 == 0 {
				response, err := e.Generate(t.Context(), r)
				if !(err == nil && slices.Equal(want, response.OutputIDs)) {
					t.Errorf("request %d: %v", i, err)
				}
				return
			}
			var got []int32
			for chunk, err := range e.Stream(t.Context(), r) {
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				}
				got = append(got, chunk.OutputIDs...)
			}
			if !slices.Equal(want, got) {
				t.Errorf("request %d: %v, want %v", i, got, want)
			}
		})
	}
	wait.Wait()
	require.Empty(t, e.calls)
	require.EqualValues(t, 40, e.Stats().FinishedRequests)
}

// A consumer that stands still holds up neither the others nor the engine.
func TestSlowConsumer(t *testing.T) {
	e, _ := toyEngine(t)
	r := Request{InputIDs: []int32{1, 2}, MaxTokens: 30, EndIDs: []int32{}}
	first := true
	n := 0
	for chunk, err := range e.Stream(t.Context(), r) {
		require.NoError(t, err)
		if first {
			first = false
			for range 5 {
				_, err := e.Generate(t.Context(), r)
				require.NoError(t, err)
			}
		}
		n += len(chunk.OutputIDs)
	}
	require.Equal(t, 30, n)
}

func TestContext(t *testing.T) {
	e, gate := toyEngine(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Generate(ctx, Request{Prompt: "a"})
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, e.Stats().Iterations, "nothing was begun")

	// In the middle: what there is comes with the error.
	ctx, cancel = context.WithCancel(t.Context())
	steps := 0
	gate.Before(func([]executor.Sequence) error {
		if steps++; steps == 5 {
			cancel()
			waitCancelled(e) // within the step, which is aborted: nobody else is in it
		}
		return nil
	})
	r := Request{InputIDs: []int32{1, 2}, MaxTokens: 100, EndIDs: []int32{}}
	response, err := e.Generate(ctx, r)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, FinishCancelled, response.FinishReason)
	require.Equal(t, executortest.Greedy(r.InputIDs, 4, testVocabSize), response.OutputIDs)
}

func TestContextCause(t *testing.T) {
	e, _ := toyEngine(t)
	why := errors.New("the client went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	var failed error
	for chunk, err := range e.Stream(ctx, Request{InputIDs: []int32{1}, EndIDs: []int32{}}) {
		if failed = err; err != nil {
			break
		}
		if n += len(chunk.OutputIDs); n == 3 {
			cancel(why)
		}
	}
	cancel(nil)
	if failed != nil { // a short toy may be through before
		require.ErrorIs(t, failed, why)
		require.ErrorIs(t, failed, context.Canceled)
	}
	expired, cancelExpired := context.WithTimeout(t.Context(), 0)
	defer cancelExpired()
	_, err := e.Generate(expired, Request{Prompt: "a"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestLeavingAStreamCancels(t *testing.T) {
	e, gate := toyEngine(t)
	r := Request{InputIDs: []int32{1, 2}, MaxTokens: 150, EndIDs: []int32{}}
	steps := 0
	gate.Before(func([]executor.Sequence) error {
		if steps++; steps == 4 {
			gate.Hold() // so that the request is still there when the loop is left
		}
		return nil
	})
	for chunk, err := range e.Stream(t.Context(), r) {
		require.NoError(t, err)
		require.NotEmpty(t, chunk.OutputIDs)
		require.NoError(t, gate.Arrived(t.Context()))
		gate.Release()
		break
	}
	stats := e.Stats()
	require.Zero(t, stats.ActiveRequests+stats.QueuedRequests+stats.KVBlocksUsed, "the loop ends when the engine has let go")
	require.EqualValues(t, 1, stats.FinishedRequests)
	require.Empty(t, e.calls)
}

func TestClose(t *testing.T) {
	e, gate := toyEngine(t)
	gate.Hold()
	errs := make(chan error, 12)
	for i := range 12 {
		go func() {
			r := Request{InputIDs: []int32{int32(i)}, EndIDs: []int32{}}
			if i%2 == 0 {
				_, err := e.Generate(t.Context(), r)
				errs <- err
				return
			}
			var last error
			for _, last = range e.Stream(t.Context(), r) {
			}
			errs <- last
		}()
	}
	require.NoError(t, gate.Arrived(t.Context()))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for range 12 {
		require.ErrorIs(t, <-errs, ErrClosed)
	}
	wait.Wait()
	_, err := e.Generate(t.Context(), Request{Prompt: "a"})
	require.ErrorIs(t, err, ErrClosed)
	require.Zero(t, e.Stats().ActiveRequests)
	require.Equal(t, testVocabSize, e.Config().VocabSize)
}

// A runner that hears nothing does not hold Close, nor those who wait.
func TestCloseIsBounded(t *testing.T) {
	e, gate := toyEngine(t)
	e.closeTimeout = time.Millisecond
	deaf, entered := make(chan struct{}), make(chan struct{})
	gate.Before(func([]executor.Sequence) error {
		close(entered)
		<-deaf
		return nil
	})
	failed := make(chan error)
	go func() {
		_, err := e.Generate(t.Context(), Request{Prompt: "a"})
		failed <- err
	}()
	<-entered
	require.ErrorContains(t, e.Close(), "has not ended")
	require.ErrorIs(t, <-failed, ErrClosed)
	gate.Before(nil)
	close(deaf)
	e.closeTimeout = time.Minute
	require.NoError(t, e.Close())
}

func TestStopWordsInPieces(t *testing.T) {
	text := "the cat sat on the mat; the end"
	for _, word := range []string{"cat", "the mat", "; the e", "t", "the end", "dog"} {
		want := -1
		if i := strings.Index(text, word); i >= 0 {
			want = i + len(word)
		}
		for size := 1; size <= len(text); size++ {
			s := newStopWords([]string{word, "never"}, false)
			got, found := "", false
			for at := 0; at < len(text) && !found; at += size {
				var certain string
				certain, found = s.next(text[at:min(len(text), at+size)], true)
				got += certain
			}
			if want < 0 {
				require.False(t, found)
				require.Equal(t, text, got+s.release())
				continue
			}
			require.Equal(t, text[:want], got, fmt.Sprintf("%q in pieces of %d", word, size))
		}
	}
}

// Without a bound, beams are as long as all of them have room for in the KV cache. The
// last block of a prompt is no shared one.
func TestBeamsFillTheCache(t *testing.T) {
	e, _ := toyEngine(t) // 64 blocks of 8 tokens
	for prompt, want := range map[int]int{2: 128 - 1, 9: 8 + 120 - 8, 24: 16 + 120 - 23} {
		response, err := e.Generate(t.Context(), Request{InputIDs: make([]int32, prompt), EndIDs: []int32{}, Sampling: Sampling{BeamWidth: 4}})
		require.NoError(t, err)
		require.Len(t, response.Sequences, 4)
		for _, s := range response.Sequences {
			require.Len(t, s.OutputIDs, want)
		}
	}
}
