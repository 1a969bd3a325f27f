package trtllm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

const (
	testTimeout = 20 * time.Second
	testTick    = time.Millisecond
)

// requireError checks the error of a call.
func requireError(t *testing.T, err error, op string, code Code, causes ...error) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, op, e.Op)
	require.Equal(t, code, e.Code)
	require.Equal(t, e.Msg, err.Error())
	require.NotEmpty(t, e.Msg)
	require.NotContains(t, e.Msg, "\n", "one sentence")
	for _, cause := range causes {
		require.ErrorIs(t, err, cause)
	}
	return e
}

// Every sentinel has a code of its own, and the code's own error is only it.
func TestCodes(t *testing.T) {
	words := map[Code]bool{CodeOther: true}
	for i, c := range causes {
		require.False(t, words[c.code], "%s is there twice", c.code)
		words[c.code] = true
		require.Regexp(t, `^[a-z]+(_[a-z]+)*$`, string(c.code))
		e := newError("generate", fmt.Errorf("request 7: %w", c.err), CodeOther)
		require.Equal(t, c.code, e.Code)
		for j, other := range causes {
			require.Equal(t, i == j, errors.Is(e, other.err), "%s and %s", c.code, other.code)
		}
		require.ErrorIs(t, &Error{Code: c.code}, c.err, "one that a caller made")
	}
	require.Len(t, words, 16)
	e := newError("open", os.ErrPermission, CodeOther)
	require.Equal(t, CodeOther, e.Code)
	require.ErrorIs(t, e, fs.ErrPermission)
	require.NotErrorIs(t, e, nil)
}

// What has no sentinel has the code of where it comes from, and then also its sentinel.
func TestCodeOfUnknownErrors(t *testing.T) {
	broken := errors.New("broken")
	e := newError("generate", broken, CodeFailed)
	require.Equal(t, CodeFailed, e.Code)
	require.ErrorIs(t, e, ErrFailed)
	require.ErrorIs(t, e, broken)
}

// A failed step wraps whatever a logits processor or runner returned: that says nothing
// of the request's own context, nor of the engine's queue.
func TestCodeOfFailuresThatWrapOthers(t *testing.T) {
	for _, own := range []error{context.Canceled, context.DeadlineExceeded, ErrQueueFull, ErrClosed} {
		e := newError("generate", fmt.Errorf("%w: the logits processor: %w", ErrFailed, own), CodeOther)
		require.Equal(t, CodeFailed, e.Code)
		require.ErrorIs(t, e, own)
		require.Equal(t, CodeDead, newError("generate", fmt.Errorf("%w: 16 steps failed: %w", ErrDead, own), CodeOther).Code)
	}
}

// The stack of a panic is no part of the sentence; it can still be had.
func TestMsgIsOneSentence(t *testing.T) {
	e := newError("generate", fmt.Errorf("%w: index out of range\ngoroutine 7 [running]:\nmain.main()", ErrDead), CodeOther)
	require.Equal(t, "executor dead: index out of range", e.Error())
	require.ErrorContains(t, e.Unwrap(), "goroutine 7")
}

