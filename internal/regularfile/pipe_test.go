//go:build unix

package regularfile_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// Opening a pipe that nobody writes to would never return.
func TestPipeIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	_, _, err := regularfile.Open(path)
	require.ErrorIs(t, err, regularfile.ErrRefused)
	_, err = regularfile.Read("/dev/zero", 1)
	require.ErrorIs(t, err, regularfile.ErrRefused)
}
