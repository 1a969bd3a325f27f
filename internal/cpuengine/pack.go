package cpuengine

import "encoding/binary"

// PackPanelsF32 packs rows of float32 values into panels (see the package
// comment): src is [rows, cols] and dst takes ceil(rows/16)·cols·16 values, both
// little-endian and of exactly that size. The rows that pad the last panel
// become zero.
func PackPanelsF32(dst, src []byte, rows, cols int) {
	const width = 4
	clearPadding(dst, rows, cols*width*PanelRows)
	for r := range rows {
		row := src[r*cols*width:][:cols*width]
		out := dst[r/PanelRows*cols*PanelRows*width+r%PanelRows*width:]
		for k := range cols {
			binary.LittleEndian.PutUint32(out[k*PanelRows*width:], binary.LittleEndian.Uint32(row[k*width:]))
		}
	}
}

// PackPanelsBF16 is [PackPanelsF32] for bfloat16: dst takes
// ceil(rows/16)·ceil(cols/2)·16·2 values, and with an odd number of columns the
// last of each pair is zero.
func PackPanelsBF16(dst, src []byte, rows, cols int) {
	const pair = 4 // bytes
	pairs := (cols + 1) / 2
	clearPadding(dst, rows, pairs*pair*PanelRows)
	for r := range rows {
		row := src[r*cols*2:][:cols*2]
		out := dst[r/PanelRows*pairs*PanelRows*pair+r%PanelRows*pair:]
		for k := range cols / 2 {
			binary.LittleEndian.PutUint32(out[k*PanelRows*pair:], binary.LittleEndian.Uint32(row[k*pair:]))
		}
		if cols%2 == 1 {
			binary.LittleEndian.PutUint32(out[(pairs-1)*PanelRows*pair:], uint32(binary.LittleEndian.Uint16(row[(cols-1)*2:])))
		}
	}
}

// clearPadding zeroes the last panel when it is not full.
func clearPadding(dst []byte, rows, panelBytes int) {
	if rows%PanelRows != 0 {
		clear(dst[rows/PanelRows*panelBytes:])
	}
}
