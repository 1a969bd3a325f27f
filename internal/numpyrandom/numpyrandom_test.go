package numpyrandom_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/numpyrandom"
)

// golden is testdata/numpy.json, made by scripts/numpy_goldens.py. Seeds of 64 bits are strings: JSON's numbers are too small.
type golden struct {
	Permutations []struct {
		Seed        string
		N           int
		First, Last []int
		SHA256      string
	}
	Raw []struct {
		Seed   string
		Uint64 []string
	}
	Twice []struct {
		Seed          string
		First, Second []int
	}
	Choices []struct {
		Seed    uint32
		N, Size int
		First   []int
		SHA256  string
	}
	MT19937 []struct {
		Seed        uint32
		First, Last []uint32
	}
}

func loadGolden(t *testing.T) golden {
	t.Helper()
	data, err := os.ReadFile("testdata/numpy.json")
	require.NoError(t, err)
	var g golden
	require.NoError(t, json.Unmarshal(data, &g))
	return g
}

func seedOf(t *testing.T, text string) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	return seed
}

// digest is the SHA-256 of the numbers as little-endian int64, the form in which the script keeps long lists.
func digest(numbers []int) string {
	var raw []byte
	for _, v := range numbers {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func TestPermutationEqualsNumpy(t *testing.T) {
	cases := loadGolden(t).Permutations
	require.GreaterOrEqual(t, len(cases), 100)
	for _, c := range cases {
		t.Run(fmt.Sprintf("seed=%s/n=%d", c.Seed, c.N), func(t *testing.T) {
			got := numpyrandom.NewGenerator(seedOf(t, c.Seed)).Permutation(c.N)
			require.Len(t, got, c.N)
			if c.N > 0 {
				require.Equal(t, c.First, got[:min(20, c.N)])
				require.Equal(t, c.Last, got[max(0, c.N-5):])
			}
			require.Equal(t, c.SHA256, digest(got))
		})
	}
}

// The published vectors: the first articles that a default run of summarize reads from cnn_dailymail's test split.
func TestPermutationOfTheTestSplit(t *testing.T) {
	got := numpyrandom.NewGenerator(0).Permutation(11490)
	require.Equal(t, []int{10265, 3688, 8611, 1624, 9217, 604, 3064, 8813, 3234, 2984, 6891, 9116, 1039, 4078, 8689,
		11124, 5647, 9291, 2099, 8559}, got[:20])
	require.Equal(t, []int{4, 6, 2, 7, 3, 5, 9, 0, 8, 1}, numpyrandom.NewGenerator(0).Permutation(10))
}

func TestPermutationHoldsEachNumberOnce(t *testing.T) {
	for _, n := range []int{1, 2, 31, 32, 33, 5000} {
		seen := make([]bool, n)
		for _, v := range numpyrandom.NewGenerator(7).Permutation(n) {
			require.False(t, seen[v], "n=%d: %d twice", n, v)
			seen[v] = true
		}
	}
}

func TestPermutationOfNothing(t *testing.T) {
	g := numpyrandom.NewGenerator(0)
	require.Empty(t, g.Permutation(0))
	require.Empty(t, g.Permutation(-3))
	require.Equal(t, numpyrandom.NewGenerator(0).Uint64(), g.Uint64(), "nothing may be drawn for nothing")
}

func TestRawOutputEqualsNumpy(t *testing.T) {
	for _, c := range loadGolden(t).Raw {
		g := numpyrandom.NewGenerator(seedOf(t, c.Seed))
		for i, want := range c.Uint64 {
			require.Equal(t, want, strconv.FormatUint(g.Uint64(), 10), "seed %s, output %d", c.Seed, i)
		}
	}
}

// A permutation that ends after the first half of a 64-bit output leaves the other half to the next one.
func TestTheKeptHalfServesTheNextCall(t *testing.T) {
	for _, c := range loadGolden(t).Twice {
		g := numpyrandom.NewGenerator(seedOf(t, c.Seed))
		require.Equal(t, c.First, g.Permutation(len(c.First)), "seed %s", c.Seed)
		require.Equal(t, c.Second, g.Permutation(len(c.Second)), "seed %s", c.Seed)
	}
}

func TestUint32TakesTheLowerHalfFirst(t *testing.T) {
	whole, halves := numpyrandom.NewGenerator(3), numpyrandom.NewGenerator(3)
	for range 4 {
		v := whole.Uint64()
		require.Equal(t, uint32(v), halves.Uint32())
		require.Equal(t, uint32(v>>32), halves.Uint32())
	}
	halves.Uint32()
	whole.Uint64()
	require.Equal(t, whole.Uint64(), halves.Uint64(), "a 64-bit draw does not use the kept half")
}

func TestChoiceEqualsNumpy(t *testing.T) {
	for _, c := range loadGolden(t).Choices {
		t.Run(fmt.Sprintf("seed=%d/n=%d", c.Seed, c.N), func(t *testing.T) {
			index := make([]int, c.Size)
			for i := range index {
				index[i] = -1
			}
			numpyrandom.NewRandomState(c.Seed).Choice(index, c.N)
			require.Equal(t, c.First, index[:min(20, c.Size)])
			require.Equal(t, c.SHA256, digest(index))
		})
	}
}

func TestChoiceFromOneDrawsNothing(t *testing.T) {
	r := numpyrandom.NewRandomState(5)
	r.Choice(make([]int, 100), 1)
	require.Equal(t, numpyrandom.NewRandomState(5).Uint32(), r.Uint32())
}

func TestChoiceRefusesAnEmptySet(t *testing.T) {
	require.Panics(t, func() { numpyrandom.NewRandomState(0).Choice(make([]int, 1), 0) })
	require.Panics(t, func() { numpyrandom.NewRandomState(0).Choice(make([]int, 1), -1) })
}

func TestMT19937EqualsNumpy(t *testing.T) {
	for _, c := range loadGolden(t).MT19937 {
		r := numpyrandom.NewRandomState(c.Seed)
		got := make([]uint32, 1300)
		for i := range got {
			got[i] = r.Uint32()
		}
		require.Equal(t, c.First, got[:5], "seed %d", c.Seed)
		require.Equal(t, c.Last, got[1295:], "seed %d", c.Seed)
	}
}

// The first 20 articles of an evaluation with the default seed, out of the 11 490 of cnn_dailymail's test split.
func ExampleGenerator_Permutation() {
	order := numpyrandom.NewGenerator(0).Permutation(11490)
	fmt.Println(order[:5])
	// Output: [10265 3688 8611 1624 9217]
}

func ExampleRandomState_Choice() {
	index := make([]int, 8)
	numpyrandom.NewRandomState(0).Choice(index, 20)
	fmt.Println(index)
	// Output: [12 15 0 3 3 7 9 19]
}
