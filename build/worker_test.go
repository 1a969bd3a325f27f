package build_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

func init() {
	if does := os.Getenv("TRTGO_TEST_BUILD_WORKER"); does != "" {
		serve(does)
	}
}

// serve is what a worker process does. Before it builds, it leaves a file with the name of its rank.
func serve(does string) {
	build.UseCompiler(build.FakeCompiler{Version: "10.14.1", Compile: func(ctx context.Context, c build.FakeCompilation, f *os.File) ([]byte, error) {
		if err := os.WriteFile(c.Network.Name+".begun", nil, 0o600); err != nil {
			return nil, err
		}
		c.Message(build.Message{Severity: "info", Text: "GPU " + os.Getenv("CUDA_VISIBLE_DEVICES")})
		rank1 := c.Network.Name == "rank1"
		switch {
		case does == "fail" && rank1:
			return nil, errors.New("layer lm_head/MatrixMultiply: it cannot be")
		case does == "crash" && rank1:
			fmt.Fprintln(os.Stderr, "SIGSEGV: segmentation violation")
			os.Exit(2)
		case does == "silent" && rank1:
			os.Exit(0)
		case does == "babble" && rank1:
			for {
				fmt.Println("[TensorRT-LLM][INFO] a library that prints")
			}
		case does != "build":
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return planner(ctx, c, f)
	}})
	if err := build.ServeWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func workers(t *testing.T, does string, n int) build.Options {
	t.Helper()
	o := trtllm(t, 2, 2)
	t.Setenv("TRTGO_TEST_BUILD_WORKER", does)
	t.Setenv("CUDA_VISIBLE_DEVICES", "") // where there are GPUs, too, as many workers as are wanted
	program, err := os.Executable()
	require.NoError(t, err)
	o.Workers, o.WorkerCommand = n, []string{program, "-test.run=^$"}
	return o
}

func TestWorkers(t *testing.T) {
	o := workers(t, "build", 3)
	require.NoError(t, os.WriteFile("before.cache", []byte("before;"), 0o600))
	o.InputTimingCache, o.FastBuild = "before.cache", true
	var mutex sync.Mutex
	seen := map[int]bool{}
	o.Phases = func(p build.Phase) {
		require.True(t, mutex.TryLock(), "one call at a time")
		defer mutex.Unlock()
		seen[p.Rank] = true
	}
	heard := map[int]string{}
	o.Messages = func(m build.Message) {
		require.True(t, mutex.TryLock(), "one call at a time")
		defer mutex.Unlock()
		heard[m.Rank] = m.Severity + " " + m.Text
	}
	report := mustBuild(t, o)
	require.Equal(t, map[int]string{0: "warning hello", 1: "warning hello", 2: "warning hello", 3: "warning hello"}, heard)
	require.Equal(t, "10.14.1", report.TensorRT)
	for rank := range 4 {
		require.Equal(t, fmt.Sprintf("plan of rank%d", rank), content(t, filepath.Join("engine", engineconfig.EngineName(rank))))
		require.FileExists(t, filepath.Join("engine", engineconfig.ManagedWeightsName(rank)))
		require.Equal(t, rank, report.Ranks[rank].Rank)
		require.Positive(t, report.Ranks[rank].Engine)
		require.Positive(t, report.Ranks[rank].Managed)
		require.True(t, seen[rank])
	}
	for _, name := range names(t, "engine") {
		require.NotContains(t, name, ".cache")
	}
	cache := content(t, "model.cache")
	require.True(t, strings.HasPrefix(cache, "before;rank"), cache)
	require.GreaterOrEqual(t, strings.Count(cache, ";"), 3, "the last rank began with what another had timed: %s", cache)

	want := report.Ranks
	o.Workers = 1 // in this process, with the same result
	build.SetCompiler(t, build.FakeCompiler{Compile: planner})
	require.Equal(t, want, mustBuild(t, o).Ranks)
}

// Each worker has a GPU of its own; there are no more workers than GPUs.
func TestWorkersOnGPUs(t *testing.T) {
	o := workers(t, "build", 4)
	t.Setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
	used := map[string]bool{}
	o.Messages = func(m build.Message) {
		if gpu, ok := strings.CutPrefix(m.Text, "GPU "); ok {
			used["GPU "+gpu] = true
		}
	}
	report := mustBuild(t, o)
	require.Equal(t, map[string]bool{"GPU 5": true, "GPU GPU-7": true}, used)
	require.Contains(t, report.Notes, "workers is cut to 2, the GPUs there are: kernels are timed on them")
}

// The first failure, of whatever kind, stops all workers, and nothing is left.
func TestFailedWorker(t *testing.T) {
	for does, want := range map[string]string{
		"fail":   "rank 1: layer lm_head/MatrixMultiply: it cannot be",
		"crash":  "the worker that builds rank 1: exit status 2",
		"silent": "the worker that builds rank 1: EOF, without a word: where memory ran out, fewer --workers help",
		"babble": "the worker that builds rank 1: it prints what is no answer: invalid character 'T'",
	} {
		t.Run(does, func(t *testing.T) {
			o := workers(t, does, 2)
			_, err := build.Build(t.Context(), o)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "\n", "one sentence")
			if does == "crash" {
				require.ErrorContains(t, err, "SIGSEGV: segmentation violation")
			}
			require.Subset(t, []string{"rank0.begun", "rank1.begun"}, names(t, "."))
		})
	}
	o := workers(t, "build", 2)
	o.WorkerCommand = []string{"./none"}
	_, err := build.Build(t.Context(), o)
	require.ErrorContains(t, err, "the worker that builds rank")
	require.ErrorContains(t, err, "./none")
	o.WorkerCommand = nil
	_, err = build.Build(t.Context(), o)
	require.ErrorIs(t, err, build.ErrOption)
	require.ErrorContains(t, err, "2 workers without Options.WorkerCommand")
}

func TestCancelledWorkers(t *testing.T) {
	o := workers(t, "hang", 4)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range 4 {
			for rank := range 4 {
				for {
					if _, err := os.Stat(fmt.Sprintf("rank%d.begun", rank)); err == nil || ctx.Err() != nil {
						break
					}
					time.Sleep(5 * time.Millisecond)
				}
			}
		}
		cancel()
	}()
	_, err := build.Build(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	require.ElementsMatch(t, []string{"rank0.begun", "rank1.begun", "rank2.begun", "rank3.begun"}, names(t, "."))
}

// A worker whose parent has ended, which closes its input, ends too.
func TestOrphanedWorker(t *testing.T) {
	build.SetCompiler(t, build.FakeCompiler{Compile: func(ctx context.Context, _ build.FakeCompilation, _ *os.File) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	o := trtllm(t, 1, 1)
	require.NoError(t, os.Mkdir("dir", 0o755))
	job := fmt.Sprintf(`{"options":{"Backend":"tensorrt-llm","CheckpointDir":%q},"rank":0,"dir":"dir","cache":"dir/cache"}`, o.CheckpointDir)
	var answers strings.Builder
	require.NoError(t, build.ServeWorker(t.Context(), strings.NewReader(job), &answers))
	require.Contains(t, answers.String(), "context canceled")
	require.Error(t, build.ServeWorker(t.Context(), strings.NewReader("{"), io.Discard))
}
