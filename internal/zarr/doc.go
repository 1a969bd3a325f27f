// Package zarr reads arrays of zarr version 2
// (https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html) as Megatron-core
// writes them: a directory for each array, with a .zarray file in JSON and a file
// for each chunk, uncompressed and little-endian, in row-major order. Opening
// reads the .zarray and looks at the sizes of the chunks' files; their bytes are
// read in place.
//
// Megatron-core gives bfloat16 the dtype "bfloat16", which zarr itself does not
// know (megatron/core/dist_checkpointing/strategies/zarr.py, core_v0.7.0). It
// writes every chunk, so that a missing one is an error here and not a chunk of
// fill values.
//
//	for _, name := range zarr.Names(tree) {
//		array, err := zarr.Open(tree, name)
//		…
//		_, err = array.ReadAt(rows, 0)
//	}
package zarr
