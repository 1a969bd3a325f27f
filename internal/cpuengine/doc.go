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
//	weight sections each at an offset that is a multiple of its alignment
//	section table   JSON, a list of [Section]
//
// Checksums are CRC-32C. Opening checks header, program and section table, and
// that every section lies inside the file; the sections' own checksums are
// checked by Verify only, because reading 16 GB takes seconds.
//
// # Packed weights
//
// A linear weight W [N, K] is cut into panels of 16 output rows, the last one
// padded with zero rows, so that one vector register holds 16 outputs and a
// thread reads one ascending stream:
//
//	bf16  [ceil(N/16)][ceil(K/2)][16][2]   k runs fastest in pairs, odd K padded with zero
//	f32   [ceil(N/16)][K][16]
//
// The layout does not depend on the processor's instruction set.
package cpuengine
