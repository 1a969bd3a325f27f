package damage_test

import (
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/internal/damage"
	"github.com/trtgo/trtgo/internal/pickle"
	"github.com/trtgo/trtgo/internal/torchzip"
)

func TestClassified(t *testing.T) {
	require.NoError(t, damage.Classified(nil))
	require.Equal(t, fs.ErrNotExist, damage.Classified(fs.ErrNotExist))
	require.ErrorIs(t, damage.Classified(fs.ErrNotExist, fs.ErrNotExist), checkpoint.ErrInvalid)
	require.ErrorIs(t, damage.Classified(fmt.Errorf("x: %w", pickle.ErrGlobal)), checkpoint.ErrInvalid)
	err := damage.Classified(fmt.Errorf("%w: %w", torchzip.ErrUnsupported, torchzip.ErrFormat))
	require.ErrorIs(t, err, checkpoint.ErrUnsupported, "what is legal but not read comes first")
	require.NotErrorIs(t, err, checkpoint.ErrInvalid)
}
