package trtllm

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// When an executor dies, all that run and all that come after are told, and every
// other method answers.
func TestDeadExecutor(t *testing.T) {
	x := &scripted{stats: executor.Stats{GeneratedTokens: 7}}
	e := scriptedEngine(t, x)
	failed := make(chan error, 5)
	for i := range cap(failed) {
		go func() {
			var err error
			if i%2 == 0 {
				_, err = e.Generate(t.Context(), Request{Prompt: "x"})
			} else {
				_, err = chunksOf(t.Context(), e, Request{Prompt: "x"})
			}
			failed <- err
		}()
	}
	x.waitSubmitted(t, cap(failed))
	x.die(fmt.Errorf("%w: a step panicked", executor.ErrDead))
	for range cap(failed) {
		err := <-failed
		require.ErrorIs(t, err, ErrDead)
		require.NotErrorIs(t, err, ErrClosed)
	}
	<-e.ended

	_, err := e.Generate(t.Context(), Request{Prompt: "x"})
	requireError(t, err, "generate", CodeDead, ErrDead)
	_, err = chunksOf(t.Context(), e, Request{Prompt: "x"})
	requireError(t, err, "stream", CodeDead, ErrDead)
	for _, result := range e.GenerateBatch(t.Context(), make([]Request, 3)) {
		requireError(t, result.Err, "generate", CodeDead, ErrDead)
	}
	require.EqualValues(t, 7, e.Stats().GeneratedTokens)
	require.Empty(t, e.IterationStats())
	require.Empty(t, e.RequestStats())
	require.Equal(t, testVocabSize, e.Config().VocabSize)
	_, err = e.Tokenizer()
	require.NoError(t, err)
	require.Empty(t, e.calls)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
}

// An executor that ends without a word for its requests leaves nobody waiting.
func TestExecutorThatVanishes(t *testing.T) {
	x := &scripted{}
	e := scriptedEngine(t, x)
	failed := make(chan error)
	go func() {
		_, err := e.Generate(t.Context(), Request{Prompt: "x"})
		failed <- err
	}()
	x.waitSubmitted(t, 1)
	x.mu.Lock()
	clear(x.live)
	x.mu.Unlock()
	x.die(errors.New("gone"))
	got := requireError(t, <-failed, "generate", CodeDead, ErrDead)
	require.Equal(t, "gone", got.Msg)
}

// Responses for a request that nobody knows, and a cancel after the end, are nothing.
func TestUnknownResponsesAreIgnored(t *testing.T) {
	x := &scripted{answer: saying("ab")}
	e := scriptedEngine(t, x)
	x.send(executor.Response{ClientID: 99, OutputIDs: []int32{1}}, executor.Response{ClientID: 99, Err: errors.New("x"), Final: true})
	response, err := e.Generate(t.Context(), Request{Prompt: "x"})
	require.NoError(t, err)
	require.Equal(t, "ab", response.Text)
	require.Empty(t, x.cancelled, "a request that ended by itself is not cancelled")
	require.Empty(t, x.stopped)
}

// A final response may hold no token, and a reason that nobody knows is one.
func TestOddEnds(t *testing.T) {
	for _, c := range []struct {
		reason executor.FinishReason
		want   FinishReason
	}{
		{executor.FinishEnd, FinishEnd}, {executor.FinishTimeout, FinishTimeout}, {99, FinishUnknown}, {-7, FinishUnknown}, {executor.FinishNone, FinishUnknown},
	} {
		e := scriptedEngine(t, &scripted{answer: func(executor.Request) ([]executor.Response, error) {
			return final(tokens(0, 0, 'a'), []executor.Response{{FinishReason: c.reason, SequenceFinal: true}}), nil
		}})
		response, err := e.Generate(t.Context(), Request{Prompt: "x"})
		require.NoError(t, err)
		require.Equal(t, c.want, response.FinishReason)
		require.Equal(t, "a", response.Text)
		chunks, err := chunksOf(t.Context(), e, Request{Prompt: "x"})
		require.NoError(t, err)
		require.Equal(t, c.want, chunks[len(chunks)-1].FinishReason)
	}
	require.Equal(t, "unknown", FinishUnknown.String())
	require.Equal(t, "unknown", FinishReason(99).String())
	for i, name := range []string{"", "end", "stop", "length", "timeout", "cancelled"} {
		require.Equal(t, name, FinishReason(i).String())
	}
}

// A request whose first response is its last, without any token.
func TestCancelledBeforeTheFirstToken(t *testing.T) {
	e := scriptedEngine(t, &scripted{answer: func(executor.Request) ([]executor.Response, error) {
		return []executor.Response{{FinishReason: executor.FinishTimeout, SequenceFinal: true, Final: true}}, nil
	}})
	chunks, err := chunksOf(t.Context(), e, Request{Prompt: "x", StopWords: []string{"y"}})
	require.NoError(t, err)
	require.Len(t, chunks, 1)
	require.Equal(t, FinishTimeout, chunks[0].FinishReason)
}

// Through the in-flight executor: a step that hangs, panics or fails every time ends as
// ErrDead, for what runs and for what comes, and Close returns.
func TestEngineGivesItselfUp(t *testing.T) {
	for name, fault := range map[string]func(hung chan struct{}) error{
		"hangs":  func(hung chan struct{}) error { <-hung; return nil },
		"panics": func(chan struct{}) error { panic("index out of range") },
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			e, gate := toyEngineWith(t, openByteTokenizer(t), WithMaxSeqIdle(20*time.Millisecond), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			hung := make(chan struct{})
			gate.Before(func([]executor.Sequence) error { return fault(hung) })
			response, err := e.Generate(t.Context(), Request{Prompt: "x", MaxTokens: 3})
			requireError(t, err, "generate", CodeDead, ErrDead)
			require.Empty(t, response.orEmpty().OutputIDs)
			_, err = chunksOf(t.Context(), e, Request{Prompt: "x"})
			requireError(t, err, "stream", CodeDead, ErrDead)
			require.EqualValues(t, 1, e.Stats().FinishedRequests)
			close(hung)
			if err := e.Close(); err != nil { // it may still have found the step running
				requireError(t, err, "close", CodeDead, ErrDead)
				return
			}
			require.Contains(t, log.String(), "level=WARN")
		})
	}
}
