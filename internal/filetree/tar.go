package filetree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// OpenTar opens the tar archive at path: ustar, PAX or GNU, uncompressed. It reads
// the headers and no file.
func OpenTar(path string) (Tree, error) {
	f, size, err := regularfile.Open(path)
	if err != nil {
		return nil, err
	}
	tree, err := NewTar(f, size, path, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return tree, nil
}

// NewTar reads a tar archive of size bytes from r; path serves messages only.
// Closing the tree closes closer, unless that is nil; an error does not.
func NewTar(r io.ReaderAt, size int64, path string, closer io.Closer) (Tree, error) {
	t := &archive{r: r, size: size, file: path, closer: closer, members: map[string]*member{}, refused: map[string]string{}}
	if err := t.index(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name := range t.members {
		t.names = append(t.names, name)
	}
	sort.Strings(t.names)
	return t, nil
}

// archive is a tar archive. Its files are sections of it.
type archive struct {
	r       io.ReaderAt
	size    int64
	file    string // its path, for messages
	closer  io.Closer
	names   []string
	members map[string]*member
	refused map[string]string // name to reason
}

type member struct {
	archive *archive
	name    string
	offset  int64
	size    int64
}

// index reads all headers. Right after Next the reader stands on a file's first
// byte, and the next Next seeks over the file.
func (t *archive) index() error {
	section := io.NewSectionReader(t.r, 0, t.size)
	reader := tar.NewReader(section)
	links := map[string]string{}
	end, nameBytes := int64(0), 0
	for count := 1; ; count++ {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return damaged(err, end)
		}
		at, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if nameBytes += len(h.Name) + len(h.Linkname); count > maxFiles || nameBytes > maxNameBytes {
			return fmt.Errorf("it is %w: it has more than %d members, or their names are too long", ErrRefused, maxFiles)
		}
		if end, err = t.add(h, at, links); err != nil {
			return err
		}
	}
	if err := t.checkEnd(end); err != nil {
		return err
	}
	t.resolve(links)
	return nil
}

// checkEnd looks for the zeros that mark the end of an archive. The reader takes the
// end of the file for it too, so that a download cut between two members, or in
// the first half of a PAX header, would go unnoticed.
func (t *archive) checkEnd(end int64) error {
	block := make([]byte, 512)
	if n, err := t.r.ReadAt(block, end); n < len(block) && err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if n < len(block) || !bytes.Equal(block, make([]byte, 512)) {
		return fmt.Errorf("%w: there are no zeros at byte %d to mark the end of a tar archive: it is incomplete", ErrFormat, end)
	}
	return nil
}

func damaged(err error, end int64) error {
	if errors.Is(err, tar.ErrHeader) && end == 0 {
		return fmt.Errorf("%w: it does not begin with the header of a tar archive", ErrFormat)
	}
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the member that begins at byte %d has a damaged or incomplete header (%w)", ErrFormat, end, err)
	}
	return err
}

// add takes a member whose content begins at the given byte, and tells where the
// next member begins.
func (t *archive) add(h *tar.Header, at int64, links map[string]string) (next int64, err error) {
	name := path.Clean(h.Name)
	if leaves(name) || len(name) > maxName {
		return 0, fmt.Errorf("it is %w: member %.100q leads out of the archive, or its name has more than %d bytes", ErrRefused, h.Name, maxName)
	}
	if sparse(h) {
		return 0, fmt.Errorf("it is %w: member %.100q is stored as a sparse file: pack it again without --sparse", ErrRefused, name)
	}
	content := int64(0)
	if h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeCont {
		content = h.Size
	}
	if content > t.size-at {
		return 0, fmt.Errorf("%w: member %.100q of %d bytes begins at byte %d, but the archive ends at %d: it is incomplete", ErrFormat, h.Name, content, at, t.size)
	}
	next = min(t.size, (at+content+511)&^511)
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return next, nil
	}
	if t.members[name] != nil || t.refused[name] != "" || links[name] != "" {
		return 0, fmt.Errorf("it is %w: two of its members are called %.100q", ErrRefused, name)
	}
	switch {
	case strings.HasSuffix(h.Name, "/") || name == ".":
		t.refused[name] = "it is a file with the name of a directory"
	case h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeCont:
		t.members[name] = &member{t, name, at, content}
	case h.Typeflag == tar.TypeLink:
		links[name] = path.Clean(h.Linkname)
	case h.Typeflag == tar.TypeSymlink && !strings.HasPrefix(h.Linkname, "/"):
		links[name] = path.Join(path.Dir(name), h.Linkname)
	default:
		t.refused[name] = "it is no file, or a link that leads out of the archive"
	}
	return next, nil
}

// sparse tells whether a member's bytes are not simply there one after the other.
// The reader hides the forms that PAX has.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// resolve turns links to files of the archive into those files, through at most a
// few other links.
func (t *archive) resolve(links map[string]string) {
	found := map[string]*member{}
	for name, target := range links {
		for range 8 {
			next, ok := links[target]
			if !ok {
				break
			}
			target = next
		}
		if m := t.members[target]; m != nil {
			found[name] = m
		} else {
			t.refused[name] = "it is a link to what is no file of the archive"
		}
	}
	for name, m := range found {
		t.members[name] = m
	}
}

func (t *archive) path(name string) string { return t.file + ": member " + name }

func (t *archive) Names() []string { return t.names }

func (t *archive) Open(name string) (File, error) {
	if m := t.members[name]; m != nil {
		return m, nil
	}
	for above := range prefixes(name) {
		if reason, ok := t.refused[above]; ok {
			return nil, fmt.Errorf("%s: member %.100s is %w: %s", t.file, above, ErrRefused, reason)
		}
	}
	return nil, fmt.Errorf("%s: %w", t.file, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist})
}

func (t *archive) Close() error {
	closer := t.closer
	t.closer = nil
	if closer == nil {
		return nil
	}
	return closer.Close()
}

func (m *member) Size() int64 { return m.size }

func (m *member) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > m.size {
		return 0, fmt.Errorf("%s: member %s: offset %d lies outside of its %d bytes", m.archive.file, m.name, off, m.size)
	}
	short := int64(len(p)) > m.size-off
	if short {
		p = p[:m.size-off]
	}
	n, err := m.archive.r.ReadAt(p, m.offset+off)
	switch {
	case n < len(p):
		if errors.Is(err, io.EOF) { // opening has checked where the member ends
			err = fmt.Errorf("the archive has become shorter: %w", io.ErrUnexpectedEOF)
		}
		return n, fmt.Errorf("%s: member %s: reading %d bytes at %d: %w", m.archive.file, m.name, len(p), m.offset+off, err)
	case short:
		return n, io.EOF
	}
	return n, nil
}
