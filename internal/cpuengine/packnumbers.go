package cpuengine

import (
	"encoding/binary"
	"math"
)

// Numbers are rows of weights that need scales: a weight is its number × scale + zero.
type Numbers struct {
	// Codes is [rows, cols]: signed numbers, of int4 between -8 and 7, or E4M3.
	Codes []int8
	// Scales is [rows, groups]; of a section without groups there is one. With bfloat16
	// scales every value is a bfloat16 number.
	Scales []float32
	// Zeros is like Scales, nil without zeros.
	Zeros []float32
}

// PackNumbers packs rows of a section of int8, int4 or fp8 into panels (see the package
// comment); dst takes exactly those. The rows that pad the last panel become zero.
func PackNumbers(dst []byte, s Section, rows int, n Numbers) {
	panelBytes := int(s.panelBytes())
	groups := 1
	if s.Group > 0 {
		groups = s.Cols / s.Group
	}
	for first := 0; first < rows; first += PanelRows {
		panel := dst[first/PanelRows*panelBytes:][:panelBytes]
		for lane := range PanelRows {
			row := first + lane
			if row >= rows {
				s.packRow(panel, lane, make([]int8, s.Cols), make([]float32, groups), nil)
				continue
			}
			var zeros []float32
			if n.Zeros != nil {
				zeros = n.Zeros[row*groups:][:groups]
			}
			s.packRow(panel, lane, n.Codes[row*s.Cols:][:s.Cols], n.Scales[row*groups:][:groups], zeros)
		}
	}
}

// packRow writes one row of a panel: its scales into the headers, its numbers into the lines.
func (s *Section) packRow(panel []byte, lane int, codes []int8, scales, zeros []float32) {
	const line = 64
	pack := packBytes
	switch s.Dtype {
	case DtypeInt4:
		pack = packNibbles
	case DtypeFP8:
		pack = packE4M3
	}
	if s.Group == 0 {
		binary.LittleEndian.PutUint32(panel[4*lane:], math.Float32bits(scales[0]))
		pack(panel[line:], lane, codes)
		return
	}
	perBlock := 1
	if s.ScaleDtype == DtypeBF16 && !s.Zeros {
		perBlock = 2
	}
	for g := 0; g < len(scales); g += perBlock {
		in := min(perBlock, len(scales)-g)
		header := line
		switch {
		case perBlock == 2:
			putBF16(panel[2*lane:], scales[g])
			second := float32(0)
			if in == 2 {
				second = scales[g+1]
			}
			putBF16(panel[2*(PanelRows+lane):], second)
		case s.ScaleDtype == DtypeBF16:
			putBF16(panel[2*lane:], scales[g])
			putBF16(panel[2*(PanelRows+lane):], at(zeros, g))
		default:
			binary.LittleEndian.PutUint32(panel[4*lane:], math.Float32bits(scales[g]))
			if s.Zeros {
				binary.LittleEndian.PutUint32(panel[line+4*lane:], math.Float32bits(at(zeros, g)))
				header = 2 * line
			}
		}
		numbers := codes[g*s.Group:][:in*s.Group]
		pack(panel[header:], lane, numbers)
		panel = panel[header+len(numbers)/8*line:]
	}
}

func at(values []float32, i int) float32 {
	if values == nil {
		return 0
	}
	return values[i]
}

func putBF16(dst []byte, v float32) {
	binary.LittleEndian.PutUint16(dst, uint16(math.Float32bits(v)>>16))
}

// packBytes, packE4M3 and packNibbles write the numbers of a row into its lane of each line.

func packBytes(lines []byte, lane int, codes []int8) { packFours(lines, lane, codes, 0x80808080) }

func packE4M3(lines []byte, lane int, codes []int8) { packFours(lines, lane, codes, 0) }

// packFours stores k, k+2, k+1, k+3; flipping the highest bit adds 128.
func packFours(lines []byte, lane int, codes []int8, flip uint32) {
	at := 4 * lane
	put := func(c []int8) {
		word := uint32(uint8(c[0])) | uint32(uint8(c[2]))<<8 | uint32(uint8(c[1]))<<16 | uint32(uint8(c[3]))<<24
		binary.LittleEndian.PutUint32(lines[at:], word^flip)
		at += 4 * PanelRows
	}
	for ; len(codes) >= 4; codes = codes[4:] {
		put(codes[:4])
	}
	if len(codes) > 0 {
		var last [4]int8
		copy(last[:], codes)
		put(last[:])
	}
}

// packNibbles stores eight numbers in a word: number 2j+h is nibble j of half h.
func packNibbles(lines []byte, lane int, codes []int8) {
	at := 4 * lane
	put := func(c []int8) {
		low := uint32(c[0]&15) | uint32(c[2]&15)<<4 | uint32(c[4]&15)<<8 | uint32(c[6]&15)<<12
		high := uint32(c[1]&15) | uint32(c[3]&15)<<4 | uint32(c[5]&15)<<8 | uint32(c[7]&15)<<12
		binary.LittleEndian.PutUint32(lines[at:], (low|high<<16)^0x88888888)
		at += 4 * PanelRows
	}
	for ; len(codes) >= 8; codes = codes[8:] {
		put(codes[:8])
	}
	if len(codes) > 0 {
		var last [8]int8
		copy(last[:], codes)
		put(last[:])
	}
}

// PackPanelsF16 is [PackPanelsF32] for float16: dst takes ceil(rows/16)·K'·16 values, K'
// being cols rounded up to an even number; the last of an odd number is zero.
func PackPanelsF16(dst, src []byte, rows, cols int) {
	const width = 2
	padded := (cols + 1) / 2 * 2
	clearPadding(dst, rows, padded*width*PanelRows)
	for r := range rows {
		row := src[r*cols*width:][:cols*width]
		out := dst[r/PanelRows*padded*PanelRows*width+r%PanelRows*width:]
		for k := range cols {
			binary.LittleEndian.PutUint16(out[k*PanelRows*width:], binary.LittleEndian.Uint16(row[k*width:]))
		}
		if padded > cols {
			binary.LittleEndian.PutUint16(out[cols*PanelRows*width:], 0)
		}
	}
}
