//go:build cgo && linux && (amd64 || arm64)

package cpu_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// quantisedEngine takes a form of testmodel.Quantised through export and build.
func quantisedEngine(t *testing.T, model, form, dtype string) string {
	t.Helper()
	o := export.Options{Dtype: dtype}
	switch form {
	case "fp8": // of the same source, without its cache's scales
		o.KVCacheDtype = "none"
		return engineOf(t, testmodel.QuantisedDir(t, model+".fp8"), o)
	case "fp8_kv":
		return engineOf(t, testmodel.QuantisedDir(t, model+".fp8"), o)
	case "awq":
		return engineOf(t, testmodel.QuantisedDir(t, model+"."+form), o)
	}
	o.QFormat = form
	return engineOf(t, testmodel.Dir(t, model), o)
}

// TestQuantisedLogits compares with torch's emulation of each quantised network. Of
// FP8, an input that lies within float32 rounding of the middle between two codes may
// become either: few rows may differ by that, a network without the rounding, with
// another scale or with other weights differs in all of them.
func TestQuantisedLogits(t *testing.T) {
	for _, form := range []string{"nemotron.fp8", "nemotron.fp8_kv", "nemotron.int8_wo", "nemotron.int4_wo", "llama-gqa.fp8", "llama-gqa.int8_wo", "llama-gqa.int4_wo", "llama-gqa.awq"} {
		reference := testmodel.Quantised(t, form)
		model, kind, _ := strings.Cut(form, ".")
		for _, dtype := range []string{"bfloat16", "float32"} {
			t.Run(form+" "+dtype, func(t *testing.T) {
				path := executed(t, quantisedEngine(t, model, kind, dtype))
				exact := openRunner(t, path, cpu.Options{Precision: "exact"})
				// A number times its scale is not rounded to bfloat16, except where it is
				// expanded: groups of 4 are. The scales themselves are, and lose nothing:
				// a power of two divides a bfloat16 number.
				want := reference.Logits["float32"]
				if kind == "awq" {
					want = reference.Logits[dtype]
				}
				got := logitsOf(t, exact, reference.Prompts, 1<<20)
				differ := 0
				for i := range got {
					if largest, _ := difference(want[i:i+1], got[i:i+1]); !(largest <= 2e-3) {
						differ++
					}
				}
				_, rms := difference(want, got)
				unquantised := reference.Error[dtype].RMS
				require.Greater(t, unquantised, 0.05, "the form can be told from the model")
				switch kind {
				case "fp8":
					require.Less(t, rms, unquantised/10)
					require.LessOrEqual(t, differ, len(got)/5)
				case "fp8_kv": // a key or value that becomes another code shows in all rows after it
					require.Less(t, rms, unquantised/3)
					require.LessOrEqual(t, differ, len(got)/2)
				default:
					require.Less(t, rms, unquantised/10)
					require.Zero(t, differ)
				}
				// Rounding is by row: how a prompt is cut changes nothing, nor who does it.
				several := openRunner(t, path, cpu.Options{Precision: "exact", Threads: 3})
				largest, _ := difference(got, logitsOf(t, several, reference.Prompts, 3))
				require.Zero(t, largest)
				if dtype == "bfloat16" {
					fast := openRunner(t, path, cpu.Options{Precision: "fast"})
					_, rms := difference(want, logitsOf(t, fast, reference.Prompts, 1<<20))
					if strings.HasPrefix(kind, "fp8") { // rounding to bfloat16 first moves many inputs by a code
						require.Less(t, rms, unquantised)
					} else {
						require.Less(t, rms, reference.LogitsStd/20)
					}
				}
			})
		}
	}
}

// logitsOf runs prompts in steps of at most n tokens.
func logitsOf(t *testing.T, r *cpu.Runner, prompts [][]int32, n int) [][]float32 {
	t.Helper()
	var logits [][]float32
	for i, prompt := range prompts {
		logits = append(logits, forward(t, r, prompt, min(n, len(prompt)), int32(2*i))...)
	}
	return logits
}
