//go:build linux

package elfscan_test

import (
	"debug/elf"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/elfscan"
)

// A library is whole up to the end of what is loaded of it; what comes after does not matter to the loader.
func TestWhole(t *testing.T) {
	good := small(t)
	path := filepath.Join(t.TempDir(), "lib.so")
	write := func(b []byte) error {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		return elfscan.Whole(path)
	}
	require.NoError(t, write(good))
	f, err := elf.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var end uint64
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			end = max(end, p.Off+p.Filesz)
		}
	}
	require.NoError(t, write(good[:end]))
	for _, n := range []uint64{64, 65, end / 2, end - 1} {
		err := write(good[:n])
		require.ErrorIs(t, err, elfscan.ErrInvalid, "%d bytes of %d", n, end)
		require.ErrorContains(t, err, path)
	}
	require.ErrorContains(t, write(good[:end-1]), "copy it again")
	for _, text := range []string{"", "text", string(good[:63]), "\x7fELF\x01\x01" + string(good[6:])} {
		require.NoError(t, write([]byte(text)), "the loader refuses it")
	}
	require.ErrorIs(t, elfscan.Whole(path+".absent"), os.ErrNotExist)
}

func FuzzWhole(f *testing.F) {
	f.Add(small(f))
	path := filepath.Join(f.TempDir(), "lib.so")
	f.Fuzz(func(t *testing.T, b []byte) {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		if err := elfscan.Whole(path); err != nil {
			require.ErrorIs(t, err, elfscan.ErrInvalid)
		}
	})
}
