// Package cpuengine is the schema of the CPU engine file (rank0.engine), its
// writer and its reader. It is free of cgo, so that build/cpu can write what
// csrc/cpu runs without either importing the other.
//
// # File
//
// All integers are little-endian. The file is
//
//	header          4096 bytes: magic "TRTGOCPU", format version, offsets, sizes, checksums
//	program         JSON, a [Program]
//	weight sections one behind the other, at multiples of 4096 (sections of 64 KiB
//	                and more) or 64; zeros reach to the next multiple of 64
//	section table   JSON, a list of [Section]
//
// The zeros behind a section let a vector of float32 be read in whole registers
// of 16: a bias [N] may be read as ceil(N/16)·16 values.
//
// Checksums are CRC-32C. Opening checks header, program and section table, and
// that every section lies inside the file; the sections' own checksums are
// checked by Verify only, because reading 16 GB takes seconds.
//
// # Packed weights
//
// A linear weight W [N, K] is cut into panels of 16 output rows, the last one
// padded with zero rows, so that one vector register holds 16 outputs and a
// thread reads one ascending stream. A panel consists of lines of 64 bytes:
//
//	f32   [K][16]
//	bf16  [ceil(K/2)][16][2]   k runs fastest in pairs, odd K padded with zero
//	f16   [K'][16]             K' is K rounded up to an even number
//	fp8   a header, then [ceil(K/4)][16][4] bytes of k, k+2, k+1, k+3
//	int8  a header, then the same; a byte is the number + 128
//	int4  a header, then [ceil(K/8)][16][2] words of 16 bits; of word h the bits
//	      4j … 4j+3 are the number of k = 2j+h, + 8
//
// The order of k inside a line is that of pairs once it is taken apart: the low
// bytes of an int8 line's words are k and k+1, the high ones k+2 and k+3. K is
// padded with zeros (numbers 0, hence bytes 128 and nibbles 8).
//
// A header has the scales, float32 [16], of the panel's outputs: a weight is its
// number (or E4M3 value) × scale. int4 may have a scale for each Group of k, 32,
// 64 or 128, which divides K. Then a panel is a row of blocks, each a header and
// the lines of the groups it is for:
//
//	ScaleDtype  Zeros  header                              groups of a block
//	bf16        no     scales [2][16]                      2; 1 in the last, if odd: [1] is zeros
//	bf16        yes    scales [16], zeros [16]             1
//	f32         no     scales [16]                         1
//	f32         yes    scales [16], zeros [16] (2 lines)   1
//
// and a weight is number × scale + zero.
//
// The layout does not depend on the processor's instruction set.
//
// # Use
//
//	file, err := cpuengine.Open("engine/rank0.engine")
//	if errors.Is(err, cpuengine.ErrVersion) { … } // the message says how to rebuild it
//	for _, op := range file.Program.Ops { … }     // checked: indices and shapes agree
//	err = file.Verify(ctx, nil)                   // checksums of the weights
//
// A [Writer] takes a program and its sections, then the weights as sources of rows,
// in order; it packs them with bounded memory and writes the header last.
package cpuengine
