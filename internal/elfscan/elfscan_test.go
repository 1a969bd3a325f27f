//go:build linux

package elfscan_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/elfscan"
)

// compile makes a library of C text, without libc, and returns its path.
func compile(t testing.TB, path, text string, args ...string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	source := filepath.Join(t.TempDir(), "source.c")
	require.NoError(t, os.WriteFile(source, []byte(text), 0o644))
	compiler := strings.Fields(os.Getenv("CC"))
	if len(compiler) == 0 {
		compiler = []string{"cc"}
	}
	args = append(append(compiler[1:], "-shared", "-fPIC", "-nostdlib", "-o", path, source), args...)
	out, err := exec.Command(compiler[0], args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func versionScript(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "versions.map")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return "-Wl,--version-script=" + path
}

// What a compiled library says of itself.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	needed := compile(t, filepath.Join(dir, "libneeded.so.3"), "int given(void) { return 1; }", "-Wl,-soname,libneeded.so.3",
		versionScript(t, "V_1 { global: given; }; V_2 { } V_1;"))
	path := compile(t, filepath.Join(dir, "liball.so"), `
		int given(void), absent(void);
		int perhaps(void) __attribute__((weak));
		static __thread int counters[25] __attribute__((tls_model("initial-exec")));
		static int hidden(void) { return perhaps ? perhaps() : 0; }
		int offered(int i) { return given() + absent() + hidden() + counters[i]++; }
		int data = 4;`,
		needed, "-Wl,-soname,liball.so.1", "-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/a:/b")
	l, err := elfscan.Open(path)
	require.NoError(t, err)
	require.Equal(t, path, l.Path)
	require.True(t, l.Native())
	require.Equal(t, "liball.so.1", l.Soname)
	require.Equal(t, []string{"libneeded.so.3"}, l.Needed)
	require.Equal(t, []string{"$ORIGIN/a", "/b"}, l.RunPath)
	require.Empty(t, l.RPath)
	require.True(t, l.StaticTLS)
	require.EqualValues(t, 100, l.TLSBytes)
	require.Contains(t, l.Exports, "offered")
	require.Contains(t, l.Exports, "data")
	require.NotContains(t, l.Exports, "hidden")
	require.ElementsMatch(t, []string{"given", "absent"}, l.Imports)
	require.Equal(t, []elfscan.VersionNeed{{Library: "libneeded.so.3", Version: "V_1"}}, l.Requires)

	l, err = elfscan.Open(needed)
	require.NoError(t, err)
	require.False(t, l.StaticTLS)
	require.Equal(t, []string{"libneeded.so.3", "V_1", "V_2"}, l.Versions)
	require.Empty(t, l.Imports)

	old := compile(t, filepath.Join(dir, "libold.so"), "int x;", "-Wl,--disable-new-dtags", "-Wl,-rpath,/c")
	l, err = elfscan.Open(old)
	require.NoError(t, err)
	require.Equal(t, []string{"/c"}, l.RPath)
	require.Empty(t, l.RunPath)
}

