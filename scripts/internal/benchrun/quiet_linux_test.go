package benchrun

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuietly(t *testing.T) {
	said := 0
	q := &Quiet{Tries: 3, Say: func(string, ...any) { said++ }}
	measure := func(others ...float64) (int, error) {
		n := 0
		return leastDisturbed(q, "it", func() (int, float64, error) {
			n++
			return n, others[n-1], nil
		})
	}
	n, err := measure(0.05)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = measure(0.7, 0.02)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, 1, said)
	require.Equal(t, "during no measurement more than 0.1", q.Text())
	n, err = measure(0.7, 0.4, 0.5)
	require.NoError(t, err)
	require.Equal(t, 2, n, "the least disturbed one")
	require.Equal(t, "during 1 measurements more than 0.1, up to 0.4, in the quietest of 3 tries", q.Text())

	failure := errors.New("broken")
	_, err = Quietly(q, "it", func() (int, error) { return 0, failure })
	require.ErrorIs(t, err, failure)
}
