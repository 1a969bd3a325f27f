//go:build cgo && linux

package native

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/nativetest"
)

// openExecutor opens the fake executor, which is closed at the end of the test.
func openExecutor(t testing.TB, lib *Library, o ExecutorOptions) *Executor {
	t.Helper()
	if o.EngineDir == "" {
		o.EngineDir = "engine"
	}
	x, err := lib.NewExecutor(o)
	require.NoError(t, err)
	t.Cleanup(x.Close)
	return x
}

// calls returns what the fake executor was asked for since the last time.
func calls(t *testing.T, x *Executor) []string {
	t.Helper()
	text, err := x.IterationStats()
	require.NoError(t, err)
	var list []string
	require.NoError(t, json.Unmarshal(text, &list), "%s", text)
	return list
}

// await returns copies of the outputs of one Await.
func await(t *testing.T, x *Executor) []Output {
	t.Helper()
	var list []Output
	require.NoError(t, x.Await(10*time.Second, func(o *Output) {
		c := *o
		c.Tokens, c.LogProbs = slices.Clone(o.Tokens), slices.Clone(o.LogProbs)
		for _, a := range []*Array{&c.ContextLogits, &c.GenerationLogits} {
			a.Data, a.Dims = slices.Clone(a.Data), slices.Clone(a.Dims)
		}
		list = append(list, c)
	}))
	return list
}

// end drains an executor and shuts it down.
func end(t *testing.T, x *Executor) {
	t.Helper()
	require.NoError(t, x.Drain())
	for {
		if err := x.Await(time.Second, func(*Output) {}); err != nil {
			require.ErrorIs(t, err, ErrClosed)
			break
		}
	}
	require.NoError(t, x.Shutdown())
}

