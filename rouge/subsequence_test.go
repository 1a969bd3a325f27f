package rouge

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// longestByTrying tries all subsequences of a.
func longestByTrying(a, b []int32) int {
	best := 0
	for choice := range 1 << len(a) {
		var picked []int32
		for i, token := range a {
			if choice>>i&1 != 0 {
				picked = append(picked, token)
			}
		}
		if len(picked) > best && isSubsequence(picked, b) {
			best = len(picked)
		}
	}
	return best
}

func isSubsequence(part, whole []int32) bool {
	for _, token := range whole {
		if len(part) > 0 && part[0] == token {
			part = part[1:]
		}
	}
	return len(part) == 0
}

func TestLCSAgainstTryingAll(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	tokens := func() []int32 {
		list := make([]int32, random.IntN(9))
		for i := range list {
			list[i] = random.Int32N(3)
		}
		return list
	}
	for range 500 {
		a, b := tokens(), tokens()
		want := longestByTrying(a, b)
		require.Equal(t, want, lcsLength(a, b), "%v, %v", a, b)
		require.Equal(t, want, lcsLength(b, a), "%v, %v", b, a)

		marked := make([]bool, len(a))
		markLCS(marked, a, b)
		var found []int32
		for i, in := range marked {
			if in {
				found = append(found, a[i])
			}
		}
		require.Len(t, found, want, "what is marked is as long")
		require.True(t, isSubsequence(found, b), "and a subsequence of both: %v of %v", found, b)
	}
}

// Marks of earlier lines stay: the union is what counts.
func TestUnionKeepsEarlierMarks(t *testing.T) {
	line := []int32{1, 2, 3, 4, 5}
	require.Equal(t, []bool{true, true, true, false, true}, unionLCS(line, [][]int32{{1, 2, 6, 7, 8}, {1, 3, 8, 9, 5}}), "Lin's example")
	require.Equal(t, make([]bool, 5), unionLCS(line, nil))
}

func TestBitTable(t *testing.T) {
	table := newBitTable(7, 31)
	set := [][2]int{{0, 0}, {2, 1}, {2, 2}, {6, 30}, {4, 4}}
	for _, at := range set {
		table.set(at[0], at[1])
	}
	for i := range 7 {
		for j := range 31 {
			require.Equal(t, slices.Contains(set, [2]int{i, j}), table.get(i, j), "%d, %d", i, j)
		}
	}
}
