package build_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/export/checkpoint"
)

// editJSON changes a JSON file.
func editJSON(t *testing.T, path string, change func(m map[string]any)) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(text, &m))
	change(m)
	text, err = json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o644))
}

// editHeader changes the header of a safetensors file; the data stays as it is.
func editHeader(t *testing.T, path string, change func(tensors map[string]any)) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	end := 8 + binary.LittleEndian.Uint64(data)
	var header map[string]any
	require.NoError(t, json.Unmarshal(data[8:end], &header))
	change(header)
	text, err := json.Marshal(header)
	require.NoError(t, err)
	text = append(text, strings.Repeat(" ", (8-len(text)%8)%8)...)
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	require.NoError(t, os.WriteFile(path, append(append(out, text...), data[end:]...), 0o644))
}

// What a checkpoint lacks, or has too much or in another shape, is named.
func TestWrongTensors(t *testing.T) {
	const dense = "transformer.layers.1.attention.dense.weight"
	for name, c := range map[string]struct {
		change func(tensors map[string]any)
		want   string
	}{
		"missing":       {func(m map[string]any) { m["transformer.layers.1.attention.other.weight"] = m[dense]; delete(m, dense) }, dense},
		"shape":         {func(m map[string]any) { m[dense].(map[string]any)["shape"] = []int{32, 128} }, dense},
		"one dimension": {func(m map[string]any) { m[dense].(map[string]any)["shape"] = []int{64 * 64} }, dense},
		"dtype":         {func(m map[string]any) { m[dense].(map[string]any)["dtype"] = "F16" }, dense},
		"integers":      {func(m map[string]any) { m[dense].(map[string]any)["dtype"] = "I16" }, dense},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tinycheckpoint.Dir(t, "llama-gqa", nil)
			editHeader(t, filepath.Join(dir, "rank0.safetensors"), c.change)
			out := filepath.Join(t.TempDir(), "engine")
			_, err := build.Build(context.Background(), build.Options{CheckpointDir: dir, OutputDir: out})
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
			require.NoDirExists(t, out)
		})
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		is     error
		want   string
	}{
		"rank missing": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "rank0.safetensors"))) }, checkpoint.ErrInvalid, "rank0.safetensors"},
		"rank is a directory": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "rank0.safetensors")))
			require.NoError(t, os.Mkdir(filepath.Join(dir, "rank0.safetensors"), 0o755))
		}, nil, "rank0.safetensors"},
		"architecture": {func(t *testing.T, dir string) {
			editJSON(t, filepath.Join(dir, "config.json"), func(m map[string]any) { m["architecture"] = "WarpForCausalLM" })
		}, checkpoint.ErrUnsupported, "WarpForCausalLM"},
		"empty config": {func(t *testing.T, dir string) { require.NoError(t, os.Truncate(filepath.Join(dir, "config.json"), 0)) }, checkpoint.ErrInvalid, "config.json"},
		"a source": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"architectures":["LlamaForCausalLM"]}`), 0o644))
		}, checkpoint.ErrInvalid, "config.json"},
		"garbage in rank": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "rank0.safetensors"), []byte(strings.Repeat("\xff", 999)), 0o644))
		}, checkpoint.ErrInvalid, "rank0.safetensors"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tinycheckpoint.Dir(t, "llama-gqa", nil)
			c.damage(t, dir)
			_, err := build.Build(context.Background(), build.Options{CheckpointDir: dir, DryRun: true})
			require.ErrorContains(t, err, c.want)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
		})
	}
}

// Tensors that config.json's network does not have are left out, as upstream does,
// and named: they may be a bias that the config forgot.
func TestUnusedTensors(t *testing.T) {
	dir := tinycheckpoint.Dir(t, "llama-bias", nil)
	editJSON(t, filepath.Join(dir, "config.json"), func(m map[string]any) { m["attn_bias"] = false })
	report := mustBuild(t, build.Options{CheckpointDir: dir, DryRun: true})
	require.Contains(t, strings.Join(report.Notes, "\n"), "tensors that config.json does not call for, transformer.layers.0.attention.qkv.bias among them")
	require.Empty(t, mustBuild(t, build.Options{CheckpointDir: tinycheckpoint.Dir(t, "llama-bias", nil), DryRun: true}).Notes)
}

// leaves calls visit with every value of a JSON object that is no object, and a way to replace it.
func leaves(path string, m map[string]any, visit func(path string, set func(v any))) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if inner, ok := m[key].(map[string]any); ok {
			leaves(path+"."+key, inner, visit)
		}
		old := m[key]
		visit(path+"."+key, func(v any) { m[key] = v })
		m[key] = old
	}
}

// Whatever stands in config.json, Build gives an engine or an error, and allocates
// nothing out of proportion.
func TestHostileConfig(t *testing.T) {
	turn := 0
	backends := []string{build.BackendCPU, build.BackendTensorRTLLM, build.BackendTensorRTRTX}
	values := []any{nil, 0, -1, 1, 1 << 31, int64(1) << 40, 1e300, 0.5, "", "x", true, []any{}, []any{1e18}, map[string]any{}, strings.Repeat("[", 5000)}
	for _, model := range []string{"llama-tied-llama3", "nemotron", "mistral-window"} {
		dir := tinycheckpoint.Dir(t, model, nil)
		path := filepath.Join(dir, "config.json")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var config map[string]any
		require.NoError(t, json.Unmarshal(text, &config))
		leaves("", config, func(key string, set func(v any)) {
			for _, value := range values {
				set(value)
				changed, err := json.Marshal(config)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(path, changed, 0o644))
				backend := backends[(turn+turn/len(values))%len(backends)] // another one for each key
				turn++
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, err = build.Build(context.Background(), build.Options{CheckpointDir: dir, Backend: backend, DryRun: true})
				runtime.ReadMemStats(&after)
				require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "%s %s = %.50v: %v", model, key, value, err)
				if err != nil {
					require.NotContains(t, err.Error(), "\n", "%s = %.50v", key, value)
				}
			}
		})
	}
}
