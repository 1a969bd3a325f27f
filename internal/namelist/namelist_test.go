package namelist_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/namelist"
)

func TestFirst(t *testing.T) {
	nine := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
	require.Empty(t, namelist.First(nil))
	require.Equal(t, "a", namelist.First(nine[:1]))
	require.Equal(t, "a, b, c, d, e, f, g, h", namelist.First(nine[:8]))
	require.Equal(t, "a, b, c, d, e, f, g, h and 1 more", namelist.First(nine))
}
