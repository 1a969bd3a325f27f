//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

// A damagedFile is an engine file whose bytes are changed one at a time.
type damagedFile struct {
	t    *testing.T
	file *os.File
	good []byte
}

func damage(t *testing.T, path string) *damagedFile {
	t.Helper()
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	return &damagedFile{t, file, good}
}

// flipped calls f while a bit of the byte at an offset is another.
func (d *damagedFile) flipped(at int64, f func()) {
	d.t.Helper()
	_, err := d.file.WriteAt([]byte{d.good[at] ^ 1<<(at%8)}, at)
	require.NoError(d.t, err)
	f()
	_, err = d.file.WriteAt(d.good[at:at+1], at)
	require.NoError(d.t, err)
}

// TestEveryRegionIsChecked flips bits all over an engine file. In the header, the
// program and the section table each is found when the file is opened; in a section
// when the weights are copied, and the section is named. Bytes that belong to nothing
// change nothing, and weights that were changed and are mapped are other weights.
func TestEveryRegionIsChecked(t *testing.T) {
	path := smallModel(bf16).write(t)
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	d := damage(t, path)
	field := func(at int) int64 { return int64(binary.LittleEndian.Uint64(d.good[at:])) }
	program, table := field(24), field(40)
	owner := make([]string, len(d.good))
	name := func(from, to int64, name string) {
		for i := from; i < to; i++ {
			require.Empty(t, owner[i])
			owner[i] = name
		}
	}
	name(0, cpuengine.HeaderSize, "header")
	name(program, program+field(32), "program")
	name(table, table+field(48), "table")
	for _, s := range file.Sections {
		name(s.Offset, s.Offset+s.Size, s.Name)
	}
	flips := map[string]int{}
	for at := int64(0); at < file.Size; at += 1 + at%97 {
		flips[owner[at]]++
		d.flipped(at, func() {
			mapped, err := Open(t.Context(), path, Options{Threads: 1})
			switch owner[at] {
			case "header", "program", "table":
				require.Nil(t, mapped, "%s, byte %d", owner[at], at)
				require.True(t, errors.Is(err, cpuengine.ErrFormat) || errors.Is(err, cpuengine.ErrVersion), "%s, byte %d: %v", owner[at], at, err)
				require.ErrorContains(t, err, path+": ")
				return
			}
			require.NoError(t, err)
			step(t, mapped, wanting(piece([]int32{1, 2, 60}, 0, 0), 3))
			require.NoError(t, mapped.Close())
			copied, err := Open(t.Context(), path, Options{Threads: 1, Load: "copy"})
			if owner[at] == "" {
				require.NoError(t, err)
				require.NoError(t, copied.Close())
				return
			}
			require.ErrorIs(t, err, cpuengine.ErrFormat, "%s, byte %d", owner[at], at)
			require.ErrorContains(t, err, `section "`+owner[at]+`"`)
		})
	}
	for _, region := range []string{"header", "program", "table", "embedding.weight", "lm_head.weight", "qkv.bias", ""} {
		require.Positive(t, flips[region], "bits of %q", region)
	}
	step(t, openEngine(t, path, Options{Load: "copy"}), piece([]int32{1}, 0, 0))
}

// Wherever a file was cut off, opening it says so.
func TestEveryTruncationIsFound(t *testing.T) {
	path := smallModel(bf16).write(t)
	d := damage(t, path)
	for n := int64(len(d.good)) - 1; n >= 0; n -= 1 + n/100 {
		require.NoError(t, os.Truncate(path, n))
		for _, load := range []string{"mmap", "copy"} {
			r, err := Open(t.Context(), path, Options{Load: load})
			require.Nil(t, r)
			require.ErrorIs(t, err, cpuengine.ErrFormat, "%d bytes", n)
		}
	}
}

// TestRowsOfNaN asks rows with one NaN, or an infinity, at each end and in the middle
// of the vectors of all kernel sets, with and without temperature, edits and targets.
// Statistics are NaN or the infinity, the numbers among the candidates are in order and
// before NaN, and the rows' own bits come back.
func TestRowsOfNaN(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachISA(t, func(t *testing.T, isa string) {
		for _, n := range []int{1, 5, 33, 1100} {
			for _, at := range []int{0, n / 2, n - 1} {
				for _, special := range []float32{nan, inf} {
					logits := normals(newRand(uint64(n)), n, 2)
					logits[at] = special
					r := openEngine(t, tableEngine(t, logits, []float32{1}), Options{ISA: isa})
					for _, row := range []executor.LogitsRow{
						{}, {Temperature: 0.5}, {Temperature: executor.MinTemperature},
						{Edits: []executor.LogitEdit{{Token: int32(at), Penalty: 2, Subtract: 1}, {Token: int32(at), Bias: 3}}},
					} {
						row.Candidates, row.Logits, row.Targets = min(n, 1024), true, []int32{int32(at)}
						got := answerRow(t, r, row)
						sameBits(t, logits, got.Logits)
						sameBits(t, []float32{special}, got.Targets)
						for _, statistic := range []float32{got.RawLogSumExp, got.Max, got.LogSumExp} {
							require.True(t, statistic == special || statistic != statistic && special != special, "%v of %v", statistic, special)
						}
						require.Len(t, got.Candidates, row.Candidates)
						first := int32(at)
						if special != special {
							first = sorted(logits, logits)[0].Token
							require.False(t, n > 1 && got.Candidates[0].Logit != got.Candidates[0].Logit)
						}
						require.Equal(t, first, got.Candidates[0].Token)
					}
				}
			}
		}
	})
}
