package benchrun

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/benchmark"
)

func TestEnvironment(t *testing.T) {
	values := map[string]string{"X_DIR": "d", "X_ROUNDS": "7", "X_THREADS": "1,4", "X_TIME": "3s"}
	e := Environment{Getenv: func(name string) string { return values[name] }, Prefix: "X_"}
	require.Equal(t, "d", e.Text("DIR", "out"))
	require.Equal(t, "out", e.Text("OTHER", "out"))
	require.EqualValues(t, 7, e.Number("ROUNDS", 5))
	require.EqualValues(t, 5, e.Number("OTHER", 5))
	require.Equal(t, []int{1, 4}, e.Numbers("THREADS", "1,2"))
	require.Equal(t, []int{1, 2}, e.Numbers("OTHER", "1,2"))
	require.Equal(t, 3*time.Second, e.Duration("TIME", time.Second))
	require.Equal(t, time.Second, e.Duration("OTHER", time.Second))
	require.NoError(t, e.Err())

	values = map[string]string{"X_ROUNDS": "0", "X_THREADS": "1,x", "X_TIME": "3"}
	e.Number("ROUNDS", 5)
	e.Numbers("THREADS", "1")
	e.Duration("TIME", time.Second)
	e.Fail(errors.New("and this"))
	require.EqualError(t, e.Err(), "X_ROUNDS=0 is not a positive number\nX_THREADS=1,x: \"x\" is not a positive number\nX_TIME=3 is not a positive duration such as 2s\nand this")
}

func TestOutput(t *testing.T) {
	log := filepath.Join(t.TempDir(), "logs", "step.log")
	text, err := Output(t.Context(), log, "sh", "-c", "echo result; echo chatter >&2")
	require.NoError(t, err)
	require.Equal(t, "result\n", string(text))
	written, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(written), "result\n")
	require.Contains(t, string(written), "chatter\n")

	err = Run(t.Context(), log, "sh", "-c", "echo no disk >&2; exit 3")
	require.EqualError(t, err, "sh: exit status 3; its log is "+log+`, which ends with "no disk"`)
	require.ErrorContains(t, Run(t.Context(), log, "no-such-program"), "its log is "+log)
}

func TestNeed(t *testing.T) {
	require.NoError(t, Need("this", "sh"))
	require.EqualError(t, Need("this", "sh", "no-such-program", "nor-this"), "this needs no-such-program and nor-this; please install it")
}

// A stand-in for the command counts how often it exports.
const standIn = `#!/bin/sh
case $1 in
export) echo "$@" >>exports ;;
build) mkdir -p "$(dirname "$7")"; mkdir -p "$7" ;;
bench) echo '{"name":"e","cases":[{"phase":"decode","threads":2,"batch_size":1,"tokens":1,"context":128,"mean_seconds":0.5,"tokens_per_second":{"min":1,"median":2,"max":3}}]}' ;;
esac
`

func TestEngine(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("trtgo", []byte(standIn), 0o755))
	trtgo := &Trtgo{Path: "./trtgo", GGUF: "model.gguf", Dir: "cache"}
	_, err := trtgo.Engine(t.Context(), Int4)
	require.ErrorContains(t, err, "`make model` fetches it")
	require.NoError(t, os.WriteFile("model.gguf", []byte("GGUF"), 0o644))
	for range 2 {
		dir, err := trtgo.Engine(t.Context(), Int4)
		require.NoError(t, err)
		require.Equal(t, filepath.Join("cache", "engines", "int4"), dir)
	}
	exports, err := os.ReadFile("exports")
	require.NoError(t, err)
	const once = "export model.gguf --output_dir cache/engines/int4.checkpoint --dtype bfloat16 --qformat int4_wo --group_size 32\n"
	require.Equal(t, once, string(exports), "the second one was there already")

	require.NoError(t, os.WriteFile("trtgo", []byte(standIn+"# another version\n"), 0o755))
	_, err = trtgo.Engine(t.Context(), Int4)
	require.NoError(t, err)
	exports, err = os.ReadFile("exports")
	require.NoError(t, err)
	require.Equal(t, once+once, string(exports))

	report, err := trtgo.Bench(t.Context(), "int4", "--threads", "2")
	require.NoError(t, err)
	r, err := Find(report, benchmark.Decode, 2, 1, 128)
	require.NoError(t, err)
	require.InDelta(t, 0.5, r.MeanSeconds, 0)
	_, err = Find(report, benchmark.Decode, 1, 1, 128)
	require.EqualError(t, err, "trtgo bench told nothing of decode of 1 sequences with 1 threads and a context of 128")
}

func TestParseReport(t *testing.T) {
	_, err := parseReport([]byte("no JSON"))
	require.ErrorContains(t, err, "no JSON")
	_, err = parseReport([]byte("{}"))
	require.ErrorContains(t, err, "measured nothing")
	_, err = parseReport([]byte(`{"cases":[{"phase":"prefill","tokens":512}]}`))
	require.ErrorContains(t, err, "tells no times of prefill 512: is it of another version?")
}
