package chunked

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// ReadAt reads len(p) bytes of the row-major array from off. It implements
// io.ReaderAt. A run of whole rows takes one read of each chunk that has a part
// of them, where the chunk's part is in one piece; besides p it takes no more
// memory than 4 MiB. Errors name the chunk.
func (a *Array) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > a.size {
		return 0, fmt.Errorf("offset %d lies outside of an array of %d bytes", off, a.size)
	}
	var end error
	if int64(len(p)) > a.size-off {
		p, end = p[:a.size-off], io.EOF
	}
	read := 0
	for read < len(p) {
		n, err := a.readSome(p[read:], off+int64(read))
		if err != nil {
			return read, err
		}
		read += n
	}
	return read, end
}

// readSome reads whole elements, or the part that is asked for of one element.
func (a *Array) readSome(p []byte, off int64) (int, error) {
	if within := off % a.width; within != 0 || int64(len(p)) < a.width {
		var element [8]byte
		if err := a.readElements(element[:a.width], off/a.width); err != nil {
			return 0, err
		}
		return copy(p, element[within:a.width]), nil
	}
	p = p[:int64(len(p))/a.width*a.width]
	return len(p), a.readElements(p, off/a.width)
}

// readElements cuts a run of elements into boxes that are contiguous in the array:
// the rest of a row, whole rows, the beginning of a row, and so for each axis.
func (a *Array) readElements(dst []byte, first int64) error {
	offset, shape := make([]int64, len(a.shape)), make([]int64, len(a.shape))
	box := func() error {
		n := a.width
		for _, d := range shape {
			n *= d
		}
		err := a.readBox(dst[:n], offset, shape)
		dst = dst[n:]
		return err
	}
	var cut func(axis int, low, high int64) error
	cut = func(axis int, low, high int64) error {
		if axis == len(a.shape) {
			return box()
		}
		row := a.stride[axis]
		for low < high {
			offset[axis], shape[axis] = low/row, 1
			until := min(high, low/row*row+row)
			if whole := high / row * row; low%row == 0 && whole > low {
				shape[axis], until = (whole-low)/row, whole
				for i := axis + 1; i < len(a.shape); i++ {
					offset[i], shape[i] = 0, a.shape[i]
				}
				if err := box(); err != nil {
					return err
				}
			} else if err := cut(axis+1, low%row, until-low/row*row); err != nil {
				return err
			}
			low = until
		}
		return nil
	}
	return cut(0, first, first+int64(len(dst))/a.width)
}

// readBox reads a rectangle from each chunk that has a part of it.
func (a *Array) readBox(dst []byte, offset, shape []int64) error {
	var failed error
	start, extent := make([]int64, len(shape)), make([]int64, len(shape))
	a.grid.each(offset, shape, func(cell int, from, _ []int64) bool {
		c := &a.chunks[a.grid.owner[cell]]
		for i := range shape {
			start[i] = max(offset[i], c.Offset[i])
			extent[i] = min(offset[i]+shape[i], c.Offset[i]+c.Shape[i]) - start[i]
		}
		if !slices.Equal(from, start) {
			return true // the chunk was read at the first of its cells
		}
		failed = a.readPart(dst, offset, shape, c, start, extent)
		return failed == nil
	})
	return failed
}

// axis is one loop of a copy: how many, and how far apart in either place. All
// count bytes but n.
type axis struct{ n, from, to int64 }

// readPart reads the part of a chunk that begins at start to where it belongs in
// the box.
func (a *Array) readPart(dst []byte, offset, shape []int64, c *Chunk, start, extent []int64) error {
	from, to := rowMajor(c.Stored), rowMajor(shape)
	at, into := c.At, int64(0)
	axes := make([]axis, 0, len(shape)+1)
	for i := range shape {
		at += (start[i] - c.Offset[i]) * from[i] * a.width
		into += (start[i] - offset[i]) * to[i] * a.width
		axes = append(axes, axis{extent[i], from[i] * a.width, to[i] * a.width})
	}
	axes = merged(append(axes, axis{a.width, 1, 1}))
	if err := transfer(dst[into:], c.Bytes, at, axes); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("its bytes end too early: %w", io.ErrUnexpectedEOF)
		}
		if c.Name != "" {
			err = fmt.Errorf("chunk %s: %w", c.Name, err)
		}
		return err
	}
	return nil
}

// merged leaves out axes of one and joins those that are one run in both places.
// The last axis of the result is a run of bytes.
func merged(axes []axis) []axis {
	var out []axis // the last axis first
	for _, x := range slices.Backward(axes) {
		if n := len(out); n == 0 {
			out = append(out, x)
		} else if inner := &out[n-1]; x.from == inner.n*inner.from && x.to == inner.n*inner.to {
			inner.n *= x.n
		} else if x.n != 1 {
			out = append(out, x)
		}
	}
	slices.Reverse(out)
	return out
}

const (
	// maxScratch is how much is read at once of what has to be put in place
	// afterwards.
	maxScratch = 4 << 20
	// cheap is how many bytes are rather read and dropped than jumped over by
	// another read.
	cheap = 16 << 10
)

var scratch = sync.Pool{New: func() any { return new([]byte) }}

// transfer copies from r to dst. What lies close together in r is read at once.
func transfer(dst []byte, r io.ReaderAt, at int64, axes []axis) error {
	outer := axes[0]
	if len(axes) == 1 {
		return readFull(r, dst[:outer.n], at)
	}
	inner := span(axes[1:])
	group := int64(1)
	if gap := outer.from - inner; gap <= max(cheap, inner) && dense(axes[1:]) && inner <= maxScratch {
		group = min(outer.n, (maxScratch-inner)/outer.from+1)
	}
	for i := int64(0); i < outer.n; i += group {
		part := append([]axis{{min(group, outer.n-i), outer.from, outer.to}}, axes[1:]...)
		var err error
		if part[0].n > 1 {
			err = gathered(dst[i*outer.to:], r, at+i*outer.from, part)
		} else {
			err = transfer(dst[i*outer.to:], r, at+i*outer.from, axes[1:])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// span is how far the elements of a part reach in the chunk.
func span(axes []axis) int64 {
	n := int64(1)
	for _, x := range axes {
		n += (x.n - 1) * x.from
	}
	return n
}

// dense tells whether reading the whole span of a part is cheaper than reading its
// runs one by one.
func dense(axes []axis) bool {
	for i := range len(axes) - 1 {
		inner := span(axes[i+1:])
		if axes[i].from-inner > max(cheap, inner) {
			return false
		}
	}
	return true
}

// gathered reads the whole span of a part and puts its runs in place.
func gathered(dst []byte, r io.ReaderAt, at int64, axes []axis) error {
	buffer := scratch.Get().(*[]byte)
	defer scratch.Put(buffer)
	*buffer = slices.Grow((*buffer)[:0], int(span(axes)))[:span(axes)]
	if err := readFull(r, *buffer, at); err != nil {
		return err
	}
	scatter(dst, *buffer, axes)
	return nil
}

func scatter(dst, src []byte, axes []axis) {
	outer := axes[0]
	switch len(axes) {
	case 1:
		copy(dst[:outer.n], src)
	case 2:
		run := axes[1].n
		for i := range outer.n {
			copy(dst[i*outer.to:][:run], src[i*outer.from:])
		}
	default:
		for i := range outer.n {
			scatter(dst[i*outer.to:], src[i*outer.from:], axes[1:])
		}
	}
}

// readFull treats the end that comes with the last byte as no error.
func readFull(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return err
}
