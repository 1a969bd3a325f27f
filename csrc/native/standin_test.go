//go:build cgo && linux

package native

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// standinOptions are those of the production shim over the stand-in for TensorRT-LLM, which
// scripts/verify_executor.sh builds.
func standinOptions(t testing.TB) (Options, string) {
	t.Helper()
	directory := os.Getenv("TRTGO_EXECUTOR_STANDIN")
	if directory == "" {
		if os.Getenv("TRTGO_REQUIRE_EXECUTOR") == "1" {
			t.Fatal("TRTGO_EXECUTOR_STANDIN is not set: scripts/verify_executor.sh plain prints what to set")
		}
		t.Skip("needs TRTGO_EXECUTOR_STANDIN, which scripts/verify_executor.sh sets")
	}
	tensorrt, err := filepath.Glob(filepath.Join(directory, "libnvinfer.so.*"))
	require.NoError(t, err)
	require.NotEmpty(t, tensorrt)
	shim, err := Find(TensorRT)
	require.NoError(t, err)
	return Options{Flavour: TensorRT, Path: shim, TensorRT: tensorrt[0]}, filepath.Join(directory, "libnvinfer_plugin_tensorrt_llm.so")
}

// standinEngine writes an engine directory for it.
func standinEngine(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"max_batch_size": 256, "max_num_tokens": 8192, "max_seq_len": 4096, "gather_context_logits": true}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rank0.engine"), nil, 0o600))
	return dir
}

// awaitAll returns copies of the outputs until as many are final.
func awaitAll(t *testing.T, x *Executor, final int) (list []Output) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); final > 0; {
		require.True(t, time.Now().Before(deadline), "%d requests did not end", final)
		require.NoError(t, x.Await(100*time.Millisecond, func(o *Output) {
			c := *o
			c.Tokens, c.LogProbs = slices.Clone(o.Tokens), slices.Clone(o.LogProbs)
			c.ContextLogits.Data, c.ContextLogits.Dims = slices.Clone(o.ContextLogits.Data), slices.Clone(o.ContextLogits.Dims)
			c.GenerationLogits.Data, c.GenerationLogits.Dims = slices.Clone(o.GenerationLogits.Data), slices.Clone(o.GenerationLogits.Dims)
			list = append(list, c)
			if o.Final {
				final--
			}
		}))
	}
	return list
}