func floats(values ...float32) []byte {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

// TestExecutorCalls: each call arrives with what it was given, and each output has what the library gave.
func TestExecutorCalls(t *testing.T) {
	lib := open(t, Options{})
	x := openExecutor(t, lib, ExecutorOptions{EngineDir: "dir/engine", Plugins: "libplugins.so", Settings: []Field{
		Ints("maxBeamWidth", 2), Ints("deviceIds", 0, 1), Floats("freeGpuMemoryFraction", 0.5), Text("capacitySchedulerPolicy", "MAX_UTILIZATION"),
	}})
	require.True(t, x.Leader())
	id, err := x.Enqueue(Request{ClientID: math.MaxUint64, Tokens: []int32{5, 7}, MaxTokens: 2, Settings: []Field{Ints("endId", 2), Ints("stopWords", 2, 8, 9, 1, 3), Floats("topP", 0.25)}})
	require.NoError(t, err)
	require.EqualValues(t, 1, id)
	require.Equal(t, []Output{
		{ID: 1, ClientID: math.MaxUint64, NumBeams: 1, Tokens: []int32{8}, Scheduled: -1, FirstToken: -1, LastToken: -1},
	}, await(t, x))
	id, err = x.Enqueue(Request{
		Tokens: []int32{1, 2, 20}, MaxTokens: 1, EmbeddingBias: Array{floats(1.5, 2, 3, 4), "FLOAT", []int64{4}},
		Settings: []Field{Ints("beamWidth", 2), Ints("returnLogProbs", 1), Ints("returnContextLogits", 1), Ints("returnGenerationLogits", 1), Ints("returnPerfMetrics", 1)},
	})
	require.NoError(t, err)
	require.EqualValues(t, 2, id)
	logits := Output{
		ID: 2, Final: true, NumBeams: 2, FinishReason: 3, Tokens: []int32{21}, LogProbs: []float32{-0.5}, CumLogProb: -0.5,
		ReusedBlocks: 2, Scheduled: 10, FirstToken: 20, LastToken: 21,
		ContextLogits:    Array{floats(0.25, 1.25, 2.25, 3.25, 4.25, 5.25, 6.25, 7.25, 8.25, 9.25, 10.25, 11.25), "FLOAT", []int64{3, 4}},
		GenerationLogits: Array{floats(0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5), "FLOAT", []int64{1, 2, 4}},
	}
	other := logits
	other.Beam, other.Tokens = 1, []int32{121}
	require.Equal(t, []Output{
		{ID: 1, ClientID: math.MaxUint64, Final: true, NumBeams: 1, FinishReason: 3, Tokens: []int32{9}, Scheduled: -1, FirstToken: -1, LastToken: -1},
		logits, other,
	}, await(t, x))
	requests, err := x.RequestStats()
	require.NoError(t, err)
	require.Equal(t, "[]", string(requests))
	require.Equal(t, []string{
		"open dir/engine libplugins.so maxBeamWidth=2 deviceIds=0,1 freeGpuMemoryFraction=f32:0.5 capacitySchedulerPolicy=MAX_UTILIZATION",
		"enqueue 1 for 18446744073709551615 max=2 prompt=5,7 endId=2 stopWords=2,8,9,1,3 topP=f32:0.25",
		"enqueue 2 for 0 max=1 prompt=1,2,20 beamWidth=2 returnLogProbs=1 returnContextLogits=1 returnGenerationLogits=1 returnPerfMetrics=1 bias=FLOAT[4]:1.5",
	}, calls(t, x))
	require.Empty(t, calls(t, x))
	start := time.Now()
	require.NoError(t, x.Await(20*time.Millisecond, func(*Output) { t.Error("there is none") }))
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
	require.NoError(t, x.Await(-1, func(*Output) { t.Error("there is none") }))
	end(t, x)
}

func TestExecutorRefuses(t *testing.T) {
	lib := open(t, Options{})
	for name, c := range map[string]struct {
		options ExecutorOptions
		kind    error
		want    string
	}{
		"engine": {ExecutorOptions{EngineDir: "refused"}, ErrVersion, "Executor: the engine was built by another release of TensorRT-LLM than the one that is loaded: " +
			rebuild + "; native error: d == a + length"},
		"setting": {ExecutorOptions{Settings: []Field{Ints("unknown", 1)}}, ErrInvalid, "Executor: there is no setting unknown"},
		"field":   {ExecutorOptions{Settings: []Field{{Name: "f", Type: 9}}}, ErrInvalid, "Field: field f has no type with number 9"},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := lib.NewExecutor(c.options)
			require.Nil(t, x)
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorIs(t, err, c.kind)
			require.EqualError(t, err, c.want)
		})
	}
	x := openExecutor(t, lib, ExecutorOptions{Settings: []Field{Ints("maxQueueSize", 1)}})
	_, err := lib.NewExecutor(ExecutorOptions{EngineDir: "other"})
	require.ErrorIs(t, err, ErrInvalid)
	require.EqualError(t, err, "NewExecutor: this process has an executor, and TensorRT-LLM runs one at a time: close that first")
	require.ErrorContains(t, Finalize(), "an executor is open: close it first")
	require.ErrorContains(t, x.Shutdown(), "not drained")
	bias := func(v Array) Request { return Request{Tokens: []int32{1}, MaxTokens: 1, EmbeddingBias: v} }
	for name, c := range map[string]struct {
		request Request
		want    string
	}{
		"no tokens":       {Request{MaxTokens: 1}, "the prompt is empty"},
		"setting":         {Request{Tokens: []int32{1}, Settings: []Field{Ints("unknown", 1)}}, "there is no setting unknown"},
		"field":           {Request{Tokens: []int32{1}, Settings: []Field{{Name: "f", Type: Int8, Ints: []int64{128}}}}, "field f has 128, which does not fit its type"},
		"too many":        {Request{Tokens: []int32{1}, MaxTokens: 1 << 31}, "a request of 1 tokens with at most 2147483648 more does not fit 32 bits"},
		"bias too short":  {bias(Array{make([]byte, 4), "FLOAT", []int64{2}}), `an array has 4 bytes, which are not [2] of type "FLOAT"`},
		"bias of ints":    {bias(Array{make([]byte, 4), "INT32", []int64{1}}), `not [1] of type "INT32"`},
		"bias of rank 5":  {bias(Array{make([]byte, 2), "HALF", []int64{1, 1, 1, 1, 1}}), "not [1 1 1 1 1] of type"},
		"bias of -1":      {bias(Array{make([]byte, 2), "HALF", []int64{-1, -1}}), "not [-1 -1] of type"},
		"bias of 2^62, 4": {bias(Array{[]byte{}, "BF16", []int64{1 << 62, 4}}), "not [4611686018427387904 4] of type"},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := x.Enqueue(c.request)
			require.Zero(t, id)
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorContains(t, err, c.want)
		})
	}
	require.Len(t, calls(t, x), 1, "nothing was queued")
	_, err = x.Enqueue(Request{Tokens: []int32{1}, MaxTokens: 100})
	require.NoError(t, err)
	_, err = x.Enqueue(Request{Tokens: []int32{1}, MaxTokens: 100})
	require.ErrorIs(t, err, ErrQueueFull)
	require.ErrorContains(t, err, "native error: Maximum queue size of 1 has been reached")
	end(t, x)
}

