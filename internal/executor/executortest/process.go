package executortest

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// processWatch sees whether the process takes more and more threads, memory or
// goroutines. Where the system does not tell, it sees goroutines alone.
type processWatch struct {
	looks      int
	goroutines int
	warm       usage // after warming up
}

type usage struct{ threads, memory int }

// warmUp is how many looks go by before growth counts.
const warmUp = 4

func newProcessWatch() *processWatch { return &processWatch{goroutines: runtime.NumGoroutine()} }

// look is called when everything has been closed.
func (w *processWatch) look(t *testing.T) {
	t.Helper()
	w.looks++
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > w.goroutines && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), w.goroutines, "goroutines are left")
	if w.looks == warmUp {
		w.warm = processUsage(t)
	}
}

// finish is look at the end.
func (w *processWatch) finish(t *testing.T) {
	t.Helper()
	if w.looks <= warmUp {
		return
	}
	now := processUsage(t)
	t.Logf("%d looks: %d threads, %d when warm; %d kB, %d when warm", w.looks, now.threads, w.warm.threads, now.memory, w.warm.memory)
	// Go keeps a few threads for calls that block; a leak is one for each look.
	require.LessOrEqual(t, now.threads, w.warm.threads+8, "threads are left")
	require.LessOrEqual(t, now.memory, w.warm.memory+w.warm.memory/2+64<<10, "memory is left, in kB")
}

// processUsage reads the process's own status.
func processUsage(t *testing.T) (u usage) {
	t.Helper()
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u
	}
	for line := range bytes.Lines(data) {
		_, _ = fmt.Sscanf(string(line), "Threads: %d", &u.threads)
		_, _ = fmt.Sscanf(string(line), "RssAnon: %d kB", &u.memory)
	}
	require.Positive(t, u.threads)
	require.Positive(t, u.memory)
	return u
}
