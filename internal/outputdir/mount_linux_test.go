package outputdir_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/outputdir"
)

func TestMountPointIsRefused(t *testing.T) {
	err := outputdir.Check("/proc", func(string) error { return nil })
	require.ErrorIs(t, err, outputdir.ErrRefused)
	require.ErrorContains(t, err, "mount point; choose a directory inside it")
}
