package executor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// The latest values stay, oldest first.
func TestHistory(t *testing.T) {
	for most, want := range map[int][]int{-1: nil, 0: nil, 1: {7}, 3: {5, 6, 7}, 7: {1, 2, 3, 4, 5, 6, 7}, 9: {1, 2, 3, 4, 5, 6, 7}} {
		h := executor.History[int]{Most: most}
		for range 2 { // taking leaves it as new
			require.Nil(t, h.Newest())
			for i := 1; i <= 7; i++ {
				h.Add(i)
				if most > 0 {
					require.Equal(t, i, *h.Newest())
				}
			}
			require.Equal(t, want, append([]int(nil), h.TakeAll()...))
		}
	}
}
