//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"fmt"
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A rowOperation writes n values as float or bf16.
type rowOperation func(out unsafe.Pointer, outBF16 bool)

// floatsOf runs an operation into floats, checks that its bf16 output is the same
// values rounded, and that neither writes past n.
func floatsOf(t *testing.T, n int, operation rowOperation) []float32 {
	t.Helper()
	floats, halves := make([]float32, n+1), make([]uint16, n+1)
	floats[n], halves[n] = 777, 0x1234
	operation(unsafe.Pointer(&floats[0]), false)
	operation(unsafe.Pointer(&halves[0]), true)
	require.Equal(t, float32(777), floats[n])
	require.Equal(t, append(roundAllBF16(floats[:n]), 0x1234), halves)
	return floats[:n]
}

// within requires |got-want| <= bound, or both NaN, or the same infinity.
func within(t *testing.T, want float64, got float32, bound float64, message string, args ...any) {
	t.Helper()
	if math.IsNaN(want) && got != got || float64(got) == want {
		return
	}
	if diff := math.Abs(float64(got) - want); !(diff <= bound) {
		require.Failf(t, "not within bounds", "%s: %v, want %v, off by %g of %g", fmt.Sprintf(message, args...), got, want, diff, bound)
	}
}

var rowLengths = []int{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 576, 1023}

func TestRMSNorm(t *testing.T) {
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		r := newRand(20)
		for _, n := range rowLengths {
			for _, scale := range []float64{1e-18, 1e-3, 1, 1e18} { // squares leave float's range
				x, w := normals(r, n, scale), normals(r, n, 1)
				const epsilon = float32(1e-5)
				y := floatsOf(t, n, func(out unsafe.Pointer, bf16 bool) { s.rmsNorm(&x[0], &w[0], epsilon, n, out, bf16) })
				var squares float64
				for _, v := range x {
					squares += float64(v) * float64(v)
				}
				factor := 1 / math.Sqrt(squares/float64(n)+float64(epsilon))
				for i := range y {
					want := float64(x[i]) * factor * float64(w[i])
					within(t, want, y[i], 3.01*unit*math.Abs(want)+0x1p-149, "n %d scale %g at %d", n, scale, i)
				}
			}
		}
		x := []float32{1, float32(math.NaN()), 3}
		for _, v := range floatsOf(t, 3, func(out unsafe.Pointer, bf16 bool) { s.rmsNorm(&x[0], &[]float32{1, 1, 1}[0], 0, 3, out, bf16) }) {
			require.True(t, math.IsNaN(float64(v)))
		}
	})
}

func TestLayerNorm(t *testing.T) {
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		r := newRand(21)
		for _, n := range rowLengths {
			for _, mean := range []float64{0, 1000} { // a mean far above the deviation
				for _, biased := range []bool{false, true} {
					x, w, b := normals(r, n, 1), normals(r, n, 1), normals(r, n, 1)
					for i := range x {
						x[i] += float32(mean)
					}
					var bias *float32
					if biased {
						bias = &b[0]
					}
					const epsilon = float32(1e-5)
					y := floatsOf(t, n, func(out unsafe.Pointer, bf16 bool) { s.layerNorm(&x[0], &w[0], bias, epsilon, n, out, bf16) })
					var centre, squares float64
					for _, v := range x {
						centre += float64(v) / float64(n)
					}
					for _, v := range x {
						squares += (float64(v) - centre) * (float64(v) - centre)
					}
					factor := 1 / math.Sqrt(squares/float64(n)+float64(epsilon))
					for i := range y {
						scaled := (float64(x[i]) - centre) * factor * float64(w[i])
						want := scaled
						if biased {
							want += float64(b[i])
						}
						// Sums in double lose less than 1e-12 of the mean.
						bound := 2.01*unit*math.Abs(scaled) + unit*math.Abs(want) + 1e-12*mean*factor*math.Abs(float64(w[i])) + 0x1p-149
						within(t, want, y[i], bound, "n %d mean %g at %d", n, mean, i)
					}
				}
			}
		}
	})
}

// activations are the functions, each with the bound on its relative error at x: one
// or two units for exp, the rounding of its argument z (which exp multiplies by the
// argument), and one for each further operation.
var activations = []struct {
	name     string
	function int
	value    func(x float64) float64
	bound    func(x, y float64) float64
}{
	{"silu", 0, func(x float64) float64 { return x / (1 + math.Exp(-x)) },
		func(_, y float64) float64 { return 6 * unit * math.Abs(y) }},
	{"squared relu", 1, func(x float64) float64 { return max(x, 0) * max(x, 0) },
		func(_, y float64) float64 { return unit * y }},
	{"relu", 2, func(x float64) float64 { return max(x, 0) },
		func(_, _ float64) float64 { return 0 }},
	{"gelu", 3, func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) },
		// As torch computes it: 1 + erf is exact to units of 1, not of itself.
		func(x, y float64) float64 { return 3 * unit * (math.Abs(x)/2 + math.Abs(y)) }},
	{"gelu tanh", 4, func(x float64) float64 { return x / (1 + math.Exp(-geluTanhArgument(x))) },
		func(x, y float64) float64 {
			z := geluTanhArgument(x)
			return (6 + 6*math.Abs(z)/(1+math.Exp(z))) * unit * math.Abs(y)
		}},
}

