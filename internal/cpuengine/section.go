package cpuengine

import (
	"fmt"
	"slices"
)

const (
	smallAlignment = 64   // a cache line, and one vector register
	bigAlignment   = 4096 // a page
	bigSection     = 64 << 10

	maxDimension = 1 << 31
)

// GroupSizes are what Section.Group may be, beside 0.
var GroupSizes = []int{32, 64, 128}

// Alignment is what the offset of a section of size bytes is a multiple of:
// a page for 64 KiB or more, otherwise 64. The gap behind a section is zero and
// reaches at least to the next multiple of 64, so reading a vector in whole
// registers of 16 floats stays inside the file and finds zeros.
func Alignment(size int64) int64 {
	if size >= bigSection {
		return bigAlignment
	}
	return smallAlignment
}

// PackedSize is the number of bytes of a weight, whatever its Size says. It returns an
// error for an unknown dtype or layout, for impossible dimensions and for groups that
// do not divide them.
func PackedSize(s Section) (int64, error) {
	if s.Rows < 1 || s.Cols < 1 || s.Rows > maxDimension || s.Cols > maxDimension {
		return 0, fmt.Errorf("dimensions [%d, %d] are outside 1 … %d", s.Rows, s.Cols, maxDimension)
	}
	if err := s.checkGroups(); err != nil {
		return 0, err
	}
	width := plainSize(s.Dtype)
	var rows, rowBytes int64
	switch {
	case s.Layout == LayoutRows && width > 0:
		rows, rowBytes = int64(s.Rows), int64(s.Cols)*width
	case s.Layout == LayoutRows:
		return 0, fmt.Errorf("dtype %q has no layout %s", s.Dtype, s.Layout)
	case s.Layout == LayoutPanel:
		rows = (int64(s.Rows) + PanelRows - 1) / PanelRows
		if rowBytes = s.panelBytes(); rowBytes == 0 {
			return 0, fmt.Errorf("dtype %q is none of %v", s.Dtype, dtypes)
		}
	default:
		return 0, fmt.Errorf("layout %q is not %s or %s", s.Layout, LayoutRows, LayoutPanel)
	}
	if rows > 1<<56/rowBytes {
		return 0, fmt.Errorf("dimensions [%d, %d] are too large", s.Rows, s.Cols)
	}
	return rows * rowBytes, nil
}

var dtypes = []string{DtypeF32, DtypeBF16, DtypeF16, DtypeInt8, DtypeInt4, DtypeFP8}

// plainSize is the size of a number that needs no scale, or 0.
func plainSize(dtype string) int64 {
	switch dtype {
	case DtypeF32:
		return 4
	case DtypeBF16, DtypeF16:
		return 2
	}
	return 0
}

// panelBytes is the size of a panel, 0 for an unknown dtype; see the package comment.
func (s *Section) panelBytes() int64 {
	const line = 64
	k := int64(s.Cols)
	lines := func(perLine int64) int64 { return (k + perLine - 1) / perLine * line }
	switch s.Dtype {
	case DtypeF32:
		return lines(1)
	case DtypeBF16, DtypeF16:
		return lines(2)
	case DtypeInt8, DtypeFP8:
		return line + lines(4)
	case DtypeInt4:
		return s.headerLines()*line + lines(8)
	}
	return 0
}

// headerLines is how many lines of a panel of int4 have scales and zeros.
func (s *Section) headerLines() int64 {
	if s.Group == 0 {
		return 1
	}
	groups := int64(s.Cols / s.Group)
	switch bf16 := s.ScaleDtype == DtypeBF16; {
	case bf16 && !s.Zeros:
		return (groups + 1) / 2
	case !bf16 && s.Zeros:
		return 2 * groups
	}
	return groups
}

func (s *Section) checkGroups() error {
	if s.Group == 0 {
		if s.ScaleDtype != "" || s.Zeros {
			return fmt.Errorf("scale_dtype %q and zeros %v without a group", s.ScaleDtype, s.Zeros)
		}
		return nil
	}
	if s.Dtype != DtypeInt4 || s.Layout != LayoutPanel {
		return fmt.Errorf("groups of %d in %s %s; only %s %s has groups", s.Group, s.Dtype, s.Layout, DtypeInt4, LayoutPanel)
	}
	if !slices.Contains(GroupSizes, s.Group) || s.Cols%s.Group != 0 {
		return fmt.Errorf("groups of %d for %d columns, want 32, 64 or 128 and a divisor", s.Group, s.Cols)
	}
	if s.ScaleDtype != DtypeBF16 && s.ScaleDtype != DtypeF32 {
		return fmt.Errorf("scale_dtype %q is not %s or %s", s.ScaleDtype, DtypeBF16, DtypeF32)
	}
	return nil
}

// checkSections checks that the sections lie one behind the other in
// [begin, end), aligned, with the size that their shape needs.
func checkSections(sections []Section, begin, end int64) error {
	for i := range sections {
		s := &sections[i]
		size, err := PackedSize(*s)
		if err != nil {
			return fmt.Errorf("section %d %q: %w", i, s.Name, err)
		}
		if s.Size != size {
			return fmt.Errorf("section %d %q has %d bytes, %s %s [%d, %d] needs %d", i, s.Name, s.Size, s.Dtype, s.Layout, s.Rows, s.Cols, size)
		}
		if s.Offset < begin || s.Offset > end || s.Size > end-s.Offset {
			return fmt.Errorf("section %d %q at offset %d with %d bytes does not lie in [%d, %d)", i, s.Name, s.Offset, s.Size, begin, end)
		}
		if s.Offset%Alignment(s.Size) != 0 {
			return fmt.Errorf("section %d %q at offset %d is not aligned to %d", i, s.Name, s.Offset, Alignment(s.Size))
		}
		begin = alignUp(s.Offset+s.Size, smallAlignment)
		if begin > end {
			return fmt.Errorf("section %d %q has no padding behind it", i, s.Name)
		}
	}
	return nil
}

func alignUp(n, alignment int64) int64 { return (n + alignment - 1) / alignment * alignment }
