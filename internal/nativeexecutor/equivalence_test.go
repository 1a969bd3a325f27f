package nativeexecutor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// What a request gives does not depend on what else runs.
func TestEquivalence(t *testing.T) {
	u, err := newUpstream(executortest.NewToy(executortest.ToyLimits()), inflight.Options{})
	require.NoError(t, err)
	e, err := New(u, toyOptions(executortest.Config{}))
	require.NoError(t, err)
	equivalence := executortest.NewEquivalence(t, e, executortest.NewLoad(toyModel(), 32, 1), 40)
	cancelled := 0
	for seed := range uint64(3) {
		cancelled += equivalence.Run(t, e, seed)
	}
	require.Positive(t, cancelled)
	require.NoError(t, e.Close())
}