func geluTanhArgument(x float64) float64 { return 2 * math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x) }

func TestActivations(t *testing.T) {
	var x []float32
	for v := -110.0; v < 110; v += 0.0037 {
		x = append(x, float32(v))
	}
	for e := -149; e < 127; e++ {
		x = append(x, float32(math.Ldexp(1.3, e)), float32(math.Ldexp(-1.3, e)))
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		for _, a := range activations {
			t.Run(a.name, func(t *testing.T) {
				y := floatsOf(t, len(x), func(out unsafe.Pointer, bf16 bool) { s.activation(a.function, &x[0], nil, nil, len(x), out, bf16) })
				for i, v := range x {
					want := a.value(float64(v))
					if float64(v)*float64(v) > math.MaxFloat32 && a.function == 1 {
						want = math.Inf(1) * max(0, math.Copysign(1, float64(v)))
						if v < 0 {
							want = 0
						}
					}
					// Below the smallest normal an exponential may be a whole step off, times |x|.
					within(t, want, y[i], a.bound(float64(v), want)+100*0x1p-126, "x = %v", v)
				}
				special := []float32{nan, inf, 0, float32(math.Copysign(0, -1)), -inf}
				y = floatsOf(t, 5, func(out unsafe.Pointer, bf16 bool) { s.activation(a.function, &special[0], nil, nil, 5, out, bf16) })
				require.True(t, math.IsNaN(float64(y[0])), "NaN in, NaN out")
				require.Equal(t, inf, y[1])
				require.Zero(t, y[2])
				require.Zero(t, y[3])
				if a.function == 1 || a.function == 2 {
					require.Zero(t, y[4])
				}
			})
		}
	})
}

func TestGatedActivations(t *testing.T) {
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		r := newRand(22)
		for _, n := range rowLengths {
			a, b, factor := normals(r, n, 3), normals(r, n, 3), normals(r, n, 1)
			for _, f := range activations {
				plain := floatsOf(t, n, func(out unsafe.Pointer, bf16 bool) { s.activation(f.function, &a[0], nil, nil, n, out, bf16) })
				for i := range plain {
					plain[i] *= b[i]
				}
				sameBits(t, plain, floatsOf(t, n, func(out unsafe.Pointer, bf16 bool) { s.activation(f.function, &a[0], &b[0], nil, n, out, bf16) }))
				for i := range plain {
					plain[i] *= factor[i]
				}
				sameBits(t, plain, floatsOf(t, n, func(out unsafe.Pointer, bf16 bool) { s.activation(f.function, &a[0], &b[0], &factor[0], n, out, bf16) }))
			}
		}
	})
}

func TestRowStatistics(t *testing.T) {
	inf := float32(math.Inf(1))
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		r := newRand(23)
		check := func(x []float32, inverse float32) {
			t.Helper()
			top := math.Inf(-1)
			for _, v := range x {
				top = max(top, float64(v*inverse))
			}
			var sum, distance float64
			for _, v := range x {
				if d := float64(v)*float64(inverse) - top; !math.IsInf(d, -1) {
					sum += math.Exp(d)
					distance += math.Exp(d) * (math.Abs(float64(v)*float64(inverse)) + math.Abs(d))
				}
			}
			want := top + math.Log(sum)
			gotMax, got := s.rowStatistics(&x[0], len(x), inverse)
			require.Equal(t, float32(top), gotMax)
			// Each value is rounded when scaled and when the maximum is taken off.
			within(t, want, got, unit*(math.Abs(want)+3+distance/sum), "n %d, 1/temperature %v", len(x), inverse)
		}
		for _, n := range append(rowLengths, 49152) {
			for _, inverse := range []float32{1, 0.5, 1 / 0.7} {
				x := normals(r, n, 4)
				check(x, inverse)
				for i := range x {
					x[i] -= 1000
				}
				check(x, inverse)
				for i := 0; i < n-1; i += 3 { // masked tokens
					x[i] = -inf
				}
				check(x, inverse)
			}
			uniform := make([]float32, n)
			gotMax, got := s.rowStatistics(&uniform[0], n, 1)
			require.Zero(t, gotMax)
			within(t, math.Log(float64(n)), got, unit*math.Log(float64(n))+unit, "uniform")
		}
	})
}

func TestRowStatisticsOfInfinitiesAndNaN(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachKernelSet(t, func(t *testing.T, s kernelSet) {
		for _, n := range rowLengths {
			x := make([]float32, n)
			for i := range x {
				x[i] = -inf
			}
			top, sum := s.rowStatistics(&x[0], n, 1)
			require.Equal(t, -inf, top)
			require.Equal(t, -inf, sum)
			for at := 0; at < n; at += max(1, n/5) {
				x[at] = 3
				top, sum = s.rowStatistics(&x[0], n, 2)
				require.Equal(t, float32(6), top)
				require.Equal(t, float32(6), sum)
				x[at] = inf
				top, sum = s.rowStatistics(&x[0], n, 1)
				require.Equal(t, inf, top)
				require.Equal(t, inf, sum)
				x[at] = nan
				top, sum = s.rowStatistics(&x[0], n, 1)
				require.True(t, top != top, "n %d, NaN at %d", n, at)
				require.True(t, sum != sum, "n %d, NaN at %d", n, at)
				x[at] = -inf
			}
		}
	})
}
