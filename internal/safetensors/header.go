package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Errors of files that are not what their name says.
var (
	// ErrFormat is wrapped by every error about a file that breaks the format.
	ErrFormat = errors.New("invalid safetensors file")
	// ErrPointer says that a file is a Git LFS pointer, not weights.
	ErrPointer = errors.New("this is a Git LFS pointer, not weights: fetch the file itself (git lfs pull)")
)

// MaxHeader is the longest header read, the limit of the reference
// implementation.
const MaxHeader = 100 << 20

// maxDims bounds the dimensions of one tensor; no model comes near.
const maxDims = 32

var pointerPrefix = []byte("version https://git-lfs.github.com/spec/")

// Info describes one tensor of a file.
type Info struct {
	Name  string
	Dtype string
	Shape []int64
	// Offset is the position of the first byte in the file, Size the number of
	// bytes.
	Offset, Size int64
}

// Header is what stands before the tensors' bytes.
type Header struct {
	// Tensors in the order of their offsets.
	Tensors []Info
	// Metadata is the free-form "__metadata__" object, nil when absent.
	Metadata map[string]string
}

// ReadHeader reads and checks the header of a file of size bytes. Every error
// names the offending tensor and both values that disagree; it wraps [ErrFormat]
// or [ErrPointer], or is r's own.
func ReadHeader(r io.ReaderAt, size int64) (*Header, error) {
	start, n, err := headerRange(r, size)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(io.NewSectionReader(r, start, n))
	if err != nil {
		return nil, err
	}
	if err := h.place(start+n, size); err != nil {
		return nil, err
	}
	return h, nil
}

// headerRange finds the header's first byte and length.
func headerRange(r io.ReaderAt, size int64) (start, n int64, err error) {
	var first [40]byte
	got := first[:min(size, int64(len(first)))]
	if _, err := r.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	if bytes.HasPrefix(got, pointerPrefix) {
		return 0, 0, ErrPointer
	}
	if size < 8 {
		return 0, 0, fmt.Errorf("%w: it has %d bytes, fewer than the 8 of the header's length", ErrFormat, size)
	}
	length := binary.LittleEndian.Uint64(got)
	if length > MaxHeader {
		return 0, 0, fmt.Errorf("%w: its header claims %d bytes, more than the %d allowed", ErrFormat, length, MaxHeader)
	}
	if int64(length) > size-8 {
		return 0, 0, fmt.Errorf("%w: its header claims %d bytes, but only %d follow (truncated?)", ErrFormat, length, size-8)
	}
	return 8, int64(length), nil
}

// parseHeader reads the JSON object token by token: encoding/json alone would
// let a later entry of the same name, or of another case, win silently.
func parseHeader(r io.Reader) (*Header, error) {
	d := json.NewDecoder(r)
	d.UseNumber()
	h := &Header{}
	seen := map[string]bool{}
	err := eachKey(d, func(name string) error {
		if seen[name] {
			return fmt.Errorf("tensor %q occurs twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			h.Metadata = map[string]string{}
			return eachKey(d, func(key string) error {
				token, err := d.Token()
				if err != nil {
					return err
				}
				value, ok := token.(string)
				if !ok {
					return fmt.Errorf("metadata %q is not a string", key)
				}
				h.Metadata[key] = value
				return nil
			})
		}
		info, err := parseInfo(d)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		info.Name = name
		h.Tensors = append(h.Tensors, info)
		return nil
	})
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the header's object")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	return h, nil
}

// eachKey walks one JSON object; value has to consume the key's value.
func eachKey(d *json.Decoder, value func(key string) error) error {
	if err := expect(d, '{'); err != nil {
		return err
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		if err := value(token.(string)); err != nil {
			return err
		}
	}
	return expect(d, '}')
}

func expect(d *json.Decoder, want json.Delim) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%v where %v was expected", token, want)
	}
	return nil
}

// parseInfo reads one entry. Between here and place, Offset and Size hold the
// two data_offsets.
func parseInfo(d *json.Decoder) (Info, error) {
	var info Info
	var have [3]bool
	err := eachKey(d, func(key string) error {
		switch key {
		case "dtype":
			token, err := d.Token()
			if err != nil {
				return err
			}
			dtype, ok := token.(string)
			if !ok || have[0] {
				return fmt.Errorf("dtype is not one string")
			}
			info.Dtype, have[0] = dtype, true
		case "shape":
			shape, err := integers(d, maxDims)
			if err != nil || have[1] {
				return fmt.Errorf("shape is not one list of at most %d integers", maxDims)
			}
			info.Shape, have[1] = shape, true
		case "data_offsets":
			offsets, err := integers(d, 2)
			if err != nil || len(offsets) != 2 || have[2] {
				return fmt.Errorf("data_offsets is not one pair of integers")
			}
			info.Offset, info.Size, have[2] = offsets[0], offsets[1], true
		default:
			var skip json.RawMessage
			return d.Decode(&skip)
		}
		return nil
	})
	if err != nil {
		return info, err
	}
	if have != [3]bool{true, true, true} {
		return info, errors.New("dtype, shape or data_offsets is missing")
	}
	return info, nil
}

func integers(d *json.Decoder, most int) ([]int64, error) {
	if err := expect(d, '['); err != nil {
		return nil, err
	}
	list := []int64{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		number, ok := token.(json.Number)
		if !ok || len(list) == most {
			return nil, errors.New("not a short list of integers")
		}
		n, err := number.Int64()
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, expect(d, ']')
}

// place turns data_offsets, which count from the first tensor's byte, into
// offsets in the file, and checks that the tensors cover it without gap or
// overlap.
func (h *Header) place(base, size int64) error {
	slices.SortStableFunc(h.Tensors, func(a, b Info) int {
		if a.Offset != b.Offset {
			return int(min(max(a.Offset-b.Offset, -1), 1))
		}
		return int(min(max(a.Size-b.Size, -1), 1))
	})
	next := int64(0)
	for i := range h.Tensors {
		t := &h.Tensors[i]
		begin, end := t.Offset, t.Size
		switch {
		case begin < 0 || end < begin:
			return fmt.Errorf("%w: tensor %q: data_offsets [%d, %d] are not a range", ErrFormat, t.Name, begin, end)
		case begin < next:
			return fmt.Errorf("%w: tensor %q begins at %d inside %q, which ends at %d", ErrFormat, t.Name, begin, h.Tensors[i-1].Name, next)
		case begin > next:
			return fmt.Errorf("%w: no tensor covers the bytes from %d to %d, before %q", ErrFormat, next, begin, t.Name)
		}
		want, err := Size(t.Dtype, t.Shape)
		if err != nil {
			return fmt.Errorf("%w: tensor %q: %w", ErrFormat, t.Name, err)
		}
		if end-begin != want {
			return fmt.Errorf("%w: tensor %q: shape %v of %s takes %d bytes, data_offsets [%d, %d] give %d",
				ErrFormat, t.Name, t.Shape, t.Dtype, want, begin, end, end-begin)
		}
		if end > size-base {
			return fmt.Errorf("%w: tensor %q ends at byte %d of the file, which has only %d (truncated?)", ErrFormat, t.Name, base+end, size)
		}
		t.Offset, t.Size = base+begin, want
		next = end
	}
	if next != size-base {
		return fmt.Errorf("%w: %d bytes follow the last tensor, which ends at byte %d of %d", ErrFormat, size-base-next, base+next, size)
	}
	return nil
}
