//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// TestPackNumbers: the packers write what the kernels are tested with.
func TestPackNumbers(t *testing.T) {
	const n = 32
	for _, shape := range quantisedShapes {
		for _, k := range []int{1, 5, 8, 31, 32, 96, 128, 384} {
			shape.k = k
			if shape.group > 0 && k%shape.group != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%+v", shape), func(t *testing.T) {
				p := newQuantisedProblem(newRand(uint64(k)), shape, true, 1, n)
				s := sectionOf(shape, n)
				size, err := cpuengine.PackedSize(s)
				require.NoError(t, err)
				got := make([]byte, size)
				for i := range got {
					got[i] = 0xff // all of it is written
				}
				p.pack(got, s)
				require.Equal(t, p.withoutLastScales(), got)

				// Rows that are not there are numbers of zero with scales of zero.
				s.Rows = 19
				cut := make([]byte, size)
				p.pack(cut, s)
				clear(p.number[19*k:])
				clear(p.scales[19*shape.groups():])
				clear(p.zeros[19*shape.groups():])
				s.Rows = n
				p.pack(got, s)
				require.Equal(t, got, cut)
			})
		}
	}
}

func sectionOf(shape weightShape, n int) cpuengine.Section {
	s := cpuengine.Section{Dtype: shape.dtype, Layout: cpuengine.LayoutPanel, Rows: n, Cols: shape.k, Group: shape.group, Zeros: shape.zeros}
	if shape.group > 0 {
		s.ScaleDtype = cpuengine.DtypeF32
		if shape.bf16Scales {
			s.ScaleDtype = cpuengine.DtypeBF16
		}
	}
	return s
}

// pack packs the first rows with package cpuengine.
func (p *quantisedProblem) pack(dst []byte, s cpuengine.Section) {
	k, groups := p.shape.k, p.shape.groups()
	numbers := cpuengine.Numbers{Codes: make([]int8, s.Rows*k), Scales: p.scales[:s.Rows*groups]}
	if s.Zeros {
		numbers.Zeros = p.zeros[:s.Rows*groups]
	}
	plain := make([]byte, 2*s.Rows*k)
	values := make([]float32, s.Rows*k)
	for i := range values {
		values[i] = float32(p.number[i])
		numbers.Codes[i] = int8(p.number[i])
		if s.Dtype == cpuengine.DtypeFP8 {
			numbers.Codes[i] = int8(codeOf(p.number[i]))
		}
	}
	if s.Dtype == cpuengine.DtypeF16 {
		floatformat.Encode(plain, values, "F16")
		cpuengine.PackPanelsF16(dst, plain, s.Rows, k)
		return
	}
	cpuengine.PackNumbers(dst, s, s.Rows, numbers)
}

// codeOf finds the E4M3 code of a value.
func codeOf(v float64) uint8 {
	for code, value := range floatformat.ScaledE4M3(1) {
		if float64(value) == v && math.Signbit(float64(value)) == math.Signbit(v) {
			return uint8(code)
		}
	}
	panic(v)
}

// withoutLastScales is packedW with zeros where the last group of an odd number has no partner.
func (p *quantisedProblem) withoutLastScales() []byte {
	s, panel := p.shape, p.panelBytes()
	if s.group == 0 || !s.bf16Scales || s.zeros || s.groups()%2 == 0 {
		return p.packedW
	}
	offset, _, _ := p.block(s.groups() - 1)
	for i := range p.panels {
		for lane := range 16 {
			binary.LittleEndian.PutUint16(p.packedW[i*panel+offset+32+2*lane:], 0)
		}
	}
	return p.packedW
}
