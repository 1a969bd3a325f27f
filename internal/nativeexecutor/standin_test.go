//go:build cgo && linux

package nativeexecutor

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

var _ Native = (*native.Executor)(nil)

// standin is TensorRT-LLM's stand-in of csrc/testing/tensorrt_llm behind the production
// shim, which scripts/verify_executor.sh builds.
type standin struct {
	library *native.Library
	plugins string
}

// openLibrary loads shim and stand-in once: nothing of that can be unloaded.
var openLibrary = sync.OnceValues(func() (*native.Library, error) {
	directory := os.Getenv("TRTGO_EXECUTOR_STANDIN")
	tensorrt, err := filepath.Glob(filepath.Join(directory, "libnvinfer.so.*"))
	if err != nil || len(tensorrt) == 0 {
		return nil, os.ErrNotExist
	}
	return native.Open(native.Options{Flavour: native.TensorRT, TensorRT: tensorrt[0]})
})

// needStandin skips the test where there is no stand-in.
func needStandin(t testing.TB) *standin {
	t.Helper()
	directory := os.Getenv("TRTGO_EXECUTOR_STANDIN")
	if directory == "" {
		if os.Getenv("TRTGO_REQUIRE_EXECUTOR") == "1" || os.Getenv("TRTGO_REQUIRE_TENSORRT") == "1" {
			t.Fatal("TRTGO_EXECUTOR_STANDIN is not set: scripts/verify_executor.sh plain prints what to set")
		}
		t.Skip("needs TRTGO_EXECUTOR_STANDIN, which scripts/verify_executor.sh sets")
	}
	library, err := openLibrary()
	require.NoError(t, err)
	return &standin{library: library, plugins: filepath.Join(directory, "libnvinfer_plugin_tensorrt_llm.so")}
}

// config of the stand-in's engine: the toy's limits.
const standinConfig = `{"vocab_size": 97, "max_seq_len": 192, "max_batch_size": 8, "max_num_tokens": 48, "max_beam_width": 4,
	"tokens_per_block": 8, "gather_context_logits": true}`

// engine loads the stand-in's engine under a script. An executor that New gave up may
// still be ending, and there is one at a time.
func (s *standin) engine(t testing.TB, config, script string, settings ...native.Field) *native.Executor {
	t.Helper()
	for end := time.Now().Add(waitTime); ; time.Sleep(10 * tick) {
		x, err := s.tryEngine(t, config, script, settings...)
		if err == nil {
			return x
		}
		if !strings.Contains(err.Error(), "one at a time") || time.Now().After(end) {
			require.NoError(t, err)
		}
	}
}

func (s *standin) tryEngine(t testing.TB, config, script string, settings ...native.Field) (*native.Executor, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rank0.engine"), nil, 0o600))
	t.Setenv("TRTGO_STANDIN_SCRIPT", script)
	all := []native.Field{
		native.Ints("iterStatsMaxIterations", 1000), native.Ints("requestStatsMaxIterations", 1000), native.Ints("gatherGenerationLogits", 1),
		native.Ints("maxBeamWidth", 4),
	}
	all = slices.DeleteFunc(all, func(f native.Field) bool {
		return slices.ContainsFunc(settings, func(other native.Field) bool { return other.Name == f.Name })
	})
	return s.library.NewExecutor(native.ExecutorOptions{EngineDir: dir, Plugins: s.plugins, Settings: append(all, settings...)})
}

// holder holds the stand-in's steps by a file.
func holder(t *testing.T) (path string, gate *executortest.Gate) {
	path = filepath.Join(t.TempDir(), "hold")
	remove := func(path string) bool { return os.Remove(path) == nil }
	return path, executortest.NewOutsideGate(executortest.Outside{
		Hold:    func() { require.NoError(t, os.WriteFile(path, nil, 0o600)) },
		Release: func() { remove(path) },
		Arrived: func() bool { return remove(path + ".arrived") },
	})
}

// The contract of all executors, over the production shim.
func TestStandinContract(t *testing.T) {
	s := needStandin(t)
	for name, script := range map[string]string{
		"plain": "", "empty last responses": "empty_final=1", "small KV cache": "kv_blocks=24",
	} {
		t.Run(name, func(t *testing.T) {
			executortest.Run(t, func(t *testing.T, c executortest.Config) (executor.Executor, *executortest.Gate) {
				path, gate := holder(t)
				o := toyOptions(c)
				o.MaxBeamWidth = 4
				e, err := New(s.engine(t, standinConfig, script+";hold="+path), o)
				require.NoError(t, err)
				t.Cleanup(func() { // after a failure, for there is one at a time
					gate.Release()
					_ = e.Close()
				})
				return e, gate
			}, standinModel())
		})
	}
}

// standinModel is what upstream can do of what Load and the contract ask for.
func standinModel() executortest.Model {
	m := toyModel()
	m.Features.Aborts, m.Features.Ordered, m.Features.WorkNumbered = false, false, false
	return m
}

// What a request gives over the production shim does not depend on what else runs.
func TestStandinEquivalence(t *testing.T) {
	s := needStandin(t)
	e, err := New(s.engine(t, standinConfig, ""), toyOptions(executortest.Config{}))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	equivalence := executortest.NewEquivalence(t, e, executortest.NewLoad(standinModel(), 32, 2), 40)
	for seed := range uint64(3) {
		equivalence.Run(t, e, seed)
	}
}

// The stand-in's model is the toy: what comes over the production shim is what package
// inflight gives for the same requests, to the token.
func TestStandinEqualsInflight(t *testing.T) {
	s := needStandin(t)
	e, err := New(s.engine(t, standinConfig, "merge=2"), toyOptions(executortest.Config{}))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	x, err := inflight.New(executortest.NewToy(executortest.ToyLimits()), inflight.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	load := executortest.NewLoad(standinModel(), 32, 3)
	for range 150 {
		r := load.Request()
		r.Streaming = false
		want, got := alone(t, x, r), alone(t, e, r)
		require.Len(t, got, len(want), "%+v", r)
		for i := range want {
			require.True(t, slices.Equal(want[i].OutputIDs, got[i].OutputIDs), "%v and %v: %+v", want[i].OutputIDs, got[i].OutputIDs, r) // one may be nil
			require.Equal(t, want[i].FinishReason, got[i].FinishReason, "%+v", r)
			require.InDeltaSlice(t, want[i].LogProbs, got[i].LogProbs, 1e-4, "%+v", r)
			require.InDeltaSlice(t, want[i].PromptLogProbs, got[i].PromptLogProbs, 1e-4, "%+v", r)
			require.Equal(t, want[i].Logits, got[i].Logits)
			require.Equal(t, want[i].ContextLogits, got[i].ContextLogits)
			require.Len(t, got[i].TopLogProbs, len(want[i].TopLogProbs))
			if r.LogProbs {
				require.InDelta(t, want[i].CumLogProb, got[i].CumLogProb, 1e-3, "%+v", r)
			}
		}
	}
}

// alone runs a request to its end and returns the response of each sequence.
func alone(t *testing.T, x executor.Executor, r executor.Request) []executor.Response {
	t.Helper()
	require.NoError(t, x.Submit(r))
	var list []executor.Response
	for {
		responses, err := x.Await(t.Context())
		require.NoError(t, err)
		for _, r := range responses {
			require.NoError(t, r.Err)
			list = append(list, r)
			if r.Final {
				slices.SortFunc(list, func(a, b executor.Response) int { return cmp.Compare(a.Sequence, b.Sequence) })
				return list
			}
		}
	}
}
