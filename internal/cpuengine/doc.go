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
// thread reads one ascending stream:
//
//	bf16  [ceil(N/16)][ceil(K/2)][16][2]   k runs fastest in pairs, odd K padded with zero
//	f32   [ceil(N/16)][K][16]
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