// TestStandin: the binding over the production shim.
func TestStandin(t *testing.T) {
	o, plugins := standinOptions(t)
	lib := open(t, o)
	require.Equal(t, "1.2.1", lib.Versions().Executor)
	require.Equal(t, "1.2.1", lib.Versions().ExecutorHeaders)

	t.Run("refuses", func(t *testing.T) {
		for name, c := range map[string]struct {
			script  string
			options ExecutorOptions
			kind    error
			want    string
		}{
			"another release": {"version=1.1.0", ExecutorOptions{EngineDir: standinEngine(t)}, ErrVersion, "is 1.1.0, this library was compiled for 1.2.1"},
			"no engine":       {"", ExecutorOptions{EngineDir: t.TempDir()}, ErrNotFound, "config.json: give the directory of an engine, with config.json and rank0.engine; native error: "},
			"no memory":       {"throw=Executor::Executor#0:bad_alloc", ExecutorOptions{EngineDir: standinEngine(t)}, ErrMemory, "memory ran out"},
			"unknown setting": {"", ExecutorOptions{EngineDir: standinEngine(t), Settings: []Field{Ints("unknownSetting", 1)}}, ErrInvalid, "unknownSetting"},
			"no plugins":      {"", ExecutorOptions{EngineDir: standinEngine(t), Plugins: "/nowhere/libplugins.so"}, ErrNotFound, "there is no library /nowhere/libplugins.so"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Setenv("TRTGO_STANDIN_SCRIPT", c.script)
				if c.options.Plugins == "" {
					c.options.Plugins = plugins
				}
				x, err := lib.NewExecutor(c.options)
				require.Nil(t, x)
				require.ErrorIs(t, err, c.kind)
				require.ErrorContains(t, err, c.want)
			})
		}
	})

	t.Run("runs", func(t *testing.T) {
		x := openExecutor(t, lib, ExecutorOptions{EngineDir: standinEngine(t), Plugins: plugins, Settings: []Field{
			Ints("maxQueueSize", 2), Ints("gatherGenerationLogits", 1), Ints("iterStatsMaxIterations", 100), Ints("requestStatsMaxIterations", 100),
		}})
		require.True(t, x.Leader())
		id, err := x.Enqueue(Request{ClientID: 7, Tokens: []int32{1, 2, 3}, MaxTokens: 5, Settings: []Field{
			Ints("streaming", 1), Ints("topK", 1), Ints("returnLogProbs", 1), Ints("returnContextLogits", 1), Ints("returnGenerationLogits", 1),
		}, EmbeddingBias: Array{make([]byte, 4*97), "FLOAT", []int64{97}}})
		require.NoError(t, err)
		var tokens []int32
		for _, o := range awaitAll(t, x, 1) {
			require.Empty(t, o.Error)
			require.Equal(t, id, o.ID)
			require.EqualValues(t, 7, o.ClientID)
			tokens = append(tokens, o.Tokens...)
			require.Len(t, o.LogProbs, len(tokens))
			require.Equal(t, int64(3), o.ContextLogits.Dims[0])
			require.Len(t, o.ContextLogits.Data, int(4*3*o.ContextLogits.Dims[1]))
		}
		require.Len(t, tokens, 5)
		stats, err := x.IterationStats()
		require.NoError(t, err)
		require.Contains(t, string(stats), `"iterLatencyMS"`)
		requests, err := x.RequestStats()
		require.NoError(t, err)
		require.Contains(t, string(requests), fmt.Sprintf(`"id":%d`, id))

		_, err = x.Enqueue(Request{ClientID: 8, Tokens: make([]int32, 5000), MaxTokens: 5})
		require.NoError(t, err)
		failed := awaitAll(t, x, 1)[0]
		require.ErrorIs(t, Class(failed.Error), ErrTooLong)
		require.Contains(t, Explain(failed.Error), "the prompt has 5000 tokens and this engine takes")

		_, err = x.Enqueue(Request{Tokens: []int32{1}})
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, "max_tokens is 0, want 1 or more")
		end(t, x)
	})
}

// TestStandinDevices: the stand-in's driver tells of the GPUs that it is given.
func TestStandinDevices(t *testing.T) {
	_, plugins := standinOptions(t)
	t.Setenv("TRTGO_STANDIN_GPUS", "NVIDIA L40S,8,9,47810936832;NVIDIA H100,9,0,85017624576")
	list, err := devices(filepath.Join(filepath.Dir(plugins), "libcuda.so.1"))
	require.NoError(t, err)
	require.Equal(t, []Device{{"NVIDIA L40S", 89, 47810936832}, {"NVIDIA H100", 90, 85017624576}}, list)
}

// TestStandinThrows: what upstream's calls throw is the error of the call that did it.
func TestStandinThrows(t *testing.T) {
	o, plugins := standinOptions(t)
	lib := open(t, o)
	t.Setenv("TRTGO_STANDIN_SCRIPT", "throw=Executor::enqueueRequest#1:runtime;throw=Executor::enqueueRequest#2:int;throw=Executor::awaitResponses#1:bad_alloc;throw=Executor::cancelRequest#1:range")
	x := openExecutor(t, lib, ExecutorOptions{EngineDir: standinEngine(t), Plugins: plugins})
	request := Request{Tokens: []int32{1}, MaxTokens: 2, Settings: []Field{Ints("streaming", 1)}}
	for range 2 {
		_, err := x.Enqueue(request)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "\n")
	}
	id, err := x.Enqueue(request)
	require.NoError(t, err)
	require.ErrorIs(t, x.Await(time.Second, func(*Output) {}), ErrMemory)
	require.Error(t, x.Cancel(id))
	require.NotEmpty(t, awaitAll(t, x, 1))
	end(t, x)
}