// TestExecutorWithout: a library without TensorRT-LLM says so, and has no releases of it.
func TestExecutorWithout(t *testing.T) {
	lib := open(t, Options{Path: nativetest.Library(t, "WITHOUT_EXECUTOR")})
	require.Empty(t, lib.Versions().Executor+lib.Versions().ExecutorHeaders)
	_, err := lib.NewExecutor(ExecutorOptions{EngineDir: "engine"})
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "built without TensorRT-LLM's headers")
}

// TestExecutorOutputs: failures are of the requests or calls that had them.
func TestExecutorOutputs(t *testing.T) {
	lib := open(t, Options{})
	x := openExecutor(t, lib, ExecutorOptions{})
	enqueue := func(client uint64, token int32, fields ...Field) {
		_, err := x.Enqueue(Request{ClientID: client, Tokens: []int32{token}, MaxTokens: 3, Settings: fields})
		require.NoError(t, err)
	}
	enqueue(1, -1)
	enqueue(2, 10)
	list := await(t, x)
	require.Equal(t, Output{
		ID: 1, ClientID: 1, Error: "Prompt length (9) exceeds maximum input length (8).", Final: true, Scheduled: -1, FirstToken: -1, LastToken: -1,
	}, list[0])
	require.ErrorIs(t, Class(list[0].Error), ErrTooLong)
	require.Equal(t, []int32{11}, list[1].Tokens)
	require.NoError(t, x.Cancel(2))
	require.NoError(t, x.Cancel(99))
	list = await(t, x)
	require.Len(t, list, 1)
	require.True(t, list[0].Final)
	require.Equal(t, 5, list[0].FinishReason)
	require.Empty(t, list[0].Tokens)

	enqueue(3, -2)
	err := x.Await(time.Second, func(*Output) { t.Error("there is none") })
	require.ErrorIs(t, err, ErrInternal)
	require.ErrorContains(t, err, "an illegal memory access was encountered")
	require.Len(t, await(t, x), 1, "it goes on")
	require.NoError(t, x.Cancel(3))
	require.Len(t, await(t, x), 1)

	enqueue(5, -4, Ints("returnContextLogits", 1))
	enqueue(6, -5, Ints("returnContextLogits", 1))
	enqueue(7, -6)
	list = await(t, x)
	for i, name := range []string{"HALF", "BF16"} {
		require.Equal(t, Array{list[i].ContextLogits.Data, name, []int64{1, 4}}, list[i].ContextLogits)
		require.Len(t, list[i].ContextLogits.Data, 8)
		require.NoError(t, x.Cancel(list[i].ID))
	}
	require.Equal(t, "the request failed, and TensorRT-LLM does not say why", list[2].Error)
	require.Len(t, await(t, x), 2)

	enqueue(4, -3, Ints("returnContextLogits", 1))
	enqueue(8, -6)
	list = await(t, x)
	require.Len(t, list, 2, "others come all the same")
	require.Equal(t, Array{nil, "INT8", []int64{1, 4}}, list[0].ContextLogits)
	require.NoError(t, x.Cancel(list[0].ID))
	require.Len(t, await(t, x), 1)
	end(t, x) // the fake aborts if a batch was not freed
}

