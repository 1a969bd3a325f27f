package torchzip

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/internal/pickle"
)

// maxVersion is the newest version of the archive that torch knows
// (kMaxSupportedFileFormatVersion in caffe2/serialize/versions.h).
const maxVersion = 10

// archive is an open zip file.
type archive struct {
	r       io.ReaderAt
	path    string
	records map[string]record // by name, less the archive's own
}

// readZip reads the pickle of a zip file.
func readZip(r io.ReaderAt, size int64, path string, o Options) (any, error) {
	list, err := directory(r, size)
	if err != nil {
		return nil, err
	}
	a, err := newArchive(r, path, list)
	if err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	b := newBuilder(o)
	storages := map[string]*Storage{}
	b.storage = func(id storageID) (*Storage, error) {
		s := storages[id.key]
		if s == nil {
			rec, ok := a.records["data/"+id.key]
			if !ok {
				return nil, fmt.Errorf("%w: there is no record data/%s for a storage of the pickle", ErrFormat, id.key)
			}
			s = &Storage{Key: id.key, Size: rec.size, Offset: rec.start, r: r, path: path}
			storages[id.key] = s
		}
		if s.Size != id.bytes {
			return nil, fmt.Errorf("%w: storage %s has %d bytes, the pickle says %d", ErrFormat, id.key, s.Size, id.bytes)
		}
		return s, nil
	}
	rec := a.records["data.pkl"]
	root, err := pickle.NewDecoder(io.NewSectionReader(r, rec.start, rec.size), rec.size, b.options()).Decode()
	if err != nil {
		return nil, fmt.Errorf("data.pkl: %w", whole(err))
	}
	return root, nil
}

// newArchive strips the archive's own name, whatever it is, from the records'.
func newArchive(r io.ReaderAt, path string, list []record) (*archive, error) {
	name := ""
	for _, rec := range list {
		if prefix, rest, ok := strings.Cut(rec.name, "/"); ok && (rest == "data.pkl" || rest == "constants.pkl") {
			name = prefix + "/"
			break
		}
	}
	if name == "" {
		return nil, fmt.Errorf("%w: the zip archive has no data.pkl, so torch.save did not write it", ErrFormat)
	}
	a := &archive{r: r, path: path, records: make(map[string]record, len(list))}
	for _, rec := range list {
		if rest, ok := strings.CutPrefix(rec.name, name); ok {
			a.records[rest] = rec
		}
	}
	return a, nil
}

// check refuses archives of another kind, byte order or version.
func (a *archive) check() error {
	_, script := a.records["constants.pkl"]
	for name := range a.records {
		script = script || strings.HasPrefix(name, "code/")
	}
	if script {
		return fmt.Errorf("a TorchScript archive (it has constants.pkl or code) is %w: save the model's state_dict() with torch.save", ErrUnsupported)
	}
	for name, rec := range a.records {
		if rec.packing != "" {
			return fmt.Errorf("%w: record %q %s, and torch.save stores", ErrFormat, name, rec.packing)
		}
	}
	if _, ok := a.records["data.pkl"]; !ok {
		return fmt.Errorf("%w: the zip archive has no data.pkl, so torch.save did not write it", ErrFormat)
	}
	if order, ok, err := a.small("byteorder"); err != nil {
		return err
	} else if ok && order != "little" {
		return fmt.Errorf("bytes in %q order are %w: save the file on a little-endian machine", order, ErrUnsupported)
	}
	for _, name := range []string{"version", ".data/version"} {
		text, ok, err := a.small(name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(text)); err != nil || n < 1 || n > maxVersion {
			return fmt.Errorf("an archive of version %q is %w: 1 to %d are", strings.TrimSpace(text), ErrUnsupported, maxVersion)
		}
	}
	return nil
}

// small reads a record of a few bytes.
func (a *archive) small(name string) (string, bool, error) {
	rec, ok := a.records[name]
	if !ok {
		return "", false, nil
	}
	if rec.size > 64 {
		return "", false, fmt.Errorf("%w: record %s has %d bytes", ErrFormat, name, rec.size)
	}
	b := make([]byte, rec.size)
	if n, err := a.r.ReadAt(b, rec.start); n < len(b) {
		return "", false, fmt.Errorf("reading %s: %w", name, err)
	}
	return string(b), true, nil
}

// whole turns the io.EOF of an empty pickle into an error of the format.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the pickle is missing", ErrFormat)
	}
	return err
}
