package checkpoint_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// Head and embedding of a checkpoint, all zeros, are equal until a byte of the last row is not.
func TestTiedHead(t *testing.T) {
	for _, other := range []bool{false, true} {
		c := llamaConfig()
		c.VocabSize = 30000 // more than is compared at a time
		dir := filepath.Join(t.TempDir(), "ckpt")
		w, err := checkpoint.Create(dir, c)
		require.NoError(t, err)
		if other {
			require.NoError(t, w.WriteAt(0, "lm_head.weight", []byte{1}, 30000*c.HiddenSize*2-2))
		}
		require.NoError(t, w.Commit())
		opened, err := checkpoint.Open(dir)
		require.NoError(t, err)
		defer opened.Close()
		rank, err := opened.Rank(0)
		require.NoError(t, err)
		tied, err := rank.TiedHead(context.Background())
		require.NoError(t, err)
		require.Equal(t, !other, tied)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err = rank.TiedHead(ctx)
		require.ErrorIs(t, err, context.Canceled)
	}
}

// On two ranks the head is divided and the embedding is not.
func TestTiedHeadOfRanks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ckpt")
	write(t, dir, divided(llamaConfig(), 2, 1))
	opened, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer opened.Close()
	rank, err := opened.Rank(1)
	require.NoError(t, err)
	tied, err := rank.TiedHead(context.Background())
	require.NoError(t, err)
	require.False(t, tied)
}