// TestExecutorPanic: the outputs are freed, and the executor goes on, when a caller panics.
func TestExecutorPanic(t *testing.T) {
	x := openExecutor(t, open(t, Options{}), ExecutorOptions{})
	_, err := x.Enqueue(Request{Tokens: []int32{1}, MaxTokens: 2})
	require.NoError(t, err)
	var kept *Output
	require.PanicsWithValue(t, "enough", func() {
		_ = x.Await(time.Second, func(o *Output) {
			kept = o
			panic("enough")
		})
	})
	require.Zero(t, *kept, "nothing points to what was freed")
	require.Len(t, await(t, x), 1)
	end(t, x)
}

// TestExecutorClose: Close waits for the calls that run, and afterwards nothing can be done.
func TestExecutorClose(t *testing.T) {
	lib, err := Open(Options{Path: nativetest.Library(t)})
	require.NoError(t, err)
	x := openExecutor(t, lib, ExecutorOptions{})
	require.ErrorContains(t, lib.Close(), "an executor of the library is open")
	waiting, done := make(chan struct{}), make(chan struct{})
	var returned atomic.Bool
	go func() {
		defer close(done)
		_, err := x.Enqueue(Request{Tokens: []int32{1}, MaxTokens: 2})
		if err == nil {
			err = x.Await(time.Minute, func(*Output) {
				close(waiting)
				time.Sleep(50 * time.Millisecond)
				returned.Store(true)
				if err := x.Cancel(1); !errors.Is(err, ErrClosed) { // it must not wait for Close, which waits for this
					t.Errorf("Cancel during Close: %v", err)
				}
			})
		}
		if err != nil {
			t.Error(err)
		}
	}()
	<-waiting
	var closes sync.WaitGroup
	for range 3 {
		closes.Go(func() {
			x.Close()
			if !returned.Load() {
				t.Error("closed during a call")
			}
		})
	}
	closes.Wait()
	<-done
	x.Close()
	_, err = x.Enqueue(Request{Tokens: []int32{1}, MaxTokens: 1})
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, x.Cancel(1), ErrClosed)
	require.ErrorIs(t, x.Await(time.Second, nil), ErrClosed)
	_, err = x.IterationStats()
	require.ErrorIs(t, err, ErrClosed)
	_, err = x.RequestStats()
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, x.Drain(), ErrClosed)
	require.ErrorIs(t, x.Shutdown(), ErrClosed)
	require.True(t, x.Leader())

	x = openExecutor(t, lib, ExecutorOptions{}) // another, after the first
	end(t, x)
	require.ErrorIs(t, x.Await(time.Second, nil), ErrClosed)
	_, err = x.Enqueue(Request{Tokens: []int32{1}, MaxTokens: 1})
	require.ErrorIs(t, err, ErrClosed)
	x.Close()
	require.NoError(t, lib.Close())
	_, err = lib.NewExecutor(ExecutorOptions{})
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, Finalize(), "also after the library was closed")
	require.NoError(t, Finalize())
}

// TestThreadError: a thread that cannot be started has no error of the library.
func TestThreadError(t *testing.T) {
	require.NoError(t, failureOf(nil, 0, nil))
	require.Equal(t, &Error{StatusMemory, "pthread_create", "no thread can be started: resource temporarily unavailable"}, failureOf(nil, -11, nil))
	require.Equal(t, &Error{StatusInternal, "trtgo", "the library failed without saying why"}, failureOf(nil, 7, nil))
}