// TestStandinHandlers: TensorRT-LLM's handlers of signals do not take Go its panics, whenever they are installed, and
// MPI is ended last. All of this is done once in a process, which is another one.
func TestStandinHandlers(t *testing.T) {
	o, plugins := standinOptions(t)
	for _, when := range []string{"load", "constructor", "loop", "shutdown"} {
		t.Run(when, func(t *testing.T) {
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), "TRTGO_STANDIN_SCRIPT=handlers="+when, "TRTGO_TEST_ENGINE="+standinEngine(t), "TRTGO_TEST_PLUGINS="+plugins, "TRTGO_TEST_TENSORRT="+o.TensorRT)
			out, err := c.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}

// liveThrough is the process that TestStandinHandlers starts. It dies where a handler is not Go's.
func liveThrough(engine, plugins, tensorrt string) error {
	panics := func() (err error) {
		defer func() {
			if recover() == nil {
				err = fmt.Errorf("it did not panic")
			}
		}()
		var nothing *Executor
		nothing.leader = true
		return nil
	}
	lib, err := Open(Options{Flavour: TensorRT, TensorRT: tensorrt})
	if err != nil {
		return err
	}
	x, err := lib.NewExecutor(ExecutorOptions{EngineDir: engine, Plugins: plugins})
	if err != nil {
		return err
	}
	if err := panics(); err != nil {
		return err
	}
	if _, err := x.Enqueue(Request{Tokens: []int32{1}, MaxTokens: 20, Settings: []Field{Ints("streaming", 1)}}); err != nil {
		return err
	}
	for ended := false; !ended; {
		if err := x.Await(time.Second, func(o *Output) { ended = o.Final }); err != nil {
			return err
		}
	}
	for _, step := range []func() error{
		func() error { return x.Await(0, func(*Output) {}) }, panics, x.Drain,
		func() error {
			if err := x.Await(time.Second, func(*Output) {}); !errors.Is(err, ErrClosed) {
				return fmt.Errorf("after Drain: %v", err) //nolint:errorlint // it may be nil
			}
			return nil
		},
		x.Shutdown, panics, func() error { x.Close(); return nil }, lib.Close, Finalize, panics,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkStandinAwait is the CPU time that a token of 256 streams costs the thread that awaits: that of the binding,
// the shim, and what upstream does there. The steps of the stand-in run in a thread of their own.
func BenchmarkStandinAwait(b *testing.B) {
	o, plugins := standinOptions(b)
	lib, err := Open(o)
	require.NoError(b, err)
	x := openExecutor(b, lib, ExecutorOptions{EngineDir: standinEngine(b), Plugins: plugins})
	enqueue := func() {
		_, err := x.Enqueue(Request{Tokens: []int32{1}, MaxTokens: 1000, Settings: []Field{Ints("streaming", 1), Ints("topK", 1)}})
		require.NoError(b, err)
	}
	for range 256 {
		enqueue()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(1, &u)) // RUSAGE_THREAD
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	tokens, ended, calls := 0, 0, 0
	start := used()
	for b.Loop() {
		for want := tokens + 256; tokens < want; {
			calls++
			require.NoError(b, x.Await(time.Second, func(o *Output) {
				tokens += len(o.Tokens)
				if o.Final {
					ended++
				}
			}))
			for ; ended > 0; ended-- {
				enqueue()
			}
		}
	}
	b.ReportMetric(float64(used()-start)/float64(tokens), "cpu-ns/token")
	b.ReportMetric(float64(tokens)/float64(calls), "tokens/call")
	require.NoError(b, x.Drain())
	for x.Await(time.Second, func(*Output) {}) == nil {
		continue
	}
}
