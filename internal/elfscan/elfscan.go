// Package elfscan tells what a shared library needs and offers by reading its ELF file: it is never loaded,
// so that a library that would end the process, or that another machine is to run, can be looked at.
//
//	library, err := elfscan.Open("/usr/lib/libnvinfer.so.10")
//	if errors.Is(err, elfscan.ErrInvalid) { … } // damaged, or of another kind
//	fmt.Println(library.Soname, library.Needed, library.Exports["getInferLibVersion"])
//
//	search := elfscan.NewSearch("/", os.Getenv("LD_LIBRARY_PATH"))
//	load, err := search.Load("/usr/lib/libnvinfer.so.10") // what the dynamic loader would find, and what not
//
// Files are taken for hostile: sizes are bounded, and what is read is never more than the file has. A Library that was
// read may be used by several goroutines, a Search may not.
package elfscan

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// ErrInvalid is wrapped by errors about a file that is no shared library, is damaged, or is beyond the limits.
var ErrInvalid = errors.New("not a shared library that can be read")

// Limits of what is read. The largest libraries of CUDA and PyTorch have about 500,000 symbols.
const (
	maxDynamic = 64 << 10  // bytes of the dynamic section
	maxSymbols = 64 << 20  // bytes of the symbol table, 24 each
	maxStrings = 512 << 20 // bytes of the symbols' names
	maxName    = 64 << 10  // bytes of a name
	maxVersion = 4096      // versions that are needed or defined

	sectionHeader = 64 // bytes
	symbolSize    = 24
)

// Library is what an ELF file says of itself.
type Library struct {
	Path    string
	Machine string   // e.g. "EM_X86_64"
	Soname  string   // DT_SONAME, "" without
	Needed  []string // DT_NEEDED, in order
	RPath   []string // DT_RPATH, divided at colons; unused by the loader when there is a RunPath
	RunPath []string // DT_RUNPATH

	// StaticTLS is DF_STATIC_TLS: its thread-local variables must fit the little room that the process keeps
	// for libraries loaded late. TLSBytes is how much they take.
	StaticTLS bool
	TLSBytes  uint64

	Exports  map[string]struct{} // names of the dynamic symbols that it defines
	Imports  []string            // those that others must define, in the table's order; weak ones are left out
	Versions []string            // symbol versions that it defines, e.g. "GLIBC_2.38"
	Requires []VersionNeed       // symbol versions that it needs
}

// VersionNeed is a symbol version that a library must have.
type VersionNeed struct{ Library, Version string }

// Open reads the library at path. Errors are ErrInvalid or the file system's; they name the path.
func Open(path string) (*Library, error) {
	f, size, err := regularfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	library, err := Read(f, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	library.Path = path
	return library, nil
}

// Read reads a library of the given size in bytes. It must be of 64 bits and little-endian, as those of amd64 and arm64 are.
func Read(r io.ReaderAt, size int64) (*Library, error) {
	r = io.NewSectionReader(r, 0, size)
	if err := checkHeader(r); err != nil {
		return nil, err
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if f.Type != elf.ET_DYN {
		return nil, invalidf("its type is %v, want ET_DYN", f.Type)
	}
	s := scan{file: f, size: uint64(size), library: &Library{Machine: f.Machine.String(), Exports: map[string]struct{}{}}}
	for _, step := range []func() error{s.strings, s.dynamic, s.symbols, s.needs, s.definitions} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_TLS {
			s.library.TLSBytes = p.Memsz
		}
	}
	return s.library, nil
}

// Native tells whether the library is for the processor of this program.
func (l *Library) Native() bool {
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	return l.Machine == want.String()
}

func invalidf(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, a...)...)
}

