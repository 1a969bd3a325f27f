package mixedgemm_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt/internal/mixedgemm"
)

// One block of 8-bit weights and one of 4-bit weights, worked out by hand.
func TestByHand(t *testing.T) {
	eight, err := mixedgemm.For(mixedgemm.Int8, mixedgemm.Float16, 80)
	require.NoError(t, err)
	numbers := make([]int8, 64)
	for i := range numbers {
		numbers[i] = int8(i)
	}
	data := make([]byte, eight.Bytes(2, 64))
	eight.Put(data, 0, numbers)
	for i := range numbers {
		numbers[i] -= 100
	}
	eight.Put(data, 1, numbers)
	// Rows 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15, in each word the middle two exchanged, plus 128.
	require.Equal(t, []byte{128, 136, 129, 137, 130, 138, 131, 139, 132, 140, 133, 141, 134, 142, 135, 143, 144}, data[:17])
	require.Equal(t, []byte{28, 36, 29, 37}, data[64:68], "the second row's tile follows the first's")

	four, err := mixedgemm.For(mixedgemm.Int4, mixedgemm.Float16, 80)
	require.NoError(t, err)
	for i := range numbers {
		numbers[i] = int8(i%16) - 8
	}
	data = make([]byte, four.Bytes(4, 64))
	four.Put(data, 1, numbers)
	// Rows 0 1 8 9 16 17 24 25 | 2 3 …, in each word first the even ones, then the odd ones; 16 is 0 again.
	require.Equal(t, []byte{0x80, 0x80, 0x91, 0x91, 0xa2, 0xa2, 0xb3, 0xb3}, data[32:40])
	require.Equal(t, make([]byte, 32), data[:32], "row 0 was not written")
}

func TestInverse(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, kind := range []struct {
		weight mixedgemm.Weight
		input  mixedgemm.Input
	}{{mixedgemm.Int8, mixedgemm.Float16}, {mixedgemm.Int4, mixedgemm.Float16}, {mixedgemm.Int4, mixedgemm.Float8}} {
		for _, capability := range []int{75, 80, 86, 89, 90, 120, 121} {
			for _, size := range [][2]int{{4, 128}, {12, 384}, {64, 256}} {
				out, in := size[0], size[1]
				t.Run(fmt.Sprint(kind, capability, size), func(t *testing.T) {
					l, err := mixedgemm.For(kind.weight, kind.input, capability)
					require.NoError(t, err)
					require.NoError(t, l.Check(out, in))
					matrix := make([][]int8, out)
					data := make([]byte, l.Bytes(out, in))
					for row := range matrix {
						matrix[row] = make([]int8, in)
						for i := range matrix[row] {
							matrix[row][i] = int8(random.IntN(1<<kind.weight) - 1<<(kind.weight-1))
						}
						l.Put(data, row, matrix[row])
					}
					for row := range matrix {
						back := make([]int8, in)
						l.Get(back, data, row)
						require.Equal(t, matrix[row], back, "row %d", row)
					}
					// Numbers are moved, not made up: each offset code occurs as often as its number.
					counts := map[int]int{}
					for row := range matrix {
						for _, v := range matrix[row] {
							counts[int(v)+1<<(kind.weight-1)]++
						}
					}
					for _, b := range data {
						if kind.weight == mixedgemm.Int8 {
							counts[int(b)]--
						} else {
							counts[int(b&15)]--
							counts[int(b>>4)]--
						}
					}
					for code, n := range counts {
						require.Zero(t, n, "code %d", code)
					}
				})
			}
		}
	}
}

// testdata/layouts.json was made by scripts/mixed_gemm_golden.py, which does the steps
// one after the other.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/layouts.json")
	require.NoError(t, err)
	var cases []struct {
		Input         mixedgemm.Input
		Weight        mixedgemm.Weight
		Capability    int
		In, Out       int
		First, SHA256 string
	}
	require.NoError(t, json.Unmarshal(text, &cases))
	require.Len(t, cases, 45)
	for _, c := range cases {
		l, err := mixedgemm.For(c.Weight, c.Input, c.Capability)
		require.NoError(t, err)
		require.NoError(t, l.Check(c.Out, c.In))
		data := make([]byte, l.Bytes(c.Out, c.In))
		numbers := make([]int8, c.In)
		for n := range c.Out {
			for k := range numbers {
				mixed := uint32(uint64(k)*2654435761 + uint64(n)*40503 + uint64(k*n)*97)
				numbers[k] = int8(int(mixed>>11%(1<<c.Weight)) - 1<<(c.Weight-1))
			}
			l.Put(data, n, numbers)
		}
		require.Equal(t, c.First, hex.EncodeToString(data[:len(c.First)/2]), "%+v", c)
		sum := sha256.Sum256(data)
		require.Equal(t, c.SHA256, hex.EncodeToString(sum[:]), "%+v", c)
	}
}

func TestRefusals(t *testing.T) {
	for _, capability := range []int{0, 70, 100, 103, 110} {
		_, err := mixedgemm.For(mixedgemm.Int8, mixedgemm.Float16, capability)
		require.ErrorIs(t, err, mixedgemm.ErrUnsupported)
	}
	_, err := mixedgemm.For(mixedgemm.Int8, mixedgemm.Float16, 100)
	require.EqualError(t, err, "no mixed matrix multiplication of 8-bit weights on compute capability 10.0: 7.5 to 9.0 and 12.0 on have one")
	_, err = mixedgemm.For(mixedgemm.Int8, mixedgemm.Float8, 90)
	require.ErrorIs(t, err, mixedgemm.ErrUnsupported)

	l, err := mixedgemm.For(mixedgemm.Int4, mixedgemm.Float16, 80)
	require.NoError(t, err)
	require.NoError(t, l.Check(4, 64))
	for _, size := range [][2]int{{4, 96}, {6, 64}, {0, 64}, {4, 0}} {
		require.ErrorIs(t, l.Check(size[0], size[1]), mixedgemm.ErrUnsupported)
	}
}
