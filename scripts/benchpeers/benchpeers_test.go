//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/benchmark"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
)

func TestRead(t *testing.T) {
	s, err := read(func(string) string { return "" })
	require.NoError(t, err)
	require.Equal(t, 5, s.rounds)
	require.Equal(t, "docs/benchmarks.md", s.output)
	require.True(t, s.measure)
	values := map[string]string{"PEERS_ROUNDS": "2", "PEERS_THREADS": "1", "PEERS_MEASURE": "no", "BENCH_OUTPUT": "b.md"}
	s, err = read(func(name string) string { return values[name] })
	require.NoError(t, err)
	require.Equal(t, 2, s.rounds)
	require.Equal(t, []int{1}, s.threads)
	require.Equal(t, "b.md", s.output)
	require.False(t, s.measure)
	values = map[string]string{"PEERS_ROUNDS": "none", "PEERS_THREADS": "100000"}
	_, err = read(func(name string) string { return values[name] })
	require.ErrorContains(t, err, "PEERS_ROUNDS=none is not a positive number")
	require.ErrorContains(t, err, "100000 threads on")
}

func TestLlamaRate(t *testing.T) {
	const answer = `[{"build_commit": "0c1e570", "n_prompt": 512, "n_gen": 0, "avg_ns": 500000000, "avg_ts": 1031.2, "samples_ts": [ 1024.0 ]}]`
	rate, err := llamaRate([]byte(answer), benchmark.Prefill)
	require.NoError(t, err)
	require.InDelta(t, 1024, rate, 1e-9)
	rate, err = llamaRate([]byte(`[{"n_prompt": 0, "n_gen": 64, "n_depth": 96, "avg_ns": 640000000}]`), benchmark.Decode)
	require.NoError(t, err)
	require.InDelta(t, 100, rate, 1e-9)
	_, err = llamaRate([]byte(answer), benchmark.Decode)
	require.ErrorContains(t, err, "something else than decode")
	for _, text := range []string{"[]", "error: no model", `[{"n_prompt": 512, "avg_ns": 0}]`} {
		_, err = llamaRate([]byte(text), benchmark.Prefill)
		require.ErrorContains(t, err, "llama-bench")
	}
}

func TestParseTiming(t *testing.T) {
	m, err := parseTiming([]byte("a warning\n{\"prefill_tokens_per_second\": 900.5, \"decode_tokens_per_second\": 20.25, \"details\": \"torch\"}\n"))
	require.NoError(t, err)
	require.Equal(t, timing{900.5, 20.25, "torch"}, m)
	_, err = parseTiming([]byte("Killed\n"))
	require.ErrorContains(t, err, "Killed")
	_, err = parseTiming([]byte("{}"))
	require.ErrorContains(t, err, "measured nothing")
}

// steady gives one rate after the other.
func steady(name string, order *[]string, rates ...float64) *contestant {
	n := 0
	return &contestant{name: name, measure: func(context.Context, int, benchmark.Phase) (sample, error) {
		*order = append(*order, name)
		n++
		return sample{rate: rates[(n-1)%len(rates)], stream: 20}, nil
	}}
}

func silent() benchrun.Quiet { return benchrun.Quiet{Tries: 1, Say: func(string, ...any) {}} }

// Rates and their order are those of the run; ratios are the rounds'.
func TestContest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gguf")
	require.NoError(t, os.WriteFile(path, make([]byte, 2e6), 0o644))
	own, other := &contestant{name: "trtgo bf16"}, &contestant{name: "llama.cpp BF16", path: path}
	goals := map[benchmark.Phase]float64{benchmark.Prefill: 1.2, benchmark.Decode: 1}
	c := contest{rounds: 3, threads: []int{2}, groups: []*group{{weights: "16 bits", own: own, peers: []peer{{other, goals}}}}, quiet: silent()}
	c.results = map[key][]sample{
		{own, 2, benchmark.Prefill}:   {{100, 20}, {300, 22}, {200, 21}},
		{other, 2, benchmark.Prefill}: {{200, 0}, {200, 0}, {100, 0}},
		{own, 2, benchmark.Decode}:    {{10, 30}, {10, 30}, {10, 30}},
		{other, 2, benchmark.Decode}:  {{20, 0}, {20, 0}, {8, 0}},
	}
	text := c.section(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "2 cores of some processor", []string{"trtgo v1", "llama.cpp commit x"})
	require.Contains(t, text, "`make bench-peers`, 2026-01-02, 2 cores of some processor")
	require.Contains(t, text, "\n- llama.cpp commit x\n")
	require.Contains(t, text, "\n**16 bits**: llama.cpp BF16 2 MB\n\n| step |")
	require.Contains(t, text, "\n| prompt of 512 | 2 | 200.0 (100.0 – 300.0) | llama.cpp BF16 | 200.0 (100.0 – 200.0) | 1.50 (0.50 – 2.00) | ≥ 1.2, reached | 21.0 |\n")
	require.Contains(t, text, "\n| decode behind 128 | 2 | 10.0 (10.0 – 10.0) | llama.cpp BF16 | 20.0 (8.0 – 20.0) | 0.50 (0.50 – 1.25) | ≥ 1, **missed** | 30.0 |\n")
}

