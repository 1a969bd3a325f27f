package torchzip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/trtgo/trtgo/internal/pickle"
)

// The file of before PyTorch 1.6 (torch/serialization.py, _legacy_save): pickles
// of a magic number, a version, facts about the machine, the saved value, and the
// keys of its storages; then each storage in that order, its number of elements
// before it.
const legacyVersion = 1001

var legacyMagic, _ = new(big.Int).SetString("1950a86a20f9469cfc6c", 16)

// readLegacy reads the pickles and finds the storages behind them.
func readLegacy(r io.ReaderAt, size int64, path string, o Options) (any, error) {
	b := newBuilder(o)
	storages := map[string]*Storage{}
	ids := map[string]storageID{}
	b.storage = func(id storageID) (*Storage, error) {
		if known, ok := ids[id.key]; !ok {
			ids[id.key] = id
			storages[id.key] = &Storage{Key: id.key, Size: id.bytes, r: r, path: path}
		} else if known != id {
			return nil, fmt.Errorf("%w: storage %s is said to have %d bytes and %d", ErrFormat, id.key, known.bytes, id.bytes)
		}
		if id.bytes > size {
			return nil, fmt.Errorf("%w: storage %s is said to have %d bytes in a file of %d (truncated?)", ErrFormat, id.key, id.bytes, size)
		}
		return storages[id.key], nil
	}
	d := pickle.NewDecoder(r, size, b.options())
	if err := legacyHead(d); err != nil {
		return nil, err
	}
	root, err := d.Decode()
	if err != nil {
		return nil, fmt.Errorf("the saved value: %w", whole(err))
	}
	keys, err := d.Decode()
	if err != nil {
		return nil, fmt.Errorf("the list of storages: %w", whole(err))
	}
	list, ok := keys.(*pickle.List)
	if !ok {
		return nil, fmt.Errorf("%w: the list of storages is none", ErrFormat)
	}
	return root, place(r, size, d.Offset(), list.Items, storages, ids)
}

// legacyHead reads the three pickles before the saved value.
func legacyHead(d *pickle.Decoder) error {
	var head [3]any
	for i := range head {
		v, err := d.Decode()
		if err != nil {
			return whole(err)
		}
		head[i] = v
		if magic, ok := head[0].(*big.Int); !ok || magic.Cmp(legacyMagic) != 0 {
			return fmt.Errorf("%w: a pickle without PyTorch's magic number, so torch.save did not write it", ErrFormat)
		}
	}
	if head[1] != int64(legacyVersion) {
		return fmt.Errorf("a file of protocol %v is %w: %d is", head[1], ErrUnsupported, legacyVersion)
	}
	info, ok := head[2].(*pickle.Dict)
	if !ok {
		return fmt.Errorf("%w: the facts about the machine are missing", ErrFormat)
	}
	if little, ok := info.Get("little_endian"); !ok || little != true {
		return fmt.Errorf("big-endian bytes are %w: save the file on a little-endian machine", ErrUnsupported)
	}
	return nil
}

// place gives each storage its offset.
func place(r io.ReaderAt, size, at int64, keys []any, storages map[string]*Storage, ids map[string]storageID) error {
	placed := make(map[string]bool, len(storages))
	for _, k := range keys {
		key, ok := k.(string)
		id, known := ids[key]
		if !ok || !known || placed[key] {
			return fmt.Errorf("%w: the list of storages has %v, which no tensor uses or which it has twice", ErrFormat, k)
		}
		placed[key] = true
		var count [8]byte
		if n, err := r.ReadAt(count[:], at); n < len(count) {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: the file ends there (truncated?)", ErrFormat)
			}
			return fmt.Errorf("reading the size of storage %s at byte %d: %w", key, at, err)
		}
		elements := binary.LittleEndian.Uint64(count[:])
		if elements != uint64(id.bytes/id.width) {
			return fmt.Errorf("%w: storage %s has %d elements, the pickle says %d", ErrFormat, key, elements, id.bytes/id.width)
		}
		at += int64(len(count))
		if at > size || id.bytes > size-at {
			return fmt.Errorf("%w: storage %s needs %d bytes at %d of a file of %d (truncated?)", ErrFormat, key, id.bytes, at, size)
		}
		storages[key].Offset = at
		at += id.bytes
	}
	for key := range storages {
		if !placed[key] {
			return fmt.Errorf("%w: storage %s is not in the file's list", ErrFormat, key)
		}
	}
	return nil
}
