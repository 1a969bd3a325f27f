package inflight_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

func TestThin(t *testing.T) {
	toy := executortest.NewToy(executortest.ToyLimits())
	e, err := inflight.New(toy, inflight.Options{})
	require.NoError(t, err)
	defer e.Close()
	for i := range 20 {
		p := []int32{int32(i), 5, 6, int32(i * 2), 9, 9, 9, 9, 9, 1, 2, 3, 4, 5}
		require.NoError(t, e.Submit(executor.Request{ClientID: uint64(i), InputIDs: p, MaxTokens: 20, Sampling: executor.Sampling{TopK: 1}}))
	}
	n := 0
	for n < 20 {
		rs, err := e.Await(t.Context())
		require.NoError(t, err)
		for _, r := range rs {
			require.NoError(t, r.Err)
			i := int32(r.ClientID)
			p := []int32{int32(i), 5, 6, int32(i * 2), 9, 9, 9, 9, 9, 1, 2, 3, 4, 5}
			require.Equal(t, executortest.Greedy(p, 20, 97), r.OutputIDs)
			n++
		}
	}
}
