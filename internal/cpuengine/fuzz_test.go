package cpuengine_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

// encode makes a file of program and table, with the weights of good at their
// old offsets when they still fit behind the program, and right checksums.
func encode(t testing.TB, good, program, table []byte) []byte {
	t.Helper()
	le := binary.LittleEndian
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	tableOffset := max(int(le.Uint64(good[40:])), 4096+len(program))
	b := make([]byte, tableOffset+len(table))
	copy(b, good[:le.Uint64(good[40:])])
	clear(b[4096 : 4096+le.Uint64(good[32:])])
	copy(b[4096:], program)
	copy(b[tableOffset:], table)
	var entries []json.RawMessage
	_ = json.Unmarshal(table, &entries)
	return rewrite(b, func(b []byte) {
		le.PutUint32(b[12:], uint32(len(entries)))
		for i, v := range []int{len(b), 4096, len(program), tableOffset, len(table)} {
			le.PutUint64(b[16+8*i:], uint64(v))
		}
		le.PutUint32(b[56:], crc32.Checksum(program, castagnoli))
		le.PutUint32(b[60:], crc32.Checksum(table, castagnoli))
	})
}

// FuzzEngine opens files whose header is right and whose program and table are
// not, and files that are wrong from the first byte. What opens must hold what
// Validate promises: every section lies in the file.
func FuzzEngine(f *testing.F) {
	program, sections := example(cpuengine.DtypeBF16)
	path, _ := write(f, program, sections)
	good, err := os.ReadFile(path)
	require.NoError(f, err)
	size := binary.LittleEndian.Uint64(good[40:])
	f.Add(good[:4096], marshal(f, program), good[size:])
	f.Add(good, []byte(`{"ops":[{"kind":"embedding"}]}`), []byte(`[{"offset":-1}]`))
	f.Add([]byte("TRTGOCPU"), []byte(`{}`), []byte(`[]`))
	f.Add([]byte{}, []byte(`null`), []byte(`null`))
	f.Fuzz(func(t *testing.T, raw, program, table []byte) {
		for _, b := range [][]byte{raw, encode(t, good, program, table)} {
			file, err := cpuengine.Read(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				continue
			}
			for _, s := range file.Sections {
				require.GreaterOrEqual(t, s.Offset, int64(4096))
				require.LessOrEqual(t, s.Offset+s.Size, int64(len(b)))
			}
			require.NoError(t, file.Program.Validate(file.Sections))
		}
	})
}
