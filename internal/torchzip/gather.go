package torchzip

import (
	"cmp"
	"slices"
)

// Reading a strided view: the wanted range of elements is cut into boxes, the
// dimensions of a box are walked in the order in which its elements lie in the
// storage, and what lies close together is read at once and sorted in memory.
const (
	// window bounds the bytes of the storage read at once.
	window = 4 << 20
	// page is read at once however few of its bytes are wanted.
	page = 16 << 10
	// sparse is how many times more than wanted may be read to read at once.
	sparse = 4
)

// axis is a dimension of a box: steps, and what one is in the storage (elements)
// and in the output (bytes).
type axis struct{ n, stride, out int64 }

type gatherer struct {
	t      *Tensor
	width  int64
	buffer []byte
}

// gather fills p from the byte off of a view that is not contiguous.
func (t *Tensor) gather(p []byte, off int64) (int, error) {
	g := gatherer{t: t, width: width(t.Dtype)}
	first, last := off/g.width, (off+int64(len(p))+g.width-1)/g.width
	out := p
	if lead := off % g.width; lead != 0 || int64(len(p))%g.width != 0 {
		out = make([]byte, (last-first)*g.width) // elements only partly wanted
		defer func() { copy(p, out[lead:]) }()
	}
	if err := g.elements(out, 0, first, last, t.StorageOffset); err != nil {
		return 0, err
	}
	return len(p), nil
}

// elements reads the elements first to last, counted in row-major order over the
// dimensions from dim on, where src is the position of the first of them all.
func (g *gatherer) elements(out []byte, dim int, first, last, src int64) error {
	if first >= last {
		return nil
	}
	if dim == len(g.t.Shape) {
		return g.box(out, nil, src)
	}
	inner, stride := int64(1), g.t.Stride[dim]
	for _, n := range g.t.Shape[dim+1:] {
		inner *= n
	}
	row, end := first/inner, last/inner // whole rows, once the ends are off
	if row == end || first%inner != 0 {
		stop := min(last, (row+1)*inner)
		n := (stop - first) * g.width
		if err := g.elements(out[:n], dim+1, first-row*inner, stop-row*inner, src+row*stride); err != nil {
			return err
		}
		out = out[n:]
		row++
	}
	if row < end {
		n := (end - row) * inner * g.width
		if err := g.box(out[:n], g.axes(dim, end-row), src+row*stride); err != nil {
			return err
		}
		out = out[n:]
	}
	if row <= end && last > end*inner {
		return g.elements(out, dim+1, 0, last-end*inner, src+end*stride)
	}
	return nil
}

// axes gives the dimensions from dim on, the first with n steps, by falling
// stride.
func (g *gatherer) axes(dim int, n int64) []axis {
	out := g.width
	var axes []axis
	for i := len(g.t.Shape) - 1; i >= dim; i-- {
		steps := g.t.Shape[i]
		if i == dim {
			steps = n
		}
		if steps > 1 {
			axes = append(axes, axis{steps, g.t.Stride[i], out})
		}
		out *= steps
	}
	slices.SortFunc(axes, func(a, b axis) int {
		return cmp.Or(cmp.Compare(b.stride, a.stride), cmp.Compare(b.out, a.out))
	})
	return axes
}

// extent counts a box's elements, and those of the storage from its first to its
// last one.
func extent(axes []axis) (elements, span int64) {
	elements, span = 1, 1
	for _, a := range axes {
		elements *= a.n
		span += (a.n - 1) * a.stride
	}
	return elements, span
}

// box reads a box whose first element lies at src.
func (g *gatherer) box(out []byte, axes []axis, src int64) error {
	if g.near(axes) {
		_, span := extent(axes)
		if int64(len(g.buffer)) < span*g.width {
			g.buffer = make([]byte, span*g.width)
		}
		b := g.buffer[:span*g.width]
		if _, err := g.t.Storage.ReadAt(b, src*g.width); err != nil {
			return err
		}
		g.scatter(out, b, axes)
		return nil
	}
	// As many steps of the widest stride at once as are still close together.
	a, steps := axes[0], int64(1)
	_, rest := extent(axes[1:])
	chunk := slices.Clone(axes)
	for _, most := range []int64{window, page} {
		chunk[0].n = min(a.n, (most/g.width-rest)/max(a.stride, 1)+1)
		if chunk[0].n > steps && g.near(chunk) {
			steps = chunk[0].n
			break
		}
	}
	for i := int64(0); i < a.n; i += steps {
		part := axes[1:]
		if steps > 1 {
			part = slices.Clone(axes)
			part[0].n = min(steps, a.n-i)
		}
		if err := g.box(out[i*a.out:], part, src+i*a.stride); err != nil {
			return err
		}
	}
	return nil
}

// near tells whether to read a box at once. A single element always is.
func (g *gatherer) near(axes []axis) bool {
	elements, span := extent(axes)
	return span*g.width <= page || span*g.width <= window && span/sparse <= elements
}

// scatter puts the elements of a box into their places.
func (g *gatherer) scatter(out, in []byte, axes []axis) {
	w := g.width
	switch {
	case len(axes) == 0:
		copy(out[:w], in)
	case len(axes) == 1 && axes[0].stride == 1 && axes[0].out == w:
		copy(out[:axes[0].n*w], in)
	case len(axes) == 1:
		a := axes[0]
		for i := range a.n {
			copy(out[i*a.out:i*a.out+w], in[i*a.stride*w:])
		}
	default:
		a := axes[0]
		for i := range a.n {
			g.scatter(out[i*a.out:], in[i*a.stride*w:], axes[1:])
		}
	}
}
