package cpuengine

import "fmt"

const (
	smallAlignment = 64   // a cache line, and one vector register
	bigAlignment   = 4096 // a page
	bigSection     = 64 << 10

	maxDimension = 1 << 31
)

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

// PackedSize is the number of bytes of a [rows, cols] weight. It returns an
// error for an unknown dtype or layout and for impossible dimensions.
func PackedSize(dtype, layout string, rows, cols int) (int64, error) {
	if rows < 1 || cols < 1 || rows > maxDimension || cols > maxDimension {
		return 0, fmt.Errorf("dimensions [%d, %d] are outside 1 … %d", rows, cols, maxDimension)
	}
	var width int64
	switch dtype {
	case DtypeF32:
		width = 4
	case DtypeBF16:
		width = 2
	default:
		return 0, fmt.Errorf("dtype %q is not %s or %s", dtype, DtypeF32, DtypeBF16)
	}
	n, k := int64(rows), int64(cols)
	switch layout {
	case LayoutRows:
	case LayoutPanel:
		n = (n + PanelRows - 1) / PanelRows * PanelRows
		if dtype == DtypeBF16 {
			k = (k + 1) / 2 * 2
		}
	default:
		return 0, fmt.Errorf("layout %q is not %s or %s", layout, LayoutRows, LayoutPanel)
	}
	if n > 1<<56/width/k {
		return 0, fmt.Errorf("dimensions [%d, %d] are too large", rows, cols)
	}
	return n * k * width, nil
}

// checkSections checks that the sections lie one behind the other in
// [begin, end), aligned, with the size that their shape needs.
func checkSections(sections []Section, begin, end int64) error {
	for i := range sections {
		s := &sections[i]
		size, err := PackedSize(s.Dtype, s.Layout, s.Rows, s.Cols)
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