// Each cause of failure is told apart, whatever way a request takes: nothing is shown
// as an overload that is none.
func TestCausesAreToldApart(t *testing.T) {
	for _, c := range []struct {
		name   string
		failed error // of Submit
		late   error // of a response
		code   Code
		is     error
	}{
		{"queue full", fmt.Errorf("%w: 8 requests wait", executor.ErrQueueFull), nil, CodeQueueFull, ErrQueueFull},
		{"too long", fmt.Errorf("%w: 9 tokens", executor.ErrTooLong), nil, CodeTooLong, ErrTooLong},
		{"invalid", fmt.Errorf("%w: top_k is -1", executor.ErrInvalidRequest), nil, CodeInvalidRequest, ErrInvalidRequest},
		{"unsupported", fmt.Errorf("%w: beams", executor.ErrUnsupported), nil, CodeUnsupported, ErrUnsupported},
		{"dead", fmt.Errorf("%w: a panic", executor.ErrDead), nil, CodeDead, ErrDead},
		{"closed", executor.ErrClosed, nil, CodeClosed, ErrClosed},
		{"something else", errors.New("the moon"), nil, CodeOther, nil},
		{"failed step", nil, fmt.Errorf("%w: step 3: NaN", executor.ErrFailed), CodeFailed, ErrFailed},
		{"a runner's own error", nil, errors.New("the moon"), CodeFailed, ErrFailed},
		{"dead while it ran", nil, fmt.Errorf("%w: a panic", executor.ErrDead), CodeDead, ErrDead},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := scriptedEngine(t, &scripted{answer: func(executor.Request) ([]executor.Response, error) {
				if c.failed != nil {
					return nil, c.failed
				}
				return final(tokens(0, 0, 'a', 'b'), []executor.Response{{Err: c.late}}), nil
			}})
			cause := errors.Join(c.failed, c.late)
			response, err := e.Generate(t.Context(), Request{Prompt: "x"})
			got := requireError(t, err, "generate", c.code)
			require.Contains(t, got.Msg, cause.Error())
			if c.failed != nil {
				require.Nil(t, response)
			} else {
				require.Equal(t, "ab", response.Text, "what was there before")
				require.Equal(t, FinishNone, response.FinishReason)
			}
			chunks, err := chunksOf(t.Context(), e, Request{Prompt: "x"})
			requireError(t, err, "stream", c.code)
			require.Len(t, chunks, len(response.orEmpty().OutputIDs))
			results := e.GenerateBatch(t.Context(), []Request{{Prompt: "x"}})
			requireError(t, results[0].Err, "generate", c.code)
			for _, known := range causes {
				require.Equal(t, known.err == c.is, errors.Is(err, known.err), "%v", known.code) //nolint:errorlint // the very sentinel
			}
			require.Empty(t, e.calls)
		})
	}
}

// orEmpty is the response, or an empty one.
func (r *Response) orEmpty() *Response {
	if r == nil {
		return &Response{}
	}
	return r
}

