//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	s, err := read(nil, func(string) string { return "" })
	require.NoError(t, err)
	require.Equal(t, exporting.forms, s.forms)
	require.EqualValues(t, 1, s.scale)
	s, err = read(nil, func(name string) string {
		return map[string]string{"BENCH_SCALE": "8", "BENCH_FORMS": "zarr,bin"}[name]
	})
	require.NoError(t, err)
	require.EqualValues(t, 8, s.scale)
	require.Equal(t, []string{"zarr", "bin"}, s.forms)
	_, err = read(nil, func(name string) string {
		return map[string]string{"BENCH_REPEATS": "0", "BENCH_FORMS": "gguf"}[name]
	})
	require.ErrorContains(t, err, "BENCH_REPEATS=0")
	require.ErrorContains(t, err, `"gguf" is none of safetensors`)
	s, err = read([]string{"build"}, func(string) string { return "" })
	require.NoError(t, err)
	require.Equal(t, building.forms, s.forms)
	_, err = read([]string{"run"}, func(string) string { return "" })
	require.ErrorContains(t, err, `not ["run"]`)
}

func TestReport(t *testing.T) {
	r := result{stage: exporting, form: "zarr", bytes: 2e9, pairs: []pair{
		{10 * time.Second, 20 * time.Second, 100e6, 5e6}, {10 * time.Second, 10 * time.Second, 90e6, 6e6}, {20 * time.Second, 10 * time.Second, 50e6, 7e6},
	}}
	require.NoError(t, r.verdict())
	require.Equal(t, "| zarr | 2.00 | 10.0 / 10.0 / 20.0 | 10.0 / 10.0 / 20.0 | 200 | 0.50 / 1.00 / 2.00 | 100 | 7 |", r.row())
	r.pairs[0].anon = 601e6
	require.ErrorContains(t, r.verdict(), "RssAnon was 601 MB")
	r.pairs = r.pairs[:1]
	require.ErrorContains(t, r.verdict(), "export at 0.50 of cp's speed")
}

func TestSampled(t *testing.T) {
	anon, file, err := sampled(exec.Command("sleep", "0.2"))
	require.NoError(t, err)
	require.Positive(t, anon)
	require.Positive(t, file)
	_, _, err = sampled(exec.Command("false"))
	require.Error(t, err)
}

func TestSpaceAndFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, enoughSpace(dir, 1))
	require.ErrorContains(t, enoughSpace(dir, 1<<60), "choose another BENCH_DIR")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), make([]byte, 1<<20), 0o644))
	took, err := timed(dir, dir, func() error { return nil })
	require.NoError(t, err)
	require.Positive(t, took)
	require.Error(t, evict(filepath.Join(dir, "none")))
}