// TestFollower: another process of mpirun only shuts down. After MPI was ended no executor can be opened.
func TestFollower(t *testing.T) {
	lib := open(t, Options{})
	x := openExecutor(t, lib, ExecutorOptions{EngineDir: "follower"})
	require.False(t, x.Leader())
	require.NoError(t, x.Shutdown())
	x.Close()
	require.NoError(t, Finalize())
	_, err := lib.NewExecutor(ExecutorOptions{EngineDir: "engine"})
	require.ErrorContains(t, err, "MPI was finalised")
	require.NoError(t, Finalize())
}

// TestExecutorConcurrent: many goroutines queue, cancel and ask while one awaits; errors are those of their calls.
func TestExecutorConcurrent(t *testing.T) {
	x := openExecutor(t, open(t, Options{}), ExecutorOptions{})
	const clients, each = 8, 50
	var workers sync.WaitGroup
	for c := range clients {
		workers.Go(func() {
			for i := range each {
				client := uint64(1000*c + i + 1)
				id, err := x.Enqueue(Request{ClientID: client, Tokens: []int32{int32(client)}, MaxTokens: 3, Settings: []Field{Ints("returnLogProbs", 1)}})
				if err != nil || id == 0 {
					t.Errorf("request %d: %v", client, err)
				}
				name := fmt.Sprintf("field%d", client)
				if _, err = x.Enqueue(Request{Settings: []Field{{Name: name, Type: 9}}}); err == nil || err.Error() != "Field: field "+name+" has no type with number 9" {
					t.Errorf("the error of another: %v", err)
				}
				if _, err = x.Enqueue(Request{}); err == nil || err.Error() != "Request: the prompt is empty" {
					t.Errorf("the error of another: %v", err)
				}
				if i%5 == 0 {
					if err := x.Cancel(id); err != nil {
						t.Error(err)
					}
				}
				if _, err := x.IterationStats(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := map[uint64]int{}
	for len(ended) < clients*each {
		require.NoError(t, x.Await(time.Minute, func(o *Output) {
			if o.Final {
				ended[o.ClientID]++
			}
			if o.FinishReason == 5 {
				return
			}
			require.Equal(t, []int32{int32(o.ClientID) + int32(len(o.LogProbs))}, o.Tokens)
			require.InDelta(t, -0.5*float64(len(o.LogProbs)), o.LogProbs[len(o.LogProbs)-1], 0)
		}))
	}
	workers.Wait()
	for client, n := range ended {
		require.Equal(t, 1, n, "client %d", client)
	}
	end(t, x)
}

// TestAwaitAllocates: what a token costs does not go through the allocator.
func TestAwaitAllocates(t *testing.T) {
	x := openExecutor(t, open(t, Options{}), ExecutorOptions{})
	for i := range 64 {
		_, err := x.Enqueue(Request{ClientID: uint64(i), Tokens: []int32{1}, MaxTokens: 1000, Settings: []Field{Ints("returnContextLogits", 1)}})
		require.NoError(t, err)
	}
	tokens := 0
	allocated := testing.AllocsPerRun(100, func() {
		if err := x.Await(time.Second, func(o *Output) { tokens += len(o.Tokens) }); err != nil {
			t.Error(err)
		}
	})
	require.Equal(t, 101*64, tokens)
	require.LessOrEqual(t, allocated, 2.0, "for 64 tokens")
	end(t, x)
}

// BenchmarkAwait is the cost of a token of 256 streams, most of it the fake library's.
func BenchmarkAwait(b *testing.B) {
	lib, err := Open(Options{Path: nativetest.Library(b)})
	require.NoError(b, err)
	x := openExecutor(b, lib, ExecutorOptions{})
	for i := range 256 {
		_, err := x.Enqueue(Request{ClientID: uint64(i), Tokens: []int32{1}, MaxTokens: math.MaxInt32})
		require.NoError(b, err)
	}
	b.ReportAllocs()
	tokens := 0
	for b.Loop() {
		for tokens = 0; tokens < 256; {
			require.NoError(b, x.Await(time.Second, func(o *Output) { tokens += len(o.Tokens) }))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(256*b.N), "ns/token")
}