// Two requests that fail at the same time have their own errors: nothing is shared.
func TestErrorsAreNotShared(t *testing.T) {
	e := scriptedEngine(t, &scripted{answer: func(r executor.Request) ([]executor.Response, error) {
		mine := fmt.Errorf("request of token %d", r.InputIDs[0])
		if r.InputIDs[0]%2 == 0 {
			return nil, mine
		}
		return []executor.Response{{Err: mine, Final: true}}, nil
	}})
	var wait sync.WaitGroup
	for i := range int32(64) {
		wait.Go(func() {
			_, err := e.Generate(t.Context(), Request{InputIDs: []int32{i}, MaxTokens: 3})
			if want := fmt.Sprintf("request of token %d", i); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
	wait.Wait()
	require.Empty(t, e.calls)
}

func TestOpenErrorsHaveCodes(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancelExpired := context.WithTimeout(t.Context(), 0)
	defer cancelExpired()
	open := func(ctx context.Context, options ...Option) error {
		e, err := Open(ctx, t.TempDir(), options...)
		require.Nil(t, e)
		return err
	}
	requireError(t, open(t.Context()), "open", CodeNotAnEngine, ErrNotAnEngine, fs.ErrNotExist)
	requireError(t, open(t.Context(), WithThreads(-1)), "open", CodeInvalidOption, ErrInvalidOption)
	requireError(t, open(t.Context(), WithTokenizerDir(t.TempDir())), "open", CodeNoTokenizer, ErrNoTokenizer)
	requireError(t, open(t.Context(), WithTokenizerFile("none.json")), "open", CodeNoTokenizer, ErrNoTokenizer)
	requireError(t, open(ended), "open", CodeCancelled, context.Canceled)
	requireError(t, open(expired), "open", CodeDeadline, context.DeadlineExceeded)
}

func TestRequestErrorsHaveCodes(t *testing.T) {
	e := scriptedEngineWith(t, &scripted{}, nil)
	_, err := e.Tokenizer()
	requireError(t, err, "tokenizer", CodeNoTokenizer, ErrNoTokenizer)
	_, err = e.Generate(t.Context(), Request{Prompt: "x"})
	requireError(t, err, "generate", CodeNoTokenizer, ErrNoTokenizer)
	_, err = chunksOf(t.Context(), e, Request{InputIDs: []int32{1}, StopWords: []string{"x"}})
	requireError(t, err, "stream", CodeNoTokenizer, ErrNoTokenizer)

	e = scriptedEngine(t, &scripted{})
	_, err = e.Generate(t.Context(), Request{Prompt: "x", InputIDs: []int32{1}})
	requireError(t, err, "generate", CodeInvalidRequest, ErrInvalidRequest)
	_, err = e.Generate(t.Context(), Request{Prompt: "x", StopWords: []string{"ok", "\xff"}})
	require.Contains(t, requireError(t, err, "generate", CodeInvalidRequest, ErrInvalidRequest).Msg, `stop word 1 is "\xff"`)
}

func TestContextErrorsHaveCodes(t *testing.T) {
	x := &scripted{}
	e := scriptedEngine(t, x)
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err := e.Generate(expired, Request{Prompt: "x"})
	requireError(t, err, "generate", CodeDeadline, context.DeadlineExceeded)
	require.Empty(t, x.requests)

	why := errors.New("the client went away")
	ctx, cancelCause := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() {
		_, err := e.Generate(ctx, Request{Prompt: "x"})
		failed <- err
	}()
	x.waitSubmitted(t, 1)
	cancelCause(why)
	got := requireError(t, <-failed, "generate", CodeCancelled, context.Canceled, why)
	require.Equal(t, "generation cancelled: context canceled: the client went away", got.Msg)
	require.Equal(t, []uint64{1}, x.cancelled)
}

// A context may be cancelled with a cause that is one of the package's own errors:
// the code is still that of a cancelled request.
func TestCauseIsNotTheCode(t *testing.T) {
	e := scriptedEngine(t, &scripted{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrQueueFull)
	_, err := e.Generate(ctx, Request{Prompt: "x"})
	requireError(t, err, "generate", CodeCancelled, context.Canceled, ErrQueueFull)
}

func TestClosedErrors(t *testing.T) {
	x := &scripted{closeErr: errors.New("the runner is stuck")}
	e := scriptedEngine(t, x)
	failed := make(chan error)
	go func() {
		_, err := e.Generate(t.Context(), Request{Prompt: "x"})
		failed <- err
	}()
	x.waitSubmitted(t, 1)
	requireError(t, e.Close(), "close", CodeOther, x.closeErr)
	requireError(t, e.Close(), "close", CodeOther, x.closeErr)
	got := requireError(t, <-failed, "generate", CodeClosed, ErrClosed)
	require.Equal(t, "the engine was closed before the request had ended", got.Msg)
	_, err := e.Generate(t.Context(), Request{Prompt: "x"})
	require.Equal(t, "the engine is closed", requireError(t, err, "generate", CodeClosed, ErrClosed).Msg)
}

// A stream that fails has yielded all text there was, held back or not.
func TestErrorReleasesHeldText(t *testing.T) {
	e := scriptedEngine(t, &scripted{answer: func(executor.Request) ([]executor.Response, error) {
		return final(tokens(0, 0, bytesOf("ab ST")...), []executor.Response{{Err: errors.New("broken")}}), nil
	}})
	r := Request{Prompt: "x", StopWords: []string{"STOP"}}
	chunks, err := chunksOf(t.Context(), e, r)
	requireError(t, err, "stream", CodeFailed)
	require.Equal(t, "ab ST", strings.Join(texts(chunks), ""))
	response, err := e.Generate(t.Context(), r)
	requireError(t, err, "generate", CodeFailed)
	require.Equal(t, "ab ST", response.Text)
	require.InDelta(t, -5, response.CumLogProb, 0)
	require.Equal(t, bytesOf("ab ST"), response.OutputIDs)
}
