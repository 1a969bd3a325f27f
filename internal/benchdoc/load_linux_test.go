package benchdoc

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the process itself computes counts as nobody else's work.
func TestOthers(t *testing.T) {
	l := BeginLoad()
	for begin := time.Now(); time.Since(begin) < 300*time.Millisecond; {
		continue
	}
	l.machine = machineCPU() - (OwnCPU() - l.own)
	require.InDelta(t, 0, l.Others(), 0.1)
	l.machine -= 2 * time.Second
	require.Greater(t, l.Others(), 1.0)
}