// Every round begins with another contestant; a failing one ends the run and is named.
func TestRounds(t *testing.T) {
	var order []string
	g := &group{own: steady("own", &order, 1), peers: []peer{{contestant: steady("peer", &order, 2)}}}
	c := contest{rounds: 2, threads: []int{1}, groups: []*group{g}, quiet: silent()}
	require.NoError(t, c.run(t.Context()))
	require.Len(t, c.rates(key{g.own, 1, benchmark.Decode}), 2)
	require.Equal(t, []float64{20, 20}, c.streams(key{g.own, 1, benchmark.Prefill}))
	require.Equal(t, "own", order[0])
	require.Equal(t, "own", order[len(order)-1])

	failure := errors.New("its log is x.log")
	g.peers[0].contestant = &contestant{name: "llama.cpp Q8_0", measure: func(context.Context, int, benchmark.Phase) (sample, error) { return sample{}, failure }}
	err := c.run(t.Context())
	require.EqualError(t, err, "llama.cpp Q8_0, prefill with 1 threads, round 1: its log is x.log")
	g.peers[0].contestant = steady("idle", &order, 0)
	require.ErrorContains(t, c.run(t.Context()), "idle, prefill with 1 threads, round 1: 0.000 tokens/s is no speed")
}

func TestMakeFrom(t *testing.T) {
	dir := t.TempDir()
	source, path := filepath.Join(dir, "source"), filepath.Join(dir, "models", "made")
	write := func(part string) error { return os.WriteFile(part, []byte("x"), 0o644) }
	require.ErrorContains(t, makeFrom(source, path, write), "`make model` fetches it")
	require.NoError(t, os.WriteFile(source, nil, 0o644))
	require.NoError(t, os.Chtimes(source, time.Time{}, time.Now().Add(-time.Minute)))
	require.EqualError(t, makeFrom(source, path, func(part string) error { return errors.Join(write(part), errors.New("full")) }), "full")
	require.NoFileExists(t, path, "half a file is none")
	require.NoError(t, makeFrom(source, path, write))
	require.NoError(t, makeFrom(source, path, func(string) error { return errors.New("made twice") }))
	require.NoError(t, os.Chtimes(source, time.Time{}, time.Now().Add(time.Minute)))
	require.EqualError(t, makeFrom(source, path, func(string) error { return errors.New("made again") }), "made again")
}

// A stand-in for python3 makes environments whose pip reaches no wheels without CUDA.
const pythonStandIn = `#!/bin/sh
mkdir -p "$3/bin"
cat >"$3/bin/python" <<'END'
#!/bin/sh
echo "$@" >>installs
case "$*" in *+cpu*) echo "no such index" >&2; exit 1 ;; esac
END
chmod +x "$3/bin/python"
`

func TestInstall(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("path", 0o755))
	require.NoError(t, os.WriteFile("path/python3", []byte(pythonStandIn), 0o755))
	t.Setenv("PATH", filepath.Join(mustGetwd(t), "path")+":"+os.Getenv("PATH"))
	for range 2 {
		torch := &transformers{dir: mustGetwd(t)}
		require.NoError(t, torch.install(t.Context()))
		require.Equal(t, filepath.Join(mustGetwd(t), "venv/bin/python"), torch.python)
	}
	text, err := os.ReadFile("installs")
	require.NoError(t, err)
	require.Equal(t, "-m pip install --disable-pip-version-check --retries 0 torch==2.9.1+cpu --index-url https://download.pytorch.org/whl/cpu\n"+
		"-m pip install --disable-pip-version-check torch==2.9.1\n"+
		"-m pip install --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3 gguf==0.19.0 numpy==2.4.6 safetensors==0.8.0\n", string(text), "once")

	named := &transformers{dir: mustGetwd(t), python: "false"}
	require.ErrorContains(t, named.install(t.Context()), "transformers-import.log")
}

func TestVersionOfLlama(t *testing.T) {
	l := &llamaCpp{dir: t.TempDir()}
	_, err := l.version(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.Mkdir(filepath.Join(l.dir, "llama.cpp"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "llama.cpp/CMakeCache.txt"), []byte("CMAKE_BUILD_TYPE:STRING=Release\nCMAKE_CXX_COMPILER:FILEPATH=echo\n"+
		"GGML_NATIVE:BOOL=ON\nGGML_OPENMP:BOOL=ON\nLLAMA_BUILD_COMMIT:UNINITIALIZED=0c1e570\n"), 0o644))
	text, err := l.version(t.Context())
	require.NoError(t, err)
	require.Contains(t, text, "llama.cpp commit 0c1e570 (in llama-cpp-python 0.3.36), Release with GGML_NATIVE=ON and GGML_OPENMP=ON by ")
}

func mustGetwd(t *testing.T) string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	return dir
}