// checkHeader refuses what debug/elf would read without bounds: a compressed table of the sections' names, whose
// declared size can be anything, and a number of sections above 65,279, which stands elsewhere.
func checkHeader(r io.ReaderAt) error {
	var header [64]byte
	if _, err := r.ReadAt(header[:], 0); err != nil {
		return invalidf("it is shorter than an ELF header")
	}
	if string(header[:4]) != elf.ELFMAG {
		return invalidf("it does not begin as an ELF file")
	}
	if elf.Class(header[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(header[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return invalidf("it is not of 64 bits and little-endian")
	}
	offset := binary.LittleEndian.Uint64(header[40:])
	number, names := binary.LittleEndian.Uint16(header[60:]), binary.LittleEndian.Uint16(header[62:])
	if number == 0 || names >= number {
		return invalidf("it has no table of sections")
	}
	var section [sectionHeader]byte
	at := offset + uint64(names)*sectionHeader
	if at < offset || int64(at) < 0 {
		return invalidf("its sections lie at byte %d", offset)
	}
	if _, err := r.ReadAt(section[:], int64(at)); err != nil {
		return invalidf("its sections lie behind its end")
	}
	if elf.SectionFlag(binary.LittleEndian.Uint64(section[8:]))&elf.SHF_COMPRESSED != 0 {
		return invalidf("the names of its sections are compressed")
	}
	return nil
}

// scan reads the tables of a file into a library.
type scan struct {
	file    *elf.File
	size    uint64
	library *Library
	names   string // .dynstr
	scanned int    // bytes of names so far: symbols may share long ones
}

// table reads a section of a type, nil when there is none.
func (s *scan) table(kind elf.SectionType, limit uint64) ([]byte, *elf.Section, error) {
	section := s.file.SectionByType(kind)
	if section == nil {
		return nil, nil, nil
	}
	b, err := s.data(section, limit)
	return b, section, err
}

func (s *scan) data(section *elf.Section, limit uint64) ([]byte, error) {
	if section.Flags&elf.SHF_COMPRESSED != 0 || section.Type == elf.SHT_NOBITS {
		return nil, invalidf("section %.40q is not kept as it is in memory", section.Name)
	}
	if section.Size > limit || section.Size > s.size {
		return nil, invalidf("section %.40q has %d bytes, at most %d are read", section.Name, section.Size, min(limit, s.size))
	}
	b, err := section.Data()
	if err != nil {
		return nil, invalidf("section %.40q: %v", section.Name, err)
	}
	return b, nil
}

// strings reads the table of names, which the dynamic section names.
func (s *scan) strings() error {
	section := s.file.SectionByType(elf.SHT_DYNAMIC)
	if section == nil {
		return invalidf("it has no dynamic section")
	}
	if int(section.Link) >= len(s.file.Sections) {
		return invalidf("its dynamic section names section %d for strings, of %d", section.Link, len(s.file.Sections))
	}
	b, err := s.data(s.file.Sections[section.Link], maxStrings)
	s.names = string(b)
	return err
}

// name is the string at an offset of the table: a part of it, not a copy.
func (s *scan) name(offset uint64) (string, error) {
	if offset >= uint64(len(s.names)) {
		return "", invalidf("a name lies at %d of %d bytes", offset, len(s.names))
	}
	rest := s.names[offset:min(offset+maxName, uint64(len(s.names)))]
	end := strings.IndexByte(rest, 0)
	if end < 0 {
		return "", invalidf("the name at %d has no end", offset)
	}
	if s.scanned += end; s.scanned > 2*maxStrings {
		return "", invalidf("its names have more than %d bytes", 2*maxStrings)
	}
	return rest[:end], nil
}

func (s *scan) dynamic() error {
	b, _, err := s.table(elf.SHT_DYNAMIC, maxDynamic)
	if err != nil {
		return err
	}
	l := s.library
	for ; len(b) >= 16; b = b[16:] {
		tag, value := elf.DynTag(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint64(b[8:])
		var name string
		switch tag {
		case elf.DT_NULL:
			return nil
		case elf.DT_FLAGS:
			l.StaticTLS = elf.DynFlag(value)&elf.DF_STATIC_TLS != 0
			continue
		case elf.DT_NEEDED, elf.DT_SONAME, elf.DT_RPATH, elf.DT_RUNPATH:
			if name, err = s.name(value); err != nil {
				return err
			}
		}
		switch tag {
		case elf.DT_NEEDED:
			l.Needed = append(l.Needed, name)
		case elf.DT_SONAME:
			l.Soname = name
		case elf.DT_RPATH:
			l.RPath = strings.Split(name, ":")
		case elf.DT_RUNPATH:
			l.RunPath = strings.Split(name, ":")
		}
	}
	return nil
}

func (s *scan) symbols() error {
	b, _, err := s.table(elf.SHT_DYNSYM, maxSymbols)
	if err != nil || len(b) < symbolSize {
		return err
	}
	for b = b[symbolSize:]; len(b) >= symbolSize; b = b[symbolSize:] { // the first one is none
		bind, undefined := elf.ST_BIND(b[4]), elf.SectionIndex(binary.LittleEndian.Uint16(b[6:])) == elf.SHN_UNDEF
		if bind == elf.STB_LOCAL || undefined && bind == elf.STB_WEAK {
			continue
		}
		name, err := s.name(uint64(binary.LittleEndian.Uint32(b)))
		if err != nil {
			return err
		}
		if undefined {
			s.library.Imports = append(s.library.Imports, name)
		} else {
			s.library.Exports[name] = struct{}{}
		}
	}
	return nil
}

// needs reads the table of the symbol versions that are needed: chains of entries, each with a chain of versions.
func (s *scan) needs() error {
	b, _, err := s.table(elf.SHT_GNU_VERNEED, 32*maxVersion)
	if err != nil {
		return err
	}
	return chain(b, 12, func(entry []byte) error {
		library, err := s.name(uint64(binary.LittleEndian.Uint32(entry[4:])))
		if err != nil {
			return err
		}
		first, number := binary.LittleEndian.Uint32(entry[8:]), int(binary.LittleEndian.Uint16(entry[2:]))
		if uint64(first) > uint64(len(entry)) {
			return invalidf("a needed version lies behind its table")
		}
		return chain(entry[first:], 12, func(version []byte) error {
			if number--; number < 0 {
				return nil
			}
			if binary.LittleEndian.Uint16(version[4:])&uint16(elf.VER_FLG_WEAK) != 0 {
				return nil
			}
			name, err := s.name(uint64(binary.LittleEndian.Uint32(version[8:])))
			if len(s.library.Requires) == maxVersion {
				return invalidf("it needs more than %d symbol versions", maxVersion)
			}
			s.library.Requires = append(s.library.Requires, VersionNeed{library, name})
			return err
		})
	})
}

// definitions reads the table of the symbol versions that are defined; the first name of each entry is its own.
func (s *scan) definitions() error {
	b, _, err := s.table(elf.SHT_GNU_VERDEF, 32*maxVersion)
	if err != nil {
		return err
	}
	return chain(b, 16, func(entry []byte) error {
		first := uint64(binary.LittleEndian.Uint32(entry[12:]))
		if first+4 > uint64(len(entry)) {
			return invalidf("a version's name lies behind its table")
		}
		name, err := s.name(uint64(binary.LittleEndian.Uint32(entry[first:])))
		s.library.Versions = append(s.library.Versions, name)
		return err
	})
}

// chain visits entries, each of which says at `next` how many bytes behind its beginning the following one lies, 0 for none.
// It gives each the rest of the table.
func chain(b []byte, next int, visit func(entry []byte) error) error {
	for visited := 0; len(b) >= next+4; visited++ {
		if visited == maxVersion {
			return invalidf("a table of versions has more than %d entries", maxVersion)
		}
		step := binary.LittleEndian.Uint32(b[next:])
		if err := visit(b); err != nil || step == 0 {
			return err
		}
		if uint64(step) > uint64(len(b)) {
			return invalidf("a version lies behind its table")
		}
		b = b[step:]
	}
	return nil
}