// small is a library with all the tables.
func small(t testing.TB) []byte {
	dir := t.TempDir()
	needed := compile(t, filepath.Join(dir, "libn.so"), "int given(void) { return 1; }", versionScript(t, "V_1 { global: given; };"))
	path := compile(t, filepath.Join(dir, "libs.so"), "int given(void); __thread int local; int offered(void) { return given() + local; }",
		needed, "-Wl,-soname,libs.so", "-Wl,-rpath,/a", "-Wl,-z,max-page-size=4096", "-s", versionScript(t, "W_1 { global: offered; };"))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

func read(b []byte) (*elfscan.Library, error) { return elfscan.Read(bytes.NewReader(b), int64(len(b))) }

// Each file that is refused is refused by name.
func TestRefused(t *testing.T) {
	good := small(t)
	_, err := read(good)
	require.NoError(t, err)
	order := binary.LittleEndian
	sections := order.Uint64(good[40:])
	names := sections + 64*uint64(order.Uint16(good[62:]))
	for want, change := range map[string]func(b []byte) []byte{
		"shorter than an ELF header":                      func(b []byte) []byte { return b[:63] },
		"does not begin as an ELF file":                   func(b []byte) []byte { b[0] = 'M'; return b },
		"not of 64 bits":                                  func(b []byte) []byte { b[elf.EI_CLASS] = 1; return b },
		"and little-endian":                               func(b []byte) []byte { b[elf.EI_DATA] = 2; return b },
		"its type is ET_EXEC, want ET_DYN":                func(b []byte) []byte { order.PutUint16(b[16:], 2); return b },
		"it has no table of sections":                     func(b []byte) []byte { order.PutUint16(b[60:], 0); return b },
		"its sections lie behind its end":                 func(b []byte) []byte { return b[:sections] },
		"its sections lie at byte 18446744073709551615":   func(b []byte) []byte { order.PutUint64(b[40:], 1<<64-1); return b },
		"the names of its sections are compressed":        func(b []byte) []byte { order.PutUint64(b[names+8:], 0x800); return b },
		"it has no dynamic section":                       func(b []byte) []byte { order.PutUint32(section(b, elf.SHT_DYNAMIC)[4:], 1); return b },
		"names section 99999 for strings":                 func(b []byte) []byte { order.PutUint32(section(b, elf.SHT_DYNAMIC)[40:], 99999); return b },
		`section ".dynsym" has 4611686018427387904 bytes`: func(b []byte) []byte { order.PutUint64(section(b, elf.SHT_DYNSYM)[32:], 1<<62); return b },
		`section ".dynsym" is not kept as it is`: func(b []byte) []byte {
			s := section(b, elf.SHT_DYNSYM)
			order.PutUint64(s[8:], order.Uint64(s[8:])|0x800)
			// A header of compressed data, for debug/elf to accept: zlib, 2^62 bytes.
			at := order.Uint64(s[24:])
			order.PutUint32(b[at:], 1)
			order.PutUint64(b[at+8:], 1<<62)
			return b
		},
		"a name lies at 4294967295": func(b []byte) []byte {
			at := order.Uint64(section(b, elf.SHT_DYNSYM)[24:])
			order.PutUint32(b[at+24:], 1<<32-1)
			return b
		},
		"a needed version lies behind its table": func(b []byte) []byte {
			at := order.Uint64(section(b, elf.SHT_GNU_VERNEED)[24:])
			order.PutUint32(b[at+8:], 1<<31)
			return b
		},
		"a version's name lies behind its table": func(b []byte) []byte {
			at := order.Uint64(section(b, elf.SHT_GNU_VERDEF)[24:])
			order.PutUint32(b[at+12:], 1<<31)
			return b
		},
		"a version lies behind its table": func(b []byte) []byte {
			at := order.Uint64(section(b, elf.SHT_GNU_VERDEF)[24:])
			order.PutUint32(b[at+16:], 1<<31)
			return b
		},
	} {
		_, err := read(change(bytes.Clone(good)))
		require.ErrorIs(t, err, elfscan.ErrInvalid, want)
		require.ErrorContains(t, err, want)
	}

	dir := t.TempDir()
	_, err = elfscan.Open(dir)
	require.ErrorContains(t, err, dir)
	script := filepath.Join(dir, "libc.so")
	require.NoError(t, os.WriteFile(script, []byte("/* GNU ld script */\nGROUP ( /lib/x86_64-linux-gnu/libc.so.6 AS_NEEDED ( ld.so ) )\n"), 0o644))
	_, err = elfscan.Open(script)
	require.ErrorIs(t, err, elfscan.ErrInvalid)
	require.ErrorContains(t, err, script+": ")
}

// section is the header of the first section of a type.
func section(b []byte, kind elf.SectionType) []byte {
	at := binary.LittleEndian.Uint64(b[40:])
	for range binary.LittleEndian.Uint16(b[60:]) {
		if elf.SectionType(binary.LittleEndian.Uint32(b[at+4:])) == kind {
			return b[at : at+64]
		}
		at += 64
	}
	panic("there is no such section")
}

// A name that very many symbols share, and a chain of versions that never ends, are given up.
func TestAmplification(t *testing.T) {
	b := small(t)
	order := binary.LittleEndian
	strings := uint64(len(b))
	b = append(b, bytes.Repeat([]byte("a"), 60000)...)
	b = append(b, 0)
	symbols := uint64(len(b))
	const number = 40000
	for range number {
		b = append(b, 0, 0, 0, 0, byte(elf.STB_GLOBAL)<<4, 0, 1, 0)
		b = append(b, make([]byte, 16)...)
	}
	table := section(b, elf.SHT_DYNSYM)
	order.PutUint64(table[24:], symbols)
	order.PutUint64(table[32:], number*24)
	names := b[order.Uint64(b[40:])+64*uint64(order.Uint32(section(b, elf.SHT_DYNAMIC)[40:])):]
	order.PutUint64(names[24:], strings)
	order.PutUint64(names[32:], 60001)
	dynamic := section(b, elf.SHT_DYNAMIC)
	clear(b[order.Uint64(dynamic[24:]):][:16]) // DT_NULL: its names are gone
	_, err := read(b)
	require.ErrorIs(t, err, elfscan.ErrInvalid)
	require.ErrorContains(t, err, "its names have more than 1073741824 bytes")
}

// Every truncation is refused, and every changed byte read or refused.
func TestDamage(t *testing.T) {
	good := small(t)
	for n := range good {
		_, err := read(good[:n])
		require.Error(t, err)
	}
	for at := range good {
		b := bytes.Clone(good)
		b[at] ^= 0xff
		if _, err := read(b); err != nil {
			require.ErrorIs(t, err, elfscan.ErrInvalid)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := read(b)
		if err != nil {
			require.ErrorIs(t, err, elfscan.ErrInvalid)
			return
		}
		require.LessOrEqual(t, len(l.Imports)+len(l.Exports), len(b)/24)
		require.LessOrEqual(t, len(l.Needed), len(b)/16)
	})
}
