// Package bigmodel writes checkpoints of any size, with the shapes of real models
// and made-up weights, in the forms that the exporter reads. Benchmarks and tests
// of memory and faults use it: no file of 16 GB has to be fetched or kept.
//
// A weight's bytes follow from its name and place alone, so that every form of a
// shape has the same weights and [Check] can tell whether an export is right
// without the source. Everything is streamed: writing takes a few megabytes,
// whatever the size.
//
//	shape := bigmodel.Minitron8B().Scaled(8)
//	path, err := bigmodel.Write(dir, shape, bigmodel.Zarr, bigmodel.Options{TensorParallel: 2})
//	if err != nil {
//		return err
//	}
//	… // export path to checkpoint
//	err = bigmodel.Check(checkpoint, shape)
package bigmodel
