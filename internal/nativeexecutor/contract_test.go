package nativeexecutor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
)

// The contract of all executors, over a toy behind the binding's interface.
func TestContract(t *testing.T) {
	executortest.Run(t, func(t *testing.T, c executortest.Config) (executor.Executor, *executortest.Gate) {
		gate := executortest.NewGate(executortest.NewToy(executortest.ToyLimits()))
		u, err := newUpstream(gate, inflight.Options{RequestStats: 1000 * min(1, c.RequestStats)})
		require.NoError(t, err)
		e, err := New(u, toyOptions(c))
		require.NoError(t, err)
		return e, gate
	}, toyModel())
}
