//go:build cgo && linux && (amd64 || arm64)

package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// Made-up float16 weights are measured as the engine keeps them.
func TestBenchFloat16(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"trtgo", "bench", "--shape", "smollm2-135m", "--layers", "1", "--dtype", "float16", "--threads", "1", "--prefill", "16", "--batch-size", "1",
		"--context", "16", "--rounds", "3", "--json", "--quiet"}
	require.Zero(t, run(args, nil, &stdout, &stderr), &stderr)
	var report benchJSON
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &report))
	require.Equal(t, "f16", report.WeightDtypes)
	require.Equal(t, "exact", report.Precision)
	require.Len(t, report.Cases, 2)
	require.Positive(t, report.Decode.TokensPerSecond)
}

func TestBenchUnknownDtype(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, 2, run([]string{"trtgo", "bench", "--shape", "smollm2-135m", "--dtype", "int3"}, nil, &stdout, &stderr))
	require.Contains(t, stderr.String(), "float16")
	require.Empty(t, stdout.String())
}
